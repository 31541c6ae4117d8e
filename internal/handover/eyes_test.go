package handover_test

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Whatever five administrators and their tokens do, in whatever order: nothing is
// carried out in which requester, responsible person, executor and voters are fewer
// independent hands than one more than the votes that it needs. And the service agrees
// with the model about who could have acted as whom. 30 sequences on each engine; more
// with -rapid.checks.
func TestNobodyDecidesAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		n, voted := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			w := newWorld(t, db, clock, fmt.Sprint("corp ", n))
			for range rapid.IntRange(20, 60).Draw(rt, "steps") {
				w.step(rt)
				if len(w.violations) > 0 {
					rt.Fatalf("%v", w.violations)
				}
			}
			w.agree()
			voted += w.voted
		})
		if voted == 0 {
			t.Error("nothing was ever carried out by votes")
		}
	})
}

// step does one thing at random. It may be refused; what then happened is nothing.
func (w *world) step(rt *rapid.T) {
	draw := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(rt, what) }
	person := func(what string) int { return draw(what, crew) }
	who := func() int {
		if len(w.tokens) > 0 && draw("program", 3) == 0 {
			return 100 + draw("token", len(w.tokens))
		}
		return person("who")
	}
	// What people do most stands here more often.
	acts := []string{"reset", "own", "own", "connect", "token", "policy", "create", "create", "wait", "hand over", "calm", "decide", "decide", "decide", "decide"}
	if len(w.providers) > 0 {
		acts = append(acts, "link")
	}
	if len(w.plans) > 0 {
		acts = append(acts, "submit", "submit", "vote", "vote", "vote", "vote", "execute", "execute", "execute", "replan")
	}
	latest := func() *plan { return w.plans[len(w.plans)-1-draw("plan", min(len(w.plans), 3))] }
	var err error
	switch acts[draw("act", len(acts))] {
	case "reset":
		by, of := person("by"), person("of")
		if by != of {
			w.reset(by, of)
		}
	case "own":
		[]func(int){w.password, w.factor, w.own, w.own}[draw("what", 4)](person("of"))
	case "calm": // some days later, most have their accounts to themselves
		for range crew {
			w.own(person("of"))
		}
		w.wait(73 * time.Hour)
	case "connect":
		w.connect(person("by"), draw("provider", len(w.providers)+1))
	case "link":
		w.link(person("of"), draw("provider", len(w.providers)))
	case "token":
		w.token(person("maker") - draw("machine", 2)*crew)
	case "policy":
		w.rule(draw("above", 5)-1, draw("keys", 3) > 0, 1+draw("approvals", 3))
	case "wait":
		w.wait([]time.Duration{time.Minute, 5 * time.Hour, 23 * time.Hour, 40 * time.Hour, 72 * time.Hour}[draw("long", 5)])
	case "hand over":
		err = w.handOver(person("who"), 1+draw("normal", 3), draw("key", 2))
	case "create":
		var at *time.Time
		if draw("later", 4) == 0 {
			start := w.DB.Now().Add(time.Hour)
			at = &start
		}
		_, err = w.create(who(), 1+draw("normal", 4), draw("key", 2), at)
	case "decide": // all of it, as people who want it done would
		var p *plan
		if p, err = w.create(who(), 1+draw("normal", 3), draw("key", 3), nil); err == nil {
			err = w.submit(who(), p)
			for _, voter := range rapid.Permutation([]int{0, 1, 2, 3, 4}).Draw(rt, "voters")[:1+draw("votes", crew)] {
				_ = w.vote(voter, p)
			}
			err = errors.Join(err, w.execute(person("executor"), p))
		}
	case "submit":
		err = w.submit(who(), latest())
	case "replan":
		err = w.replan(who(), latest(), 1+draw("normal", 2), draw("key", 2))
	case "vote":
		err = w.vote(person("voter"), latest())
	case "execute":
		err = w.execute(person("executor"), latest())
	}
	switch fault.CodeOf(err) {
	case "", fault.Conflict, fault.Forbidden, fault.ApprovalRequired, fault.Invalid:
	default:
		rt.Fatalf("%v", err)
	}
}

// holes are the ways around the rule that there were or could be: how to go it, and
// what takes the part out that closes it. w and its people are those of the model:
// person 0 is who wants to decide alone.
var holes = []struct {
	name    string
	without func(w *world)
	way     func(w *world)
}{
	{"a service token's plan has no responsible person", func(*world) {
		handover.Eyes.Responsible = func(_ context.Context, _ store.Querier, a *access.Actor) (id nid.ID, _ error) {
			if a.Kind == access.Person {
				id = a.ID
			}
			return id, nil
		}
	}, func(w *world) { w.through(100+w.token(0), 0, 1, nil) }},
	{"the responsible person may vote", func(*world) {
		handover.Eyes.Behind = func(r *handover.Record, executor nid.ID) []nid.ID { return handover.Some(r.Requester, executor) }
	}, func(w *world) { w.through(100+w.token(0), 0, 1, nil) }},
	{"the executor may vote", func(*world) {
		handover.Eyes.Behind = func(r *handover.Record, _ nid.ID) []nid.ID { return handover.Some(append(r.Authors, r.Responsible)...) }
	}, func(w *world) { w.through(0, 1, 1, nil) }},
	{"the executor may be the voter", func(*world) {
		handover.Eyes.Behind = func(r *handover.Record, _ nid.ID) []nid.ID { return handover.Some(append(r.Authors, r.Responsible)...) }
	}, func(w *world) { w.through(0, 1, 2, func() { w.reset(2, 1) }) }},
	{"the author of an earlier plan may vote", func(*world) {
		handover.Eyes.Behind = func(r *handover.Record, executor nid.ID) []nid.ID {
			return handover.Some(r.Requester, r.Responsible, executor)
		}
	}, func(w *world) {
		p := w.planned(w.create(0, 1, 1, nil))
		w.must(w.replan(1, p, 1, 1))
		w.votedOn(p, 1, 0, 1, nil)
	}},
	{"hands are not asked for again when it is carried out", func(*world) {
		handover.Eyes.Counted = func(_ identity.Hands, _, valid []nid.ID) []nid.ID { return valid }
	}, func(w *world) { w.through(0, 1, 0, func() { w.reset(0, 1) }) }},
	{"hands are not asked for again when it starts by itself", func(*world) {
		handover.Eyes.Counted = func(_ identity.Hands, _, valid []nid.ID) []nid.ID { return valid }
	}, func(w *world) {
		start := w.DB.Now().Add(time.Hour)
		p := w.planned(w.create(0, 1, 1, &start))
		w.votedOn(p, 0, 1, 0, nil)
		w.reset(0, 1)
		w.wait(2 * time.Hour)
	}},
	{"hands are not asked for again in the background", func(*world) {
		handover.Eyes.Counted = func(_ identity.Hands, _, valid []nid.ID) []nid.ID { return valid }
	}, func(w *world) {
		p := w.planned(w.create(0, 4, 1, nil)) // more than fit into one transaction
		w.votedOn(p, 0, 1, 0, nil)
		w.reset(0, 1)
		w.wait(time.Minute)
	}},
	{"the voters are not held against each other", func(*world) {
		handover.Eyes.Counted = func(hands identity.Hands, behind, valid []nid.ID) (out []nid.ID) {
			for _, v := range valid {
				apart := true
				for _, b := range behind {
					apart = apart && hands.Apart(v, b)
				}
				if apart {
					out = append(out, v)
				}
			}
			return out
		}
	}, func(w *world) {
		w.rule(-1, true, 2)
		p := w.planned(w.create(0, 1, 1, nil))
		w.must(w.submit(0, p))
		w.must(w.vote(1, p))
		w.must(w.vote(2, p))
		w.reset(3, 1)
		w.reset(3, 2)
		_ = w.execute(0, p)
	}},
	{"a reset does not count", lacking(parts{noReset: true}), func(w *world) {
		w.reset(0, 1)
		w.through(0, 1, 0, nil)
	}},
	{"a reset by way of another does not count", lacking(parts{direct: true}), func(w *world) {
		w.reset(0, 2)
		w.reset(2, 1)
		w.through(0, 1, 0, nil)
	}},
	{"a reset ends by the clock alone", lacking(parts{clockAlone: true}), func(w *world) {
		w.reset(0, 1)
		w.wait(100 * time.Hour)
		w.through(0, 1, 0, nil)
	}},
	{"a reset ends by a new password alone", lacking(parts{ownAlone: true}), func(w *world) {
		w.reset(0, 1)
		w.own(1) // whoever that was
		w.through(0, 1, 0, nil)
	}},
	{"a reset by who could be another ends with theirs", lacking(parts{nowOnly: true}), func(w *world) {
		w.reset(0, 1)
		w.own(1)
		w.wait(71 * time.Hour)
		w.reset(1, 2)
		w.own(2)
		w.wait(2 * time.Hour)
		w.through(0, 2, 0, nil)
	}},
	{"an identity provider does not count", lacking(parts{noLink: true}), func(w *world) {
		w.connect(0, 0)
		w.link(1, 0)
		w.through(0, 1, 0, nil)
	}},
	{"only who switches a provider on counts", lacking(parts{noDraft: true}), func(w *world) {
		w.connect(0, 0)
		w.wait(100 * time.Hour)
		w.connect(2, 0)
		w.link(1, 0)
		w.through(0, 1, 0, nil)
	}},
	{"plans without a requester do not add up", func(*world) {
		handover.Eyes.Summed = func(r *handover.Record, _ nid.ID) []nid.ID { return handover.Some(r.Requester) }
	}, func(w *world) {
		w.rule(2, false, 1)
		token := 100 + w.token(0)
		for _, executor := range []int{1, 2} {
			w.unvoted(token, executor)
		}
	}},
	{"what the executor has moved does not add up", func(*world) {
		handover.Eyes.Summed = func(r *handover.Record, _ nid.ID) []nid.ID { return handover.Some(r.Requester, r.Responsible) }
	}, func(w *world) {
		w.rule(2, false, 1)
		for _, maker := range []int{1, 2} {
			w.unvoted(100+w.token(maker), 0)
		}
	}},
}

func lacking(p parts) func(*world) {
	return func(w *world) { handover.Eyes.Hands = w.weakened(p) }
}

func (w *world) must(err error) {
	w.t.Helper()
	ok(w.t, err)
}

func (w *world) planned(p *plan, err error) *plan {
	w.t.Helper()
	ok(w.t, err)
	return p
}

// through has a plan with a KEY contact made, voted on and executed, as far as it goes.
func (w *world) through(who, voter, executor int, meanwhile func()) {
	w.t.Helper()
	w.votedOn(w.planned(w.create(who, 1, 1, nil)), who, voter, executor, meanwhile)
}

func (w *world) votedOn(p *plan, who, voter, executor int, meanwhile func()) {
	w.t.Helper()
	w.must(w.submit(who, p))
	_ = w.vote(voter, p)
	if meanwhile != nil {
		meanwhile()
	}
	_ = w.execute(executor, p)
}

// unvoted has two contacts moved without asking anybody, if that goes.
func (w *world) unvoted(who, executor int) {
	w.t.Helper()
	p := w.planned(w.create(who, 2, 0, nil))
	w.must(w.submit(who, p))
	_ = w.execute(executor, p)
}

// Each way around the rule is closed, and is open again, as the property shows, where
// the part of the rule that closes it is taken out. It does not run beside other tests.
func TestEachPartOfTheFourEyesRuleIsNeeded(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.SQLite(t, clock)
	rule := *handover.Eyes
	t.Cleanup(func() { *handover.Eyes = rule })
	for i, hole := range holes {
		for _, closed := range []bool{true, false} {
			*handover.Eyes = rule
			w := newWorld(t, db, clock, fmt.Sprint("corp ", i, closed))
			if !closed {
				hole.without(w)
			}
			hole.way(w)
			if found := len(w.violations) > 0; found == closed {
				t.Errorf("%s: closed %v, found %v: %v", hole.name, closed, found, w.violations)
			}
		}
	}
}

// The largest set is found whatever the order of the votes.
func TestTheLargestIndependentSetOfVotesCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 9).Draw(rt, "n")
		near := make([]uint64, n)
		for i := range n {
			for j := range i {
				if rapid.IntRange(0, 2).Draw(rt, "near") == 0 {
					near[i] |= 1 << j
					near[j] |= 1 << i
				}
			}
		}
		apart := func(set uint64) bool {
			for i := range n {
				if set>>i&1 == 1 && near[i]&set != 0 {
					return false
				}
			}
			return true
		}
		most := 0
		for set := range uint64(1) << n {
			if apart(set) {
				most = max(most, bits.OnesCount64(set))
			}
		}
		if got := handover.Largest(near, 1<<n-1); !apart(got) || bits.OnesCount64(got) != most {
			rt.Errorf("%b of %b: want %d", got, near, most)
		}
	})
}
