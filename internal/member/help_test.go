package member_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp whose root has a manager, with lina in a department below.
type scene struct {
	*testcorp.Corp
	t          *testing.T
	s          *member.Service
	sales      nid.ID
	boss       nid.ID // manages root, and so takes care where nobody nearer does
	lina, wang nid.ID
	admin      context.Context // no fresh proof of identity
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, t: t, s: &member.Service{DB: db, Log: c.Log}}
		s.boss = c.Member("boss", c.Root)
		c.Manager(c.Root, s.boss)
		s.sales = c.Department("sales", c.Root)
		s.lina, s.wang = c.Member("lina", s.sales), c.Member("wang", s.sales)
		s.admin = c.SignedIn(c.Admin, false)
		c.ManyMayLeave() // unless a test sets limits
		test(t, s)
		s.sound()
	})
}

// sound checks what must hold after anything: counters equal a recount, contacts are
// protected exactly while a leaver follows them, whoever answers is at work, and the
// log verifies.
func (s *scene) sound() {
	s.t.Helper()
	for what, query := range map[string]string{
		"counters that differ from a recount": `SELECT count(*) FROM member_counters AS c WHERE
			contacts <> (SELECT count(*) FROM follows AS f WHERE f.corp_id = c.corp_id AND f.member_id = c.member_id AND f.ended_at IS NULL)
			OR key_contacts <> (SELECT count(*) FROM follows AS f JOIN contacts AS k ON k.corp_id = f.corp_id AND k.id = f.contact_id WHERE f.corp_id = c.corp_id AND f.member_id = c.member_id AND f.ended_at IS NULL AND k.importance = 'KEY')
			OR groups <> (SELECT count(*) FROM groups AS g WHERE g.corp_id = c.corp_id AND g.owner_id = c.member_id)`,
		"contacts with the wrong protection": `SELECT count(*) FROM contacts AS k WHERE protected <>
			EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = k.corp_id AND f.contact_id = k.id AND f.ended_at IS NULL AND f.protected)`,
		"follows with the wrong protection": `SELECT count(*) FROM follows AS f JOIN members AS m ON m.corp_id = f.corp_id AND m.id = f.member_id WHERE f.ended_at IS NULL AND f.protected = m.answers`,
		"groups with the wrong protection":  `SELECT count(*) FROM groups AS g JOIN members AS m ON m.id = g.owner_id WHERE g.protected = m.answers`,
		"leavers without a caretaker at work": `SELECT count(*) FROM members AS l WHERE NOT l.answers
			AND NOT EXISTS (SELECT 1 FROM members AS m WHERE m.id = l.caretaker_id AND m.answers)`,
		"contacts whose accountable neither follows nor cares": `SELECT count(*) FROM contacts AS k WHERE
			NOT EXISTS (SELECT 1 FROM follows AS f JOIN members AS m ON m.corp_id = f.corp_id AND m.id = f.member_id WHERE f.corp_id = k.corp_id AND f.contact_id = k.id AND f.ended_at IS NULL
				AND (f.member_id = k.accountable_id OR m.caretaker_id = k.accountable_id AND NOT m.answers))`,
	} {
		if n := testcorp.Value[int](s.Corp, query); n != 0 {
			s.t.Errorf("%d %s", n, what)
		}
	}
	if err := s.verify(); err != nil {
		s.t.Error(err)
	}
}

// verify holds the corp's log against its head.
func (s *scene) verify() error {
	ctx := store.System(context.Background(), s.ID, "test")
	return s.DB.View(ctx, func(ctx context.Context, r *store.Read) error {
		type row struct {
			leaf.Row
			request *string
			hash    []byte
		}
		rows, err := store.Select(ctx, r, func(e *row) []any {
			return []any{&e.ID, &e.Corp, &e.Index, &e.Created, &e.At, &e.ActorKind, &e.Actor, &e.Action, &e.Subject, &e.Handover, &e.request, &e.hash, &e.Leaf}
		}, `SELECT id, corp_id, "index", created_at, at, actor_kind, actor_id, action, subject_id, handover_id, request_id, hash, leaf FROM audit_entries WHERE corp_id = $1 ORDER BY "index"`, s.ID)
		if err != nil {
			return err
		}
		type head struct {
			size int64
			hash []byte
		}
		h, _, err := store.SelectOne(ctx, r, func(h *head) []any { return []any{&h.size, &h.hash} }, `SELECT size, hash FROM audit_heads WHERE corp_id = $1`, s.ID)
		if err != nil {
			return err
		}
		return leaf.Verify(func(yield func(leaf.Row, error) bool) {
			for _, e := range rows {
				e.Hash = [32]byte(e.hash)
				if e.request != nil {
					e.Request = *e.request
				}
				if !yield(e.Row, nil) {
					return
				}
			}
		}, leaf.Head{Corp: s.ID, Size: h.size, Hash: [32]byte(h.hash)})
	})
}

func (s *scene) entries(action access.Action, subject nid.ID) int {
	s.t.Helper()
	return s.count(`SELECT count(*) FROM audit_entries WHERE action = $1 AND subject_id = $2`, string(action), subject)
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

func (s *scene) id(query string, args ...any) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, query, args...)
}

func (s *scene) status(id nid.ID) string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT status FROM members WHERE id = $1`, id)
}

func (s *scene) caretaker(id nid.ID) nid.ID {
	s.t.Helper()
	return s.id(`SELECT caretaker_id FROM members WHERE id = $1`, id)
}

// accountable compares who answers for a contact.
func (s *scene) accountable(what string, contact, want nid.ID) {
	s.t.Helper()
	if got := s.id(`SELECT accountable_id FROM contacts WHERE id = $1`, contact); got != want {
		s.t.Errorf("%s: %s answers, want %s", what, got, want)
	}
}

func (s *scene) depart(id nid.ID) member.Result {
	s.t.Helper()
	r, err := s.s.Deactivate(s.proven(), member.DeactivateInput{MemberID: id, Mode: member.Depart, ConfirmMassDeparture: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// raw changes the database past the use cases.
func (s *scene) raw(table, query string, args ...any) error {
	return s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	})
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// many adds n contacts and n/10 groups of a member at once.
func (s *scene) many(n int, owner nid.ID) {
	s.t.Helper()
	contacts, groups := make([]map[string]any, n), make([]map[string]any, n/10)
	for i := range contacts {
		contacts[i] = map[string]any{"id": nid.New(nid.Contact), "follow": nid.New(nid.Follow)}
	}
	for i := range groups {
		groups[i] = map[string]any{"id": nid.New(nid.Group)}
	}
	now := s.DB.Now()
	rows := s.DB.Rows(1, "v", "id uuid", "follow uuid")
	for _, q := range []struct {
		table, sql string
		batch      []map[string]any
	}{
		{"contacts", `INSERT INTO contacts (id, corp_id, created_at, updated_at, name, name_key, accountable_id)
			SELECT id, $2, $3, $3, 'c', 'c', $4 FROM ` + rows + ` WHERE true RETURNING id`, contacts},
		{"follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, contact_id, member_id, since)
			SELECT follow, $2, $3, $3, id, $4, $3 FROM ` + rows + ` WHERE true RETURNING id`, contacts},
		{"groups", `INSERT INTO groups (id, corp_id, created_at, updated_at, name, name_key, owner_id, accountable_id)
			SELECT id, $2, $3, $3, 'g', 'g', $4, $4 FROM ` + rows + ` WHERE true RETURNING id`, groups},
	} {
		s.must(s.raw(q.table, q.sql, s.DB.Batch(q.batch), s.ID, now, owner))
	}
	s.must(s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, "member_counters", `UPDATE member_counters SET contacts = contacts + $2, groups = groups + $3 WHERE member_id = $1`, owner, n, n/10)
		return err
	}))
}

func want(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("got %q (%v), want %q", got, err, code)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Field != field {
		t.Fatalf("field is %q, want %q (%v)", f.Field, field, err)
	}
}

// proven is a session of the administrator with a fresh proof of identity.
func (s *scene) proven() context.Context { return s.Verified(s.Admin) }

const year = 365 * 24 * time.Hour

func filter(importance *string) *contact.Filter { return &contact.Filter{Importance: importance} }
