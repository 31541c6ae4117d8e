package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Nobody has made the corp's head or the subjects' keys before.
func TestManyAppendAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		const writers, rounds = 20, 5
		subjects := []nid.ID{nid.New(nid.Contact), nid.New(nid.Contact), nid.New(nid.Contact)}
		for _, err := range inParallel(writers, func(i int) error {
			for n := range rounds {
				after := map[string]any{}
				for k := range subjects { // each in another order
					after[fmt.Sprint("remark", k)] = audit.Personal{Subject: subjects[(i+k)%len(subjects)], Value: fmt.Sprint("writer ", i)}
				}
				entry := audit.Entry{Action: access.FollowUpdate, Subject: nid.New(nid.Follow), After: after}
				if err := s.append(s.person(), entry, audit.Entry{Action: access.ContactUpdate, After: map[string]any{"n": n}}); err != nil {
					return err
				}
			}
			return nil
		}) {
			ok(t, err)
		}
		result, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, nil)
		ok(t, err)
		if result.Entries != 2*writers*rounds || result.Corp != s.corp || result.Head == [32]byte{} {
			t.Errorf("verified %+v, want %d entries", result, 2*writers*rounds)
		}
		if n := s.count(`SELECT count(*) FROM subject_keys`); n != len(subjects)+1 {
			t.Errorf("%d keys, want one for each of %d subjects and the actor", n, len(subjects))
		}
		views, err := s.views(s.person())
		ok(t, err)
		for i := 0; i < len(views); i += 2 { // the entries of one act stand together
			if len(views[i].After) != 3 || views[i].After["remark0"] == leaf.Erased || views[i].Address != "192.0.2.7" || views[i+1].Address != "" {
				t.Fatalf("entry %d reads %+v", i, views[i])
			}
		}
	})
}

func TestWhatDoesNotFitIsRefusedWhole(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ok(t, s.append(s.system(), audit.Entry{Action: access.CorpCreate, Subject: s.corp}))
		for name, bad := range map[string]audit.Entry{
			"over 256 KiB":    {Action: access.CorpImport, After: map[string]any{"x": strings.Repeat("x", leaf.MaxBytes)}},
			"no action":       {Action: "nonsense"},
			"not a handover":  {Action: access.CorpImport, Handover: s.corp},
			"nanoseconds":     {Action: access.CorpImport, After: map[string]any{"at": time.Unix(0, 1)}},
			"a floating word": {Action: access.CorpImport, After: map[string]any{"x": 1.5}},
		} {
			err := s.append(s.system(), audit.Entry{Action: access.CorpImport}, bad)
			if !errors.Is(err, leaf.ErrEntry) || fault.CodeOf(err) != fault.Internal {
				t.Errorf("%s: %v", name, err)
			}
		}
		ok(t, s.append(s.system(), audit.Entry{Action: access.CorpImport, After: map[string]any{"x": strings.Repeat("x", leaf.MaxBytes-1024)}}))
		result, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, nil)
		ok(t, err)
		if result.Entries != 2 {
			t.Errorf("%d entries, want 2", result.Entries)
		}
	})
}

func TestADamagedHeadStopsTheLog(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		ok(t, s.append(s.system(), audit.Entry{Action: access.CorpCreate}))
		s.exec(`UPDATE audit_heads SET hash = substr(hash, 1, 31)`)
		if err := s.append(s.system(), audit.Entry{Action: access.CorpImport}); fault.CodeOf(err) != fault.Internal {
			t.Errorf("appended to a damaged head: %v", err)
		}
		s.exec(`DELETE FROM audit_heads`)
		if err := s.append(s.system(), audit.Entry{Action: access.CorpImport}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("began a second log: %v", err)
		}
		if n := s.count(`SELECT count(*) FROM audit_entries`); n != 1 {
			t.Errorf("%d entries, want 1", n)
		}
	})
}

func TestReading(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		customer, cause := nid.New(nid.Contact), nid.New(nid.Handover)
		values := map[string]any{"list": []any{audit.Personal{Subject: customer, Value: "李娜"}, "plain"}, "n": 7, "owner": s.lina}
		ok(t, s.append(s.person(), audit.Entry{Action: access.ContactUpdate, Subject: customer, Before: values, After: map[string]any{"x": true}}))
		system := s.system()
		worker := *access.From(system)
		worker.Cause = cause
		ok(t, s.append(access.With(system, &worker), audit.Entry{Action: access.HandoverFinish, Handover: cause}))
		want := []audit.View{
			{Before: map[string]any{"list": []any{"李娜", "plain"}, "n": int64(7), "owner": s.lina.String()}, After: map[string]any{"x": true}, Address: "192.0.2.7"},
			{ActorLabel: "system: a test", Cause: cause},
		}
		statements := 0
		got, err := s.views(store.Count(s.person(), func(string) { statements++ }))
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" || statements != 2 { // one of them reads the leaves
			t.Errorf("%d statements, %s", statements, d)
		}

		// Erasing forgets the value, before and after.
		s.exec(`UPDATE subject_keys SET wrapped = NULL, erased_at = created_at WHERE subject_id = $1`, customer.UUID())
		s.exec(`DELETE FROM subject_keys WHERE subject_id = $1`, s.lina.UUID())
		ok(t, s.append(s.system(), audit.Entry{Action: access.ContactUpdate, Subject: customer, After: map[string]any{"remark": audit.Personal{Subject: customer, Value: "again"}}}))
		want[0].Before["list"] = []any{leaf.Erased, "plain"}
		want[0].Address = leaf.Erased
		want = append(want, audit.View{After: map[string]any{"remark": leaf.Erased}, ActorLabel: "system: a test"})
		got, err = s.views(s.person())
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		_, err = audit.Verify(t.Context(), s.db, s.corp, audit.Trust{}, nil)
		ok(t, err)

		for name, grants := range map[string][]access.Grant{
			"nothing":            nil,
			"another permission": {{Permissions: []access.Permission{access.ViewStatistics}}},
			"a department only":  {{Permissions: []access.Permission{access.ReadAuditLog}, Department: nid.New(nid.Department)}},
		} {
			ctx := access.With(context.Background(), &access.Actor{Kind: access.Person, Corp: s.corp, ID: s.lina, Grants: grants})
			if _, err := s.views(ctx); fault.CodeOf(err) != fault.Forbidden {
				t.Errorf("with %s: %v", name, err)
			}
		}
	})
}

func TestDenialsAreRecordedOnceAMinute(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		denied := func(ctx context.Context, action access.Action) error {
			return s.log.Tx(ctx, s.db, action, func(ctx context.Context, tx *store.Tx) error { return fault.Denied("no", "不") })
		}
		forbidden := func(errs []error) {
			t.Helper()
			for _, err := range errs {
				if fault.CodeOf(err) != fault.Forbidden {
					t.Fatalf("%v", err)
				}
			}
		}
		type line struct {
			Action     any
			Unreported any
		}
		check := func(want ...line) {
			t.Helper()
			views, err := s.views(s.person())
			ok(t, err)
			var got []line
			for _, v := range views {
				got = append(got, line{v.After["action"], v.After["unreportedBefore"]})
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatal(d)
			}
		}
		lines := []line{{"handover.execute", int64(0)}}
		forbidden(inParallel(9, func(int) error { return denied(s.person(), access.HandoverExecute) }))
		check(lines...)
		forbidden([]error{denied(s.person(), access.TokenCreate)})
		lines = append(lines, line{"token.create", int64(0)})
		check(lines...)
		forbidden([]error{denied(s.system(), access.TokenCreate)})
		lines = append(lines, line{"token.create", int64(0)})
		check(lines...)
		s.clock.Add(90 * time.Minute)
		forbidden([]error{denied(s.person(), access.HandoverExecute), denied(s.person(), access.HandoverExecute)})
		lines = append(lines, line{"handover.execute", int64(8)})
		check(lines...)
		if n := s.count(`SELECT count(*) FROM denials WHERE action = 'handover.execute'`); n != 1 {
			t.Errorf("%d counts kept, want 1", n)
		}
		s.clock.Add(time.Minute)
		forbidden([]error{denied(s.person(), access.HandoverExecute)})
		lines = append(lines, line{"handover.execute", int64(1)})
		check(lines...)

		// What is no denial leaves no entry, and what is done is done.
		for _, other := range []error{fault.Missing("id"), fault.Clash("", "a", "b"), errors.New("x"), nil} {
			err := s.log.Tx(s.person(), s.db, access.HandoverExecute, func(context.Context, *store.Tx) error { return other })
			if !errors.Is(err, other) {
				t.Errorf("got %v, want %v", err, other)
			}
		}
		check(lines...)
	})
}

func TestAChangeWithoutAnEntryIsNotCommitted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		contact := c.Contact("a", "NORMAL", c.Admin)
		ctx := store.System(context.Background(), c.ID, "a test")
		company := func() string {
			return testcorp.Value[string](c, `SELECT coalesce(company, '') FROM contacts WHERE id = $1`, contact)
		}
		raw := func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Change(ctx, "contacts", `UPDATE contacts SET company = 'new' WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), contact)
			return err
		}
		byEnt := func(ctx context.Context, tx *store.Tx) error {
			return tx.Ent().Contact.UpdateOneID(contact).SetCompany("new").Exec(ctx)
		}
		made := nid.New(nid.Tag)
		create := func(ctx context.Context, tx *store.Tx) error {
			return tx.Ent().Tag.Create().SetID(made).SetName("vip").SetGroupName("g").Exec(ctx)
		}
		entries := func() int { return testcorp.Value[int](c, `SELECT count(*) FROM audit_entries`) }
		before := entries()
		for name, change := range map[string]func(context.Context, *store.Tx) error{"SQL": raw, "ent": byEnt, "a new row by ent": create} {
			for what, record := range map[string][]audit.Entry{
				"no entry":               nil,
				"an entry about another": {{Action: access.ContactUpdate, Subject: c.Admin, Covers: []nid.ID{c.Root}}},
			} {
				err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					if err := change(ctx, tx); err != nil {
						return err
					}
					return c.Log.Append(ctx, tx, record...)
				})
				if fault.CodeOf(err) != fault.Internal || !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "without an audit entry") {
					t.Errorf("%s with %s: %v", name, what, err)
				}
			}
		}
		if company() != "" || entries() != before || testcorp.Value[int](c, `SELECT count(*) FROM tags WHERE id = $1`, made) != 0 {
			t.Error("what was refused is there")
		}
		for name, e := range map[string]audit.Entry{"subject": {Subject: contact}, "covers": {Covers: []nid.ID{contact}}} {
			e.Action = access.ContactUpdate
			ok(t, db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.Ent().Contact.UpdateOneID(contact).SetCompany(name).Exec(ctx); err != nil {
					return err
				}
				return c.Log.Append(ctx, tx, e)
			}))
			if company() != name {
				t.Errorf("with the row as %s: not committed", name)
			}
		}
		_, err := audit.Verify(t.Context(), db, c.ID, audit.Trust{}, nil)
		ok(t, err)
	})
}
