package audit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
)

// entries is the length of the log that is tampered with.
const entries = 7

// filled is a log whose entry 3 has something in every column and entry 4 in none
// that may be empty.
func filled(s *scene) {
	s.t.Helper()
	for i := range entries {
		ctx, e := s.person(), audit.Entry{Action: access.TransferFinish, Subject: nid.New(nid.Transfer), Handover: nid.New(nid.Handover), After: map[string]any{"n": i}}
		if i == 4 {
			ctx, e = s.system(), audit.Entry{Action: access.CorpImport}
		}
		ok(s.t, s.append(ctx, e))
	}
}

// forged rewrites an entry so that row, leaf and hash fit together; only its
// neighbours and the head can tell.
func forged(s *scene, index int64) {
	s.t.Helper()
	var old []byte
	if err := s.super.QueryRow(`SELECT leaf FROM audit_entries WHERE "index" = $1`, min(index, entries-1)).Scan(&old); err != nil {
		s.t.Fatal(err)
	}
	e, err := leaf.Decode(old)
	ok(s.t, err)
	e.Action = "handover.approve"
	if index >= entries { // one more, rightly linked
		e.ID, e.Index, e.Prev = nid.New(nid.Audit), index, leaf.Hash(old)
	}
	b, err := leaf.Encode(e, leaf.Sealer{})
	ok(s.t, err)
	hash := leaf.Hash(b)
	if index < entries {
		s.exec(`UPDATE audit_entries SET leaf = $1, hash = $2, action = $3 WHERE "index" = $4`, b, hash[:], e.Action, index)
		return
	}
	s.exec(`INSERT INTO audit_entries (id, corp_id, created_at, "index", at, actor_id, actor_kind, action, subject_id, handover_id, request_id, leaf, hash)
		SELECT $1, corp_id, created_at, $2, at, actor_id, actor_kind, $3, subject_id, handover_id, request_id, $4, $5 FROM audit_entries WHERE "index" = $6`,
		e.ID.UUID(), index, e.Action, b, hash[:], entries-1)
}

func TestEveryTamperingIsFoundAtItsPlace(t *testing.T) {
	type finding struct {
		Index  int64
		Why    leaf.Why
		Column string
	}
	other := nid.New(nid.Member).UUID()
	set := func(what string) func(*scene) {
		return func(s *scene) { s.exec(`UPDATE audit_entries SET ` + what + ` WHERE "index" = 3`) }
	}
	run := func(queries ...string) func(*scene) {
		return func(s *scene) {
			for _, q := range queries {
				s.exec(q)
			}
		}
	}
	column := func(c string) finding { return finding{3, leaf.ColumnDiffers, c} }
	type tampering struct {
		name string
		do   func(*scene)
		want finding
	}
	all := []tampering{
		{"id", set(`id = '` + other + `'`), column("id")},
		{"corp_id", set(`corp_id = '` + other + `'`), finding{3, leaf.Gap, ""}},
		{"created_at", set(`created_at = '2026-03-02 09:00:00.000001+00:00'`), column("created_at")},
		{"at", set(`at = '2026-03-02 09:00:00.000001+00:00'`), column("at")},
		{"index", set(`"index" = 99`), finding{3, leaf.Gap, ""}},
		{"index before all", set(`"index" = -1`), finding{0, leaf.Order, ""}},
		{"actor_id", set(`actor_id = '` + other + `'`), column("actor_id")},
		{"actor_id emptied", set(`actor_id = NULL`), column("actor_id")},
		{"actor_id zero", run(`UPDATE audit_entries SET actor_id = '00000000-0000-0000-0000-000000000000' WHERE "index" = 4`), finding{4, leaf.ColumnDiffers, "actor_id"}},
		{"actor_kind", set(`actor_kind = 'TOKEN'`), column("actor_kind")},
		{"action", set(`action = 'handover.approve'`), column("action")},
		{"subject_id", set(`subject_id = '` + other + `'`), column("subject_id")},
		{"subject_id emptied", set(`subject_id = NULL`), column("subject_id")},
		{"handover_id", set(`handover_id = '` + other + `'`), column("handover_id")},
		{"handover_id emptied", set(`handover_id = NULL`), column("handover_id")},
		{"request_id", set(`request_id = 'request-2'`), column("request_id")},
		{"request_id emptied", set(`request_id = NULL`), column("request_id")},
		{"request_id blank", run(`UPDATE audit_entries SET request_id = '' WHERE "index" = 4`), finding{4, leaf.ColumnDiffers, "request_id"}},
		{"leaf cut", set(`leaf = substr(leaf, 1, length(leaf) - 1)`), finding{3, leaf.HashDiffers, ""}},
		{"leaf of another", set(`leaf = (SELECT leaf FROM audit_entries AS o WHERE o."index" = 2)`), finding{3, leaf.HashDiffers, ""}},
		{"hash of another", set(`hash = (SELECT hash FROM audit_entries AS o WHERE o."index" = 2)`), finding{3, leaf.HashDiffers, ""}},
		{"hash cut", set(`hash = substr(hash, 1, 31)`), finding{3, leaf.HashDiffers, ""}},
		{"forged", func(s *scene) { forged(s, 3) }, finding{4, leaf.PrevDiffers, ""}},
		{"the first forged", func(s *scene) { forged(s, 0) }, finding{1, leaf.PrevDiffers, ""}},
		{"the last forged", func(s *scene) { forged(s, entries-1) }, finding{entries - 1, leaf.HeadDiffers, ""}},
		{"one inserted at the end", func(s *scene) { forged(s, entries) }, finding{entries, leaf.BeyondHead, ""}},
		{"one inserted in the middle", func(s *scene) {
			forged(s, entries)
			s.exec(`UPDATE audit_entries SET "index" = "index" + 100 WHERE "index" > 3`)
			s.exec(`UPDATE audit_entries SET "index" = "index" - 99 WHERE "index" > 3 AND action <> 'handover.approve'`)
			s.exec(`UPDATE audit_entries SET "index" = 4 WHERE action = 'handover.approve'`)
		}, finding{4, leaf.ColumnDiffers, "index"}},
		{"two swapped", run(`UPDATE audit_entries SET "index" = -1 WHERE "index" = 3`, `UPDATE audit_entries SET "index" = 3 WHERE "index" = 4`,
			`UPDATE audit_entries SET "index" = 4 WHERE "index" = -1`), column("index")},
		{"the first deleted", run(`DELETE FROM audit_entries WHERE "index" = 0`), finding{0, leaf.Gap, ""}},
		{"one deleted", run(`DELETE FROM audit_entries WHERE "index" = 3`), finding{3, leaf.Gap, ""}},
		{"one deleted and the rest moved up", run(`DELETE FROM audit_entries WHERE "index" = 3`, `UPDATE audit_entries SET "index" = "index" + 99 WHERE "index" > 3`,
			`UPDATE audit_entries SET "index" = "index" - 100 WHERE "index" > 3`), column("index")},
		{"the end cut off", run(`DELETE FROM audit_entries WHERE "index" >= 5`), finding{5, leaf.Truncated, ""}},
		{"emptied", run(`DELETE FROM audit_entries`), finding{0, leaf.Truncated, ""}},
		{"head raised", run(`UPDATE audit_heads SET size = size + 1`), finding{entries, leaf.Truncated, ""}},
		{"head lowered", run(`UPDATE audit_heads SET size = size - 1`), finding{entries - 1, leaf.BeyondHead, ""}},
		{"head below nothing", run(`UPDATE audit_heads SET size = -1`), finding{0, leaf.BeyondHead, ""}},
		{"head's hash", run(`UPDATE audit_heads SET hash = (SELECT hash FROM audit_entries WHERE "index" = 1)`), finding{entries - 1, leaf.HeadDiffers, ""}},
		{"head's hash cut", run(`UPDATE audit_heads SET hash = substr(hash, 1, 31)`), finding{entries - 1, leaf.HeadDiffers, ""}},
		{"head deleted", run(`DELETE FROM audit_heads`), finding{0, leaf.BeyondHead, ""}},
	}
	// SQLite's columns take what is no id, time or number at all.
	loose := []tampering{
		{"id nonsense", set(`id = 'x'`), column("id")},
		{"actor_id in capitals", set(`actor_id = upper(actor_id)`), column("actor_id")},
		{"at nonsense", set(`at = 'x'`), column("at")},
		{"created_at nonsense", set(`created_at = 'x'`), column("created_at")},
		{"index nonsense", set(`"index" = 'x'`), finding{3, leaf.Gap, ""}},
	}
	each(t, func(t *testing.T, s *scene) {
		filled(s)
		tamperings := all
		if s.db.Postgres() {
			s.exec(`ALTER TABLE audit_entries DISABLE TRIGGER ALL`)
		} else {
			s.exec(`DROP TRIGGER audit_entries_no_update`)
			s.exec(`DROP TRIGGER audit_entries_no_delete`)
			tamperings = append(all[:len(all):len(all)], loose...)
		}
		s.exec(`CREATE TABLE saved AS SELECT * FROM audit_entries`)
		s.exec(`CREATE TABLE saved_heads AS SELECT * FROM audit_heads`)
		for _, c := range tamperings {
			c.do(s)
			result, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, nil)
			b, broken := errors.AsType[*leaf.Broken](err)
			switch {
			case !broken:
				t.Errorf("%s: %v", c.name, err)
			case b.Corp != s.corp || result.Entries != c.want.Index:
				t.Errorf("%s: of %s, %d entries hold", c.name, b.Corp, result.Entries)
			default:
				if d := cmp.Diff(c.want, finding{b.Index, b.Why, b.Column}); d != "" {
					t.Errorf("%s: %s", c.name, d)
				}
			}
			for _, table := range [][2]string{{"audit_entries", "saved"}, {"audit_heads", "saved_heads"}} {
				s.exec(`DELETE FROM ` + table[0])
				s.exec(`INSERT INTO ` + table[0] + ` SELECT * FROM ` + table[1])
			}
		}
		_, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, nil)
		ok(t, err)
	})
}

func TestVerifyReadsInBatchesAndTellsHowFarItIs(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		empty, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, nil)
		ok(t, err)
		if !cmp.Equal(empty, audit.Result{Corp: s.corp}) {
			t.Errorf("an empty log verified as %+v", empty)
		}
		fill(s, 4500)
		var told []string
		result, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, func(done, total int64) { told = append(told, fmt.Sprint(done, "/", total)) })
		ok(t, err)
		if d := cmp.Diff([]string{"2000/4500", "4000/4500", "4500/4500"}, told); d != "" || result.Entries != 4500 {
			t.Errorf("%d entries; %s", result.Entries, d)
		}
		// It is one snapshot: what is appended meanwhile does not disturb it.
		result, err = audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, func(done, _ int64) {
			if done == 2000 {
				ok(t, s.append(s.system(), audit.Entry{Action: access.CorpImport}))
			}
		})
		ok(t, err)
		if result.Entries != 4500 {
			t.Errorf("%d entries, want the 4500 of the snapshot", result.Entries)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = audit.Verify(ctx, s.db, s.corp, audit.Trust{}, func(int64, int64) { cancel() })
		if _, broken := errors.AsType[*leaf.Broken](err); broken || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// fill appends n entries, many at a time.
func fill(s *scene, n int) {
	s.t.Helper()
	for n > 0 {
		batch := make([]audit.Entry, min(n, 1000))
		for i := range batch {
			batch[i] = audit.Entry{Action: access.TransferFinish, Subject: nid.New(nid.Transfer), Before: map[string]any{"owner": s.lina}, After: map[string]any{"status": "COMPLETED"}}
		}
		ok(s.t, s.append(s.person(), batch...))
		n -= len(batch)
	}
}

func TestTheProgramItselfCannotTouchThePast(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		filled(s)
		queries := []string{
			`UPDATE audit_entries SET action = 'handover.approve' WHERE "index" = 3`, `UPDATE audit_entries SET at = at`,
			`DELETE FROM audit_entries WHERE "index" = 3`, `DELETE FROM audit_entries`,
		}
		if s.db.Postgres() {
			queries = append(queries, `TRUNCATE audit_entries`, `TRUNCATE audit_heads`, `DELETE FROM audit_heads`)
		}
		conn, err := s.app.Conn(t.Context())
		ok(t, err)
		defer conn.Close()
		if s.db.Postgres() {
			_, err := conn.ExecContext(t.Context(), `SELECT set_config('handover.corp', $1, false)`, s.corp.UUID())
			ok(t, err)
		}
		for _, q := range queries {
			if _, err := conn.ExecContext(t.Context(), q); err == nil {
				t.Errorf("%s: not refused", q)
			}
		}
		// Nor the owner of the tables, or whoever else has the right: the trigger stops all.
		for _, q := range queries[:4] {
			if _, err := s.super.ExecContext(t.Context(), q); err == nil {
				t.Errorf("%s: not refused to a superuser", q)
			}
		}
		var n int
		ok(t, conn.QueryRowContext(t.Context(), `SELECT count(*) FROM audit_entries`).Scan(&n))
		if n != entries {
			t.Errorf("%d entries, want %d", n, entries)
		}
	})
}
