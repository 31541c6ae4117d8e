// Package evidence makes the package that shows, years later and to somebody who
// trusts nobody's database, who decided about one handover and what became of it. See
// docs/evidence.md; package offline checks it.
package evidence

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// ErrUnsealed is a log whose newest checkpoint does not cover the case yet.
var ErrUnsealed = errors.New("evidence: no checkpoint covers the last entry of this handover yet; it takes a minute, or `handover audit checkpoint`")

// batch is how many rows are read at once.
const batch = 2000

// Write writes the package of a handover as a ZIP archive. Two packages of a case to
// which nothing has happened in between are equal, byte for byte: nothing of the
// moment goes in, and the checkpoint is the first that covers the case. Memory does
// not grow with the number of transfers, save for the report's.
//
// The actor needs READ_AUDIT_LOG over the whole corp. Fails with NOT_FOUND for an
// unknown handover, and with ErrUnsealed. It records nothing; whoever calls it does.
func Write(ctx context.Context, q *store.Read, reader *audit.Reader, id nid.ID, w io.Writer) error {
	if !access.From(ctx).Scope(access.ReadAuditLog).All {
		return fault.Denied("evidence needs READ_AUDIT_LOG over the whole corp", "导出证据需要对整个企业的 READ_AUDIT_LOG 权限")
	}
	c, err := readCase(ctx, q, id)
	if err != nil {
		return err
	}
	p := &pack{zip: zip.NewWriter(w), sums: map[string]string{}}
	var log Log
	for _, part := range []struct {
		name string
		put  func(io.Writer) error
	}{
		{"case.json", func(w io.Writer) error { return line(w, c) }},
		{"checkpoint.txt", func(w io.Writer) error { _, err := io.WriteString(w, c.note); return err }},
		{"plan.json", func(w io.Writer) error { _, err := handover.WritePlan(ctx, q, id, w); return err }},
		{"transfers.jsonl", func(w io.Writer) error { return c.transfers(ctx, q, w) }},
		{"ownership.jsonl", func(w io.Writer) error { return c.ownership(ctx, q, w) }},
		{"history-grants.jsonl", func(w io.Writer) error { return c.grants(ctx, q, w) }},
		{"entries.jsonl", func(w io.Writer) error { return c.entries(ctx, q, w) }},
		{"entries-readable.jsonl", func(w io.Writer) error { log, err = c.readable(ctx, q, reader, w); return err }},
		{"report.en.html", func(w io.Writer) error { return report(w, c, log, "en") }},
		{"report.zh-CN.html", func(w io.Writer) error { return report(w, c, log, "zh-CN") }},
		{"README.txt", func(w io.Writer) error { _, err := io.WriteString(w, howTo); return err }},
	} {
		if err := p.add(part.name, part.put); err != nil {
			return err
		}
	}
	return p.close()
}

// pack writes files that depend on nothing but what is in them.
type pack struct {
	zip  *zip.Writer
	sums map[string]string
}

func (p *pack) add(name string, put func(io.Writer) error) error {
	f, err := p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err != nil {
		return err
	}
	sum := &summing{w: f, h: sha256.New()}
	if err := put(sum); err != nil {
		return err
	}
	p.sums[name] = hex.EncodeToString(sum.h.Sum(nil))
	return nil
}

func (p *pack) close() error {
	files := map[string]any{}
	for name, sum := range p.sums {
		files[name] = sum
	}
	b, err := canon.Marshal(map[string]any{"v": 1, "files": files})
	if err != nil {
		return err
	}
	if err := p.add("manifest.json", func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		return err
	}
	return p.zip.Close()
}

type summing struct {
	w io.Writer
	h hash.Hash
}

func (s *summing) Write(b []byte) (int, error) { s.h.Write(b); return s.w.Write(b) }

func line(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Person is somebody, by the name of today.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Case is the handover.
type Case struct {
	Corp     string `json:"corp"`
	CorpName string `json:"corpName"`
	TimeZone string `json:"timeZone"`
	// Key is the verifier key of whoever signed the checkpoint.
	Key      string `json:"key"`
	Handover struct {
		ID         string     `json:"id"`
		Kind       string     `json:"kind"`
		State      string     `json:"state"`
		Digest     string     `json:"digest"`
		Leaver     Person     `json:"leaver"`
		Requester  *Person    `json:"requester"`
		Executor   *Person    `json:"executor"`
		RevertOf   string     `json:"revertOf,omitempty"`
		RevertedBy string     `json:"revertedBy,omitempty"`
		FollowUpOf string     `json:"followUpOf,omitempty"`
		Created    time.Time  `json:"createdAt"`
		Started    *time.Time `json:"startedAt"`
		Finished   *time.Time `json:"finishedAt"`
		Total      int        `json:"total"`
		Completed  int        `json:"completed"`
	} `json:"handover"`
	Approvals []Approval `json:"approvals"`

	id   nid.ID
	note string
	size int64

	// What the report shows, gathered on the way.
	shown   []Transfer
	periods []Period
	granted int
}

// Approval is a vote.
type Approval struct {
	ID       string    `json:"id"`
	Approver Person    `json:"approver"`
	Decision string    `json:"decision"`
	Digest   string    `json:"digest"`
	At       time.Time `json:"at"`
}

func readCase(ctx context.Context, q *store.Read, id nid.ID) (*Case, error) {
	corp := access.From(ctx).Corp
	c := &Case{Corp: corp.String(), id: id}
	h := &c.Handover
	type ids struct{ leaver, requester, executor, revertOf, revertedBy, followUp nid.ID }
	var r ids
	_, ok, err := store.SelectOne(ctx, q, func(*ids) []any {
		return []any{&c.CorpName, &c.TimeZone, &h.Kind, &h.State, &h.Digest, &r.leaver, &r.requester, &r.executor, &r.revertOf, &r.revertedBy, &r.followUp,
			&h.Created, &h.Started, &h.Finished, &h.Total, &h.Completed}
	}, `SELECT c.name, c.time_zone, h.kind, h.state, h.digest, h.leaver_id, h.requested_by_id, h.executed_by_id, h.revert_of_id, h.reverted_by_id, h.follow_up_of_id,
		h.created_at, h.started_at, h.finished_at, h.total, h.completed FROM handovers AS h JOIN corps AS c ON c.id = h.corp_id WHERE h.corp_id = $1 AND h.id = $2`, corp, id)
	if err == nil && !ok {
		err = fault.Missing("id")
	}
	if err != nil {
		return nil, err
	}
	h.ID, h.Created, h.Started, h.Finished = id.String(), h.Created.UTC(), utc(h.Started), utc(h.Finished)
	h.RevertOf, h.RevertedBy, h.FollowUpOf = shown(r.revertOf), shown(r.revertedBy), shown(r.followUp)
	type vote struct {
		Approval
		id, approver nid.ID
	}
	votes, err := store.Select(ctx, q, func(v *vote) []any { return []any{&v.id, &v.approver, &v.Decision, &v.Digest, &v.At} },
		`SELECT id, approver_id, decision, digest, decided_at FROM approvals WHERE corp_id = $1 AND handover_id = $2 ORDER BY decided_at, id`, corp, id)
	if err != nil {
		return nil, err
	}
	people := []nid.ID{r.leaver, r.requester, r.executor}
	for _, v := range votes {
		people = append(people, v.approver)
	}
	known, err := names(ctx, q, "members", people)
	if err != nil {
		return nil, err
	}
	h.Leaver = known.person(r.leaver)
	for _, p := range []struct {
		id   nid.ID
		into **Person
	}{{r.requester, &h.Requester}, {r.executor, &h.Executor}} {
		if !p.id.IsZero() {
			who := known.person(p.id)
			*p.into = &who
		}
	}
	for _, v := range votes {
		v.ID, v.Approver, v.At = v.id.String(), known.person(v.approver), v.At.UTC()
		c.Approvals = append(c.Approvals, v.Approval)
	}
	return c, c.checkpoint(ctx, q)
}

// checkpoint takes the first one that covers the case.
func (c *Case) checkpoint(ctx context.Context, q *store.Read) error {
	last, _, err := store.SelectOne(ctx, q, func(n *int64) []any { return []any{n} },
		`SELECT coalesce(max("index"), -1) FROM audit_entries WHERE corp_id = $1 AND handover_id = $2`, access.From(ctx).Corp, c.id)
	if err != nil {
		return err
	}
	sealed, key, ok, err := audit.Covering(ctx, q, last)
	if err == nil && !ok {
		err = ErrUnsealed
	}
	c.note, c.size, c.Key = sealed.Note, sealed.Size, key
	return err
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func shown(id nid.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// entries writes the leaves as they were hashed, each with its proof.
func (c *Case) entries(ctx context.Context, q *store.Read, w io.Writer) error {
	return c.eachEntry(ctx, q, func(rows []row) error {
		at := make([]int64, len(rows))
		for i, r := range rows {
			at[i] = r.index
		}
		proofs, err := audit.Inclusions(ctx, q, c.size, at)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if err := line(w, struct {
				Index int64    `json:"index"`
				Leaf  string   `json:"leaf"`
				Proof []string `json:"proof"`
			}{r.index, string(r.leaf), hexes(proofs[i])}); err != nil {
				return err
			}
		}
		return nil
	})
}

func hexes(hashes []tlog.Hash) []string {
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = hex.EncodeToString(h[:])
	}
	return out
}

type row struct {
	index  int64
	at     time.Time
	actor  nid.ID
	action string
	leaf   []byte
}

func (c *Case) eachEntry(ctx context.Context, q *store.Read, do func([]row) error) error {
	for from := int64(0); ; {
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.index, &r.at, &r.actor, &r.action, &r.leaf} },
			`SELECT "index", at, actor_id, action, leaf FROM audit_entries WHERE corp_id = $1 AND handover_id = $2 AND "index" >= $3 ORDER BY "index" LIMIT $4`,
			access.From(ctx).Corp, c.id, from, batch)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := do(rows); err != nil {
				return err
			}
			from = rows[len(rows)-1].index + 1
		}
		if len(rows) < batch {
			return nil
		}
	}
}
