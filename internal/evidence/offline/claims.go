package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// entry is a line of entries.jsonl.
type entry struct {
	Index int64    `json:"index"`
	Leaf  string   `json:"leaf"`
	Proof []string `json:"proof"`
}

// leaf is what is looked at in an entry (docs/audit-log.md, "Members of a leaf").
type leaf struct {
	Corp, Action, Subject, Handover string
	Index                           int64
	At                              time.Time
	Actor                           struct{ Kind, ID string }
	Before                          struct {
		Item, Owner  string
		OwnerVersion int
	}
	After struct {
		State, Kind, Leaver, Digest, Decision, RevertOf, FollowUpOf, By string
		Status, Owner, To                                               string
		Reason                                                          any // a code; of a plan, sealed words
		Transfers, Cancelled, Reverted                                  int
		Completed, ApprovalsRequired                                    *int
		Previous                                                        *int64
		Merged                                                          bool
		History                                                         []window
	}
}

// window is a grant of history in an entry, and its part of a line of history-grants.jsonl.
type window struct {
	ID                     string
	From, Until, ExpiresAt *time.Time
}

// outcome is what the newest entry says of a transfer.
type outcome struct {
	status, reason, item, from, to string
	version                        int
	merged                         bool
	at                             time.Time
}

// vote is what the newest entry says of somebody's vote on a plan.
type vote struct {
	decision string
	at       time.Time
	counted  bool // not voided since
}

// by is whose vote, and on what.
type by struct{ actor, digest string }

// claims are what the signed entries say, for the other files to be held against.
type claims struct {
	corp, handover                              string
	state, kind, leaver, digest                 string
	requester, executor                         string
	revertOf, followUpOf, revertedBy            string
	created                                     time.Time
	total, required, cancelled, reverted, moved int
	votes                                       map[by]vote
	outcomes                                    map[string]outcome
	granted                                     map[string]grantLine
	times                                       map[int64]bool // of the entries, in microseconds
	last                                        *int64         // the entry before

	items     map[string]item // of the plan, that no transfer was seen of
	transfers map[string]bool // those seen
	opened    map[string]bool // those whose period was seen
	byStatus  map[string]int
}

func newClaims(corp, handover string) *claims {
	return &claims{corp: corp, handover: handover, votes: map[by]vote{}, outcomes: map[string]outcome{}, granted: map[string]grantLine{}, times: map[int64]bool{},
		items: map[string]item{}, transfers: map[string]bool{}, opened: map[string]bool{}, byStatus: map[string]int{}}
}

// open says that transfers may still be carried out; what was rejected can be planned anew.
func open(state string) bool {
	return slices.Contains([]string{"DRAFT", "AWAITING_APPROVAL", "REJECTED", "READY", "SCHEDULED", "RUNNING"}, state)
}

// entry takes up the next entry.
func (c *claims) entry(e entry) error {
	var l leaf
	if err := json.Unmarshal([]byte(e.Leaf), &l); err != nil {
		return err
	}
	if l.Index != e.Index || l.Corp != c.corp || l.Handover != c.handover {
		return errors.New("the entry is of another place, corp or handover")
	}
	c.times[l.At.UnixMicro()] = true
	before := c.last
	c.last = &l.Index
	switch {
	case l.Action == "transfer.finish":
		c.finished(&l)
	case l.Subject == c.handover:
		if p := l.After.Previous; (p == nil) != (before == nil) || p != nil && *p != *before {
			return errors.New("an entry of the case before it is missing")
		}
		return c.step(&l)
	}
	return nil
}

func (c *claims) finished(l *leaf) {
	to := l.After.Owner
	if to == "" {
		to = l.After.To
	}
	reason, _ := l.After.Reason.(string)
	c.outcomes[l.Subject] = outcome{l.After.Status, reason, l.Before.Item, l.Before.Owner, to, l.Before.OwnerVersion, l.After.Merged, l.At}
	for _, w := range l.After.History {
		c.granted[w.ID] = grantLine{window: w, Successor: to, Item: l.Before.Item, Transfer: l.Subject}
	}
}

// step takes up what somebody did about the handover as a whole.
func (c *claims) step(l *leaf) error {
	a := &l.After
	if a.State != "" {
		c.state = a.State
	}
	planned := a.Leaver != ""
	switch {
	case planned: // created or planned anew
		if c.created.IsZero() {
			c.created = l.At
		}
		c.kind, c.leaver, c.total, c.revertOf, c.followUpOf = a.Kind, a.Leaver, a.Transfers, a.RevertOf, a.FollowUpOf
		c.requester = member(l)
	case l.Action == "handover.approve", l.Action == "handover.reject":
		c.votes[by{l.Actor.ID, a.Digest}] = vote{a.Decision, l.At, true}
	case l.Action == "handover.revert":
		c.reverted += a.Reverted
		c.revertedBy = a.By
	}
	if a.Digest != "" {
		c.digest = a.Digest
	}
	if a.ApprovalsRequired != nil && (planned || l.Action == "handover.submit") {
		c.required = *a.ApprovalsRequired
		for of, v := range c.votes { // votes are for one submission
			v.counted = false
			c.votes[of] = v
		}
	}
	if l.Action == "handover.cancel" && !open(a.State) {
		c.cancelled += a.Transfers
	}
	c.cancelled += a.Cancelled
	if a.Completed != nil && !open(a.State) {
		c.moved = *a.Completed + c.reverted
	}
	if !planned && slices.Contains([]string{"handover.execute", "handover.schedule", "handover.retry"}, l.Action) {
		if l.Actor.Kind != "SYSTEM" { // a worker begins for whoever scheduled it
			c.executor = member(l)
		}
		if n := c.approvals(); n < c.required {
			return fmt.Errorf("it needed %d approvals of the plan, and the entries before it hold %d", c.required, n)
		}
	}
	return nil
}

// approvals counts who approved of the plan that stands.
func (c *claims) approvals() (n int) {
	for of, v := range c.votes {
		if of.digest == c.digest && v.counted && v.decision == "APPROVED" {
			n++
		}
	}
	return n
}

func member(l *leaf) string {
	if l.Actor.Kind != "MEMBER" {
		return ""
	}
	return l.Actor.ID
}

// caseFile is what is looked at in case.json.
type caseFile struct {
	Corp, Key string
	Handover  struct {
		ID, Kind, State, Digest, RevertOf, RevertedBy, FollowUpOf string

		Leaver                person
		Requester, Executor   *person
		CreatedAt             time.Time
		StartedAt, FinishedAt *time.Time
		Total, Completed      int
	}
	Approvals []struct {
		Approver         person
		Decision, Digest string
		At               time.Time
	}
}

type person struct{ ID string }

func (p *person) id() string {
	if p == nil {
		return ""
	}
	return p.ID
}

// hold holds the case against the entries.
func (c *claims) hold(f *caseFile) error {
	h := &f.Handover
	if c.digest == "" {
		return errors.New("no entry records the plan's digest")
	}
	for _, x := range []struct{ what, says, recorded string }{
		{"state", h.State, c.state}, {"kind", h.Kind, c.kind}, {"leaver", h.Leaver.ID, c.leaver}, {"digest", h.Digest, c.digest},
		{"requester", h.Requester.id(), c.requester}, {"executor", h.Executor.id(), c.executor},
		{"revertOf", h.RevertOf, c.revertOf}, {"followUpOf", h.FollowUpOf, c.followUpOf}, {"revertedBy", h.RevertedBy, c.revertedBy},
		{"createdAt", stamp(&h.CreatedAt), stamp(&c.created)}, {"total", fmt.Sprint(h.Total), fmt.Sprint(c.total)},
	} {
		if x.says != x.recorded {
			return fmt.Errorf("%s is %q, and the log records %q", x.what, x.says, x.recorded)
		}
	}
	for what, t := range map[string]*time.Time{"startedAt": h.StartedAt, "finishedAt": h.FinishedAt} {
		if t != nil && !c.times[t.UnixMicro()] {
			return fmt.Errorf("%s is no moment at which the log records anything", what)
		}
	}
	for i, a := range f.Approvals {
		of := by{a.Approver.ID, a.Digest}
		if v, ok := c.votes[of]; !ok || v.decision != a.Decision || !v.at.Equal(a.At) {
			return fmt.Errorf("approvals.%d: the log records no such vote", i)
		}
		delete(c.votes, of)
	}
	for of := range c.votes {
		return fmt.Errorf("approvals: the vote of %s is missing", of.actor)
	}
	return nil
}

// item is one of the plan's.
type item struct {
	Kind, ID, From, To string
	Version            int
}

// plan holds the plan against its digest, and keeps its items.
func (c *claims) plan(b []byte) error {
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != c.digest {
		return errors.New("its SHA-256 is not the digest that the log records")
	}
	var p struct{ Items []item }
	if err := decode(b, &p); err != nil {
		return err
	}
	for _, i := range p.Items {
		c.items[i.Kind+" "+i.ID] = i
	}
	return nil
}

// stamp is a time to the microsecond, as the database keeps it; empty: none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}
