package webhook_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// handover stores a case without a plan.
func (s *scene) handover(leaver nid.ID) nid.ID {
	s.t.Helper()
	id := nid.New(nid.Handover)
	s.in(func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "handovers", `INSERT INTO handovers (id, corp_id, created_at, updated_at, version, kind, state, digest, plan, leaver_id)
			VALUES ($1, $2, $3, $3, 1, 'ON_JOB', 'RUNNING', '', '{}', $4) RETURNING id`, id, s.ID, tx.Now(), leaver)
		tx.Cover(ids...)
		return err
	})
	return id
}

func (s *scene) given(handover nid.ID, to map[nid.ID]notify.Gift) {
	s.t.Helper()
	s.in(func(ctx context.Context, tx *store.Tx) error { return notify.Given(ctx, tx, handover, to) })
}

// digests runs the work and gives how far ahead the next is; -1 for none.
func (s *scene) digests() time.Duration {
	s.t.Helper()
	next, err := s.s.Digests(context.Background(), s.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	if next.IsZero() {
		return -1
	}
	return next.Sub(s.Clock.Now())
}

// digest is what a receiver reads.
type digest struct {
	Type string
	Data struct {
		Corp, Subject, Member nid.ID
		Handovers             []nid.ID
		Contacts, Groups      int

		ContactsTakenBack, GroupsTakenBack int
	}
}

func (s *scene) told() map[nid.ID]digest {
	s.t.Helper()
	s.deliver()
	_, bodies := s.r.got()
	out := map[nid.ID]digest{}
	for _, b := range bodies {
		var d digest
		if err := json.Unmarshal([]byte(b), &d); err != nil {
			s.t.Fatal(err)
		}
		if _, twice := out[d.Data.Member]; twice || d.Type != "successor.digest" || d.Data.Subject != d.Data.Member || d.Data.Corp != s.ID {
			s.t.Errorf("a message too many, or of another kind: %s", b)
		}
		out[d.Data.Member] = d
	}
	return out
}

func TestOneDigestForEachSuccessor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		a, b := s.Member("a", s.Root), s.Member("b", s.Root)
		first, second := s.handover(s.Admin), s.handover(s.Admin)
		if next := s.digests(); next != -1 {
			t.Errorf("nothing was given, and the next is in %s", next)
		}
		for range 25 { // the chunks of a large handover
			s.given(first, map[nid.ID]notify.Gift{a: {Contacts: 200}})
			clock.Add(time.Minute)
		}
		s.given(second, map[nid.ID]notify.Gift{a: {Groups: 3}, b: {Contacts: 1}})
		if next := s.digests(); next != 10*time.Minute {
			t.Errorf("the next is in %s", next)
		}
		clock.Add(10*time.Minute - time.Microsecond)
		s.digests()
		if told := s.told(); len(told) != 0 {
			t.Errorf("too early: %v", told)
		}
		clock.Add(time.Microsecond)
		if next := s.digests(); next != -1 {
			t.Errorf("all are told, and the next is in %s", next)
		}
		told := s.told()
		if len(told) != 2 {
			t.Fatalf("told are %v", told)
		}
		d := told[a].Data
		if d.Contacts != 5000 || d.Groups != 3 || len(d.Handovers) != 2 || !slices.Contains(d.Handovers, first) || !slices.Contains(d.Handovers, second) {
			t.Errorf("a is told %+v", d)
		}
		if d := told[b].Data; d.Contacts != 1 || d.Groups != 0 || !slices.Equal(d.Handovers, []nid.ID{second}) {
			t.Errorf("b is told %+v", d)
		}
		s.digests()
		if told := s.told(); len(told) != 0 {
			t.Errorf("told again: %v", told)
		}
	})
}

// What is taken back before it is told is not told, and what was told is told to be
// taken back: what a successor hears always sums up to what they have.
func TestADigestFollowsAnUndo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		a, b := s.Member("a", s.Root), s.Member("b", s.Root)
		first, second := s.handover(s.Admin), s.handover(s.Admin)
		taken := func(handover nid.ID, from map[nid.ID]notify.Gift) {
			t.Helper()
			s.in(func(ctx context.Context, tx *store.Tx) error { return notify.TakenBack(ctx, tx, handover, from) })
		}
		told := func() map[nid.ID]digest {
			t.Helper()
			clock.Add(10 * time.Minute)
			if next := s.digests(); next != -1 {
				t.Errorf("the next is in %s", next)
			}
			return s.told()
		}
		s.given(first, map[nid.ID]notify.Gift{a: {Contacts: 191, Groups: 2}, b: {Contacts: 5}})
		s.given(second, map[nid.ID]notify.Gift{b: {Groups: 1}})
		taken(first, map[nid.ID]notify.Gift{a: {Contacts: 191, Groups: 2}, b: {Contacts: 2}})
		got := told()
		if len(got) != 1 || got[b].Data.Contacts != 3 || got[b].Data.Groups != 1 || got[b].Data.ContactsTakenBack != 0 || len(got[b].Data.Handovers) != 2 {
			t.Errorf("told are %+v", got)
		}
		// Two of the three that were told, with one more that was not.
		s.given(first, map[nid.ID]notify.Gift{b: {Contacts: 1}})
		taken(first, map[nid.ID]notify.Gift{b: {Contacts: 3}})
		taken(second, map[nid.ID]notify.Gift{b: {Groups: 1}})
		got = told()
		if d := got[b].Data; len(got) != 1 || d.Contacts != 0 || d.Groups != 0 || d.ContactsTakenBack != 2 || d.GroupsTakenBack != 1 || len(d.Handovers) != 2 {
			t.Errorf("told are %+v", got)
		}
		if got := told(); len(got) != 0 {
			t.Errorf("told again: %+v", got)
		}
	})
}

// Who keeps getting things is told of the first after an hour and ten minutes.
func TestADigestIsNotPutOffForEver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		a := s.Member("a", s.Root)
		waited := time.Duration(0)
		for len(s.told()) == 0 && waited < 3*time.Hour {
			s.given(s.handover(s.Admin), map[nid.ID]notify.Gift{a: {Contacts: 1}})
			next := s.digests()
			if next < 0 || next > 10*time.Minute {
				t.Fatalf("after %s the next is in %s", waited, next)
			}
			step := min(next, 5*time.Minute)
			clock.Add(step)
			waited += step
			s.digests()
		}
		if waited != 70*time.Minute {
			t.Errorf("the first digest came after %s", waited)
		}
	})
}

func TestTwoWorkersTellNobodyTwice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		h := s.handover(s.Admin)
		to := map[nid.ID]notify.Gift{}
		for i := range 130 { // more than one transaction tells
			to[s.Member(string(rune('a'+i%26))+time.Duration(i).String(), s.Root)] = notify.Gift{Contacts: 1}
		}
		s.given(h, to)
		clock.Add(10 * time.Minute)
		if next := s.digests(); next != 0 {
			t.Errorf("thirty are still to be told, and the next is in %s", next)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					next, err := s.s.Digests(context.Background(), s.ID)
					if err != nil {
						t.Error(err)
					}
					if err != nil || next.IsZero() {
						return
					}
				}
			})
		}
		wg.Wait()
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM webhook_deliveries WHERE corp_id = $1`, s.ID); n != 130 {
			t.Errorf("%d digests for 130 successors", n)
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(DISTINCT subject_id) FROM webhook_deliveries WHERE corp_id = $1`, s.ID); n != 130 {
			t.Errorf("%d successors were told", n)
		}
	})
}
