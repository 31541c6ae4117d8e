package contact_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp where lina and wang follow one contact.
type scene struct {
	*testcorp.Corp
	t                   *testing.T
	s                   *contact.Service
	lina, wang          nid.ID
	contact             nid.ID
	asLina, admin, boss context.Context // boss manages sales, where both are
	viewer, stranger    context.Context // sees the contact; does not
}

func each(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		s := &scene{Corp: c, t: t, s: &contact.Service{DB: db, Log: c.Log}}
		sales, north := c.Department("sales", c.Root), c.Department("north", c.Root)
		s.lina, s.wang = c.Member("lina", sales), c.Member("wang", sales)
		s.contact = c.Contact("Ann", "NORMAL", s.lina, s.wang)
		boss, viewer, stranger := c.Member("boss", c.Root), c.Member("viewer", c.Root), c.Member("stranger", north)
		c.Grant(boss, access.Manager.Name, sales)
		c.Grant(viewer, access.Auditor.Name, sales)
		c.Grant(stranger, access.Manager.Name, north)
		s.asLina, s.admin, s.boss = c.SignedIn(s.lina, false), c.SignedIn(c.Admin, false), c.SignedIn(boss, false)
		s.viewer, s.stranger = c.SignedIn(viewer, false), c.SignedIn(stranger, false)
		test(t, s)
	})
}

func (s *scene) count(query string, args ...any) int {
	s.t.Helper()
	return testcorp.Value[int](s.Corp, query, args...)
}

func (s *scene) follow(member nid.ID) nid.ID {
	s.t.Helper()
	return testcorp.Value[nid.ID](s.Corp, `SELECT id FROM follows WHERE contact_id = $1 AND member_id = $2`, s.contact, member)
}

// tagNames lists the tags of a contact or follow, in order.
func (s *scene) tagNames(of nid.ID) []string {
	s.t.Helper()
	table, column := "contact_tags", "contact_id"
	if of.Kind() == nid.Follow {
		table, column = "follow_tags", "follow_id"
	}
	var out []string
	s.must(s.DB.View(s.admin, func(ctx context.Context, r *store.Read) (err error) {
		out, err = store.Select(ctx, r, func(n *string) []any { return []any{n} },
			`SELECT t.name FROM `+table+` AS j JOIN tags AS t ON t.id = j.tag_id WHERE j.`+column+` = $1 ORDER BY t.name`, of)
		return err
	}))
	return out
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// counted checks the followers' counters against the contacts.
func (s *scene) counted() {
	s.t.Helper()
	if n := s.count(`SELECT count(*) FROM member_counters AS c WHERE key_contacts <> (SELECT count(*) FROM follows AS f JOIN contacts AS k ON k.id = f.contact_id
		WHERE f.member_id = c.member_id AND f.ended_at IS NULL AND k.importance = 'KEY')
		OR waiting_key_contacts <> (SELECT count(*) FROM follows AS f JOIN contacts AS k ON k.id = f.contact_id
		WHERE f.member_id = c.member_id AND f.reserved_by_id IS NOT NULL AND f.ended_at IS NULL AND k.importance = 'KEY')`); n != 0 {
		s.t.Errorf("%d counters of key contacts differ from a recount", n)
	}
}

func want(t *testing.T, what string, err error, code fault.Code, field string) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, code)
	} else if f, _ := errors.AsType[*fault.Error](err); f != nil && f.Field != field {
		t.Errorf("%s: field is %q, want %q", what, f.Field, field)
	}
}

func to[T any](v T) *T { return &v }

func TestUpdate(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.must(s.s.Update(s.boss, contact.UpdateInput{ID: s.contact, Version: 1, Name: to("ÉLAN 李"), Company: to("Acme"), Importance: to("KEY"), Tags: []string{"vip", "east", "vip"}}))
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND version = 2 AND name = 'ÉLAN 李' AND name_key = 'élan 李' AND company = 'Acme' AND importance = 'KEY'`, s.contact); n != 1 {
			t.Error("the contact is not as it was written")
		}
		s.counted()
		if got := s.tagNames(s.contact); !slices.Equal(got, []string{"east", "vip"}) {
			t.Errorf("tags %q", got)
		}
		// The name can be found under its new key and not under the old one.
		for text, found := range map[string]int{"李": 1, "Ann": 0} {
			var w store.Where
			contact.Search(&w, "contacts", text)
			where, args := w.SQL(1)
			if n := s.count(`SELECT count(*) FROM contacts WHERE `+where, args...); n != found {
				t.Errorf("searching %q finds %d", text, n)
			}
		}
		// A part that is not given stays; an empty one goes.
		s.must(s.s.Update(s.asLina, contact.UpdateInput{ID: s.contact, Version: 2, Company: to(""), Tags: []string{"east"}}))
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND version = 3 AND name = 'ÉLAN 李' AND company IS NULL AND importance = 'KEY'`, s.contact); n != 1 {
			t.Error("a part that was not given changed, or the company stayed")
		}
		if got := s.tagNames(s.contact); !slices.Equal(got, []string{"east"}) {
			t.Errorf("tags %q", got)
		}
		s.must(s.s.Update(s.Verified(s.Admin), contact.UpdateInput{ID: s.contact, Version: 3, Importance: to("NORMAL"), Tags: []string{}}))
		s.counted()
		if got := s.tagNames(s.contact); len(got) != 0 {
			t.Errorf("tags %q", got)
		}
		entries := func() int {
			return s.count(`SELECT count(*) FROM audit_entries WHERE action = 'contact.update' AND subject_id = $1`, s.contact)
		}
		if n := entries(); n != 3 {
			t.Errorf("%d entries of 3 changes", n)
		}
		// What is so already changes nothing.
		s.must(s.s.Update(s.asLina, contact.UpdateInput{ID: s.contact, Version: 4, Name: to("ÉLAN 李"), Company: to(""), Importance: to("NORMAL"), Tags: []string{}}))
		if n := s.count(`SELECT version FROM contacts WHERE id = $1`, s.contact); n != 4 || entries() != 3 {
			t.Error("a change to the same values was taken for a change")
		}
		// No personal value stands in the log in clear.
		leaves := s.count(`SELECT count(*) FROM audit_entries WHERE subject_id = $1 AND `+map[bool]string{
			true: "position('Acme'::bytea IN leaf) > 0", false: "instr(leaf, CAST('Acme' AS BLOB)) > 0"}[s.DB.Postgres()], s.contact)
		if leaves != 0 {
			t.Error("the company's name stands in the log")
		}
	})
}

func TestUpdateRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		long := strings.Repeat("x", 129)
		many := make([]string, 51)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		other := testcorp.New(t, s.DB, s.Clock, "other")
		foreign := other.Contact("foreign", "NORMAL", other.Admin)
		archived := s.Contact("archived", "NORMAL", s.lina)
		s.must(s.raw("contacts", `UPDATE contacts SET archived_at = updated_at WHERE id = $1 RETURNING id`, archived))
		in := func(f func(*contact.UpdateInput)) contact.UpdateInput {
			i := contact.UpdateInput{ID: s.contact, Version: 1, Name: to("new")}
			f(&i)
			return i
		}
		same := func(*contact.UpdateInput) {}
		for _, c := range []struct {
			name  string
			ctx   context.Context
			in    contact.UpdateInput
			code  fault.Code
			field string
		}{
			{"nobody signed in", context.Background(), in(same), fault.Unauthenticated, ""},
			{"unknown", s.admin, in(func(i *contact.UpdateInput) { i.ID = nid.New(nid.Contact) }), fault.NotFound, "input.id"},
			{"another corp's", s.admin, in(func(i *contact.UpdateInput) { i.ID = foreign }), fault.NotFound, "input.id"},
			{"not to be seen", s.stranger, in(same), fault.NotFound, "input.id"},
			{"seen but not managed", s.viewer, in(same), fault.Forbidden, ""},
			{"empty name", s.admin, in(func(i *contact.UpdateInput) { i.Name = to(" ") }), fault.Invalid, "input.name"},
			{"long name", s.admin, in(func(i *contact.UpdateInput) { i.Name = &long }), fault.Invalid, "input.name"},
			{"company of two lines", s.admin, in(func(i *contact.UpdateInput) { i.Company = to("a\nb") }), fault.Invalid, "input.company"},
			{"importance", s.admin, in(func(i *contact.UpdateInput) { i.Importance = to("HUGE") }), fault.Invalid, "input.importance"},
			{"too many tags", s.admin, in(func(i *contact.UpdateInput) { i.Tags = many }), fault.Invalid, "input.tags"},
			{"empty tag", s.admin, in(func(i *contact.UpdateInput) { i.Tags = []string{"a", ""} }), fault.Invalid, "input.tags.1"},
			{"a new tag without MANAGE_TAGS", s.asLina, in(func(i *contact.UpdateInput) { i.Tags = []string{"new"} }), fault.Invalid, "input.tags"},
			{"stale", s.admin, in(func(i *contact.UpdateInput) { i.Version = 2 }), fault.Conflict, "input.version"},
			{"archived", s.admin, in(func(i *contact.UpdateInput) { i.ID = archived }), fault.Conflict, "input.id"},
		} {
			want(t, c.name, s.s.Update(c.ctx, c.in), c.code, c.field)
		}
		if n := s.count(`SELECT count(*) FROM contacts WHERE id = $1 AND version = 1 AND name = 'Ann'`, s.contact); n != 1 {
			t.Error("a refusal changed the contact")
		}
		if n := s.count(`SELECT count(*) FROM tags`); n != 0 {
			t.Error("a refusal made a tag")
		}
		s.must(s.s.Update(s.admin, in(same)))
		want(t, "replay", s.s.Update(s.admin, in(same)), fault.Conflict, "input.version")
	})
}

func TestUpdateFollow(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := s.follow(s.lina)
		s.must(s.s.Update(s.boss, contact.UpdateInput{ID: s.contact, Version: 1, Tags: []string{"vip"}}))
		s.must(s.s.UpdateFollow(s.asLina, contact.FollowInput{ID: f, Version: 1, Remark: to("met in May"), Description: to("line\nline"), Tags: []string{"vip"}}))
		if n := s.count(`SELECT count(*) FROM follows WHERE id = $1 AND version = 2 AND owner_version = 1 AND remark = 'met in May' AND description LIKE 'line_line'`, f); n != 1 {
			t.Error("the follow is not as it was written")
		}
		if got := s.tagNames(f); !slices.Equal(got, []string{"vip"}) {
			t.Errorf("tags %q", got)
		}
		if n := s.count(`SELECT count(*) FROM tags`); n != 1 {
			t.Errorf("%d tags of one name", n)
		}
		s.must(s.s.UpdateFollow(s.boss, contact.FollowInput{ID: f, Version: 2, Remark: to("")}))
		if n := s.count(`SELECT count(*) FROM follows WHERE id = $1 AND version = 3 AND remark IS NULL AND description IS NOT NULL`, f); n != 1 {
			t.Error("the remark is still there, or the description is not")
		}
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'follow.update' AND subject_id = $1`, f); n != 2 {
			t.Errorf("%d entries of 2 changes", n)
		}
		ended := s.follow(s.wang)
		s.must(s.raw("follows", `UPDATE follows SET ended_at = updated_at WHERE id = $1 RETURNING id`, ended))
		long := strings.Repeat("x", 2001)
		for _, c := range []struct {
			name  string
			ctx   context.Context
			in    contact.FollowInput
			code  fault.Code
			field string
		}{
			{"unknown", s.admin, contact.FollowInput{ID: nid.New(nid.Follow), Version: 3}, fault.NotFound, "input.id"},
			{"not to be seen", s.stranger, contact.FollowInput{ID: f, Version: 3}, fault.NotFound, "input.id"},
			{"seen but not managed", s.viewer, contact.FollowInput{ID: f, Version: 3}, fault.Forbidden, ""},
			{"remark of two lines", s.asLina, contact.FollowInput{ID: f, Version: 3, Remark: to("a\nb")}, fault.Invalid, "input.remark"},
			{"long description", s.asLina, contact.FollowInput{ID: f, Version: 3, Description: &long}, fault.Invalid, "input.description"},
			{"stale", s.asLina, contact.FollowInput{ID: f, Version: 2, Remark: to("x")}, fault.Conflict, "input.version"},
			{"ended", s.admin, contact.FollowInput{ID: ended, Version: 1}, fault.Conflict, "input.id"},
		} {
			want(t, c.name, s.s.UpdateFollow(c.ctx, c.in), c.code, c.field)
		}
	})
}

// A colleague who follows the same contact may change the contact, and not what
// somebody else wrote.
func TestUpdateFollowOfAColleague(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := s.follow(s.wang)
		want(t, "a colleague's", s.s.UpdateFollow(s.asLina, contact.FollowInput{ID: f, Version: 1, Remark: to("x")}), fault.Forbidden, "")
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = 'access.deny' AND actor_id = $1`, s.lina); n != 1 {
			t.Errorf("%d denials in the log", n)
		}
	})
}

// Nothing here changes what a leaver left, nor its protection.
func TestProtectedStaysAsItIs(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		f := s.follow(s.lina)
		s.Depart(s.lina)
		for _, ctx := range []context.Context{s.admin, s.boss, s.SignedIn(s.wang, false)} {
			want(t, "contact", s.s.Update(ctx, contact.UpdateInput{ID: s.contact, Version: 1, Name: to("x"), Importance: to("KEY"), Tags: []string{}}), fault.Conflict, "input.id")
		}
		want(t, "follow", s.s.UpdateFollow(s.admin, contact.FollowInput{ID: f, Version: 1, Remark: to("x"), Tags: []string{}}), fault.Conflict, "input.id")
		// A colleague still at work keeps their own notes.
		s.must(s.s.UpdateFollow(s.SignedIn(s.wang, false), contact.FollowInput{ID: s.follow(s.wang), Version: 1, Remark: to("mine")}))
		if n := s.count(`SELECT count(*) FROM contacts AS k JOIN follows AS f ON f.contact_id = k.id WHERE f.id = $1 AND k.protected AND f.protected
			AND k.version = 1 AND f.version = 1 AND k.name = 'Ann' AND f.remark = 'remark of Ann'`, f); n != 1 {
			t.Error("what the leaver left has changed")
		}
		s.counted()
	})
}

// The importance of a contact that waits for a platform counts as waiting.
func TestImportanceWhileAPlatformDecides(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		zhao := s.Member("zhao", s.Root)
		platform := &handover.Service{DB: s.DB, Log: s.Log, Platform: func(nid.ID) bool { return true }}
		_, err := platform.HandOver(s.Verified(s.Admin), handover.Input{Kind: handover.OnJob, LeaverID: s.lina, Successors: handover.Choice{MemberID: &zhao}}, nil, "key")
		s.must(err)
		s.must(s.s.Update(s.admin, contact.UpdateInput{ID: s.contact, Version: 1, Importance: to("KEY")}))
		s.counted()
		s.must(s.s.Update(s.Verified(s.Admin), contact.UpdateInput{ID: s.contact, Version: 2, Importance: to("NORMAL")}))
		s.counted()
	})
}

// Of changes that saw the same version one is taken, whoever makes it, and tags of
// one name are made once.
func TestUpdateAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				if i%2 == 0 {
					errs[i] = s.s.Update(s.boss, contact.UpdateInput{ID: s.contact, Version: 1, Importance: to("KEY"), Tags: []string{"vip", fmt.Sprint(i)}})
				} else {
					errs[i] = s.s.UpdateFollow(s.boss, contact.FollowInput{ID: s.follow(s.wang), Version: 1, Remark: to(fmt.Sprint(i)), Tags: []string{"vip"}})
				}
			})
		}
		wg.Wait()
		taken := [2]int{}
		for i, err := range errs {
			if err == nil {
				taken[i%2]++
			} else {
				want(t, "later", err, fault.Conflict, "input.version")
			}
		}
		if taken != [2]int{1, 1} {
			t.Errorf("%v changes were taken", taken)
		}
		if n := s.count(`SELECT count(*) FROM tags WHERE name = 'vip'`); n != 1 {
			t.Errorf("%d tags of one name", n)
		}
		s.counted()
	})
}

// raw changes the database past the use cases.
func (s *scene) raw(table, query string, args ...any) error {
	return s.DB.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	})
}

// A follower whom an import adds while the change waits for the contact is counted
// like the others.
func TestImportanceWhileAFollowerIsAdded(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	c := testcorp.New(t, db, clock, "acme")
	service := &contact.Service{DB: db, Log: c.Log}
	lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
	id := c.Contact("Ann", "NORMAL", lina)
	importance, changed := "KEY", make(chan error, 1)
	admin := c.SignedIn(c.Admin, false)
	err := db.Tx(store.System(t.Context(), c.ID, "import"), func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM contacts WHERE corp_id = $1 AND id = $2`+db.ForUpdate(), c.ID, id); err != nil {
			return err
		}
		go func() {
			changed <- service.Update(admin, contact.UpdateInput{ID: id, Version: 1, Importance: &importance})
		}()
		for testcorp.Value[int](c, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 0 {
			if t.Context().Err() != nil {
				return t.Context().Err()
			}
		}
		ids, err := tx.Change(ctx, "follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, since)
			VALUES ($1, $2, $3, $3, 1, $4, $5, $3) RETURNING id`, nid.New(nid.Follow), c.ID, tx.Now(), id, wang)
		if err != nil {
			return err
		}
		tx.Cover(ids...)
		_, err = tx.Keep(ctx, "member_counters", `UPDATE member_counters SET contacts = contacts + 1 WHERE corp_id = $1 AND member_id = $2`, c.ID, wang)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	if n := testcorp.Value[int](c, `SELECT count(*) FROM member_counters WHERE contacts = 1 AND key_contacts = 1`); n != 2 {
		t.Errorf("%d of 2 followers count the key contact", n)
	}
}
