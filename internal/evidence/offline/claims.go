package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	who                                         standing
	authors                                     map[string]bool // who planned, submitted, answered for or began to carry out the case
	executor                                    string
	revertOf, followUpOf, revertedBy            string
	created                                     time.Time
	total, required, cancelled, reverted, moved int
	votes                                       map[by]vote
	outcomes                                    map[string]outcome
	granted                                     map[string]Grant
	times                                       map[int64]bool // of the entries, in microseconds
	last                                        *int64         // the entry before
	fourEyes                                    FourEyes
	running                                     bool // the plan was executed, and not planned or submitted since

	plan  string          // the digest of plan.json
	party map[string]bool // whose items the plan moves, and to whom
	items map[string]item // of the plan, that no transfer was seen of

	transfers map[string]bool // those seen
	byStatus  map[string]int

	names map[string]string // by id, those that are open
	acts  []act             // for the report
}

func newClaims(corp, handover string) *claims {
	return &claims{corp: corp, handover: handover, fourEyes: NotExecuted, authors: map[string]bool{}, votes: map[by]vote{}, outcomes: map[string]outcome{}, granted: map[string]Grant{}, times: map[int64]bool{},
		party: map[string]bool{}, items: map[string]item{}, transfers: map[string]bool{}, byStatus: map[string]int{}, names: map[string]string{}}
}

// unfinished says that transfers may still be carried out; what was rejected can be planned again.
func unfinished(state string) bool {
	return slices.Contains([]string{"DRAFT", "AWAITING_APPROVAL", "REJECTED", "READY", "SCHEDULED", "RUNNING"}, state)
}

// standing is who stands behind a plan.
type standing struct {
	planner     actor
	requester   string // of a person's plan
	responsible string
}

// take takes up a step.
func (s *standing) take(l *leaf) {
	if l.after.Leaver != "" { // planned, or planned again
		*s = standing{planner: l.Actor, requester: l.Actor.member(), responsible: l.after.Responsible}
	} else if l.after.Responsible != "" {
		s.responsible = l.after.Responsible
	}
}

// Responsible gives who is responsible for a plan by the entries whose subject is the
// handover, given by their leaves; empty where the log says nobody.
func Responsible(leaves [][]byte) (string, error) {
	var s standing
	for _, b := range leaves {
		l, err := readLeaf(string(b))
		if err != nil {
			return "", err
		}
		s.take(l)
	}
	return s.responsible, nil
}

func (a actor) member() string {
	if a.Kind != "MEMBER" {
		return ""
	}
	return a.ID
}

// entry takes up the next entry.
func (c *claims) entry(e Entry, l *leaf) error {
	if l.Index != e.Index || l.Corp != c.corp || l.Handover != c.handover {
		return errors.New("the entry is of another place, corp or handover")
	}
	c.times[l.At.UnixMicro()] = true
	before := c.last
	c.last = &l.Index
	switch {
	case l.Action == "transfer.finish":
		if !c.running {
			return errors.New("it was carried out before anybody executed the plan")
		}
		c.finished(l)
	case l.Subject == c.handover:
		if p := l.after.Previous; (p == nil) != (before == nil) || p != nil && *p != *before {
			return errors.New("an entry of the case before it is missing")
		}
		return c.step(l)
	}
	return nil
}

func (c *claims) finished(l *leaf) {
	to := l.after.Owner
	if to == "" {
		to = l.after.To
	}
	reason, _ := l.after.Reason.(string)
	c.outcomes[l.Subject] = outcome{l.after.Status, reason, l.before.Item, l.before.Owner, to, l.before.OwnerVersion, l.after.Merged, l.At}
	for _, g := range l.after.History {
		g.Successor, g.Item, g.Transfer = to, l.before.Item, l.Subject
		c.granted[g.ID] = g
	}
}

// step takes up what somebody did about the handover as a whole.
func (c *claims) step(l *leaf) error {
	a := &l.after
	if a.State != "" {
		c.state = a.State
	}
	c.who.take(l)
	planned := a.Leaver != ""
	if planned || l.Action == "handover.submit" {
		c.wrote(l.Actor.member(), a.Author, a.Responsible)
	}
	switch {
	case planned:
		if c.created.IsZero() {
			c.created = l.At
		}
		c.kind, c.leaver, c.total, c.revertOf, c.followUpOf = a.Kind, a.Leaver, a.Transfers, a.RevertOf, a.FollowUpOf
	case l.Action == "handover.approve", l.Action == "handover.reject":
		if (a.Decision == "APPROVED") != (l.Action == "handover.approve") {
			return errors.New("its decision is not what its action says")
		}
		c.votes[by{l.Actor.ID, a.Digest}] = vote{a.Decision, l.At, l.Actor.member() != ""}
	case l.Action == "handover.revert":
		c.reverted += a.Reverted
		c.revertedBy = a.By
	}
	if a.Digest != "" {
		c.digest = a.Digest
	}
	if a.ApprovalsRequired != nil && (planned || l.Action == "handover.submit") {
		c.required, c.fourEyes, c.running = *a.ApprovalsRequired, NotExecuted, false
		for of, v := range c.votes { // votes are for one submission
			v.counted = false
			c.votes[of] = v
		}
	}
	if l.Action == "handover.cancel" && !unfinished(a.State) {
		c.cancelled += a.Transfers
	}
	c.cancelled += a.Cancelled
	if a.Completed != nil && !unfinished(a.State) {
		c.moved = *a.Completed + c.reverted
	}
	if !planned && slices.Contains([]string{"handover.execute", "handover.schedule", "handover.retry"}, l.Action) {
		if err := c.begun(l); err != nil {
			return err
		}
		if l.Action != "handover.schedule" && c.digest != c.plan {
			return errors.New("another plan than plan.json was carried out")
		}
		c.running = l.Action != "handover.schedule"
		return c.approved(a.ApprovalsRequired)
	}
	return nil
}

// wrote notes who stands behind the case, and does so whoever plans it again.
func (c *claims) wrote(members ...string) {
	for _, m := range members {
		if m != "" {
			c.authors[m] = true
		}
	}
}

// begun notes who has the plan carried out: a worker begins for whoever scheduled it.
func (c *claims) begun(l *leaf) error {
	executor := l.after.Executor
	switch {
	case l.Actor.Kind == "SYSTEM" && executor == "":
		executor = c.executor
	case l.Actor.Kind != "SYSTEM" && executor == "":
		executor = l.Actor.member()
	case l.Actor.Kind != "SYSTEM" && executor != l.Actor.member():
		return errors.New("it names another executor than whoever executed it")
	}
	c.executor = executor
	c.wrote(executor, l.after.Responsible)
	return nil
}

// FourEyes says whether a plan that needed approvals had those of other people.
type FourEyes string

// What the signed entries show of it.
const (
	NotExecuted FourEyes = "NOT_EXECUTED"
	NotNeeded   FourEyes = "NOT_NEEDED"
	Proven      FourEyes = "PROVEN"
	// NotProven: it had the approvals, and the log does not say who was responsible for
	// the plan, which a service token made, or that anybody executed it.
	NotProven FourEyes = "NOT_PROVEN"
	// Violated: it was carried out without them. Such a package does not verify.
	Violated FourEyes = "VIOLATED"
)

// approved checks the four-eyes rule where a plan begins to be carried out: of those who
// voted for it since its submission, none of whom planned, submitted, answered for or
// executed the case at any time, or is its leaver or a member whose items it moves or who
// gets them, there are as many as it needed.
func (c *claims) approved(now *int) error {
	need := c.required
	if now != nil {
		need = max(need, *now)
	}
	if c.fourEyes = NotNeeded; need == 0 {
		return nil
	}
	c.fourEyes = Violated
	others, own := 0, []string(nil)
	for of, v := range c.votes {
		if v.counted && v.decision != "APPROVED" {
			return fmt.Errorf("%s rejected it, and it was not submitted again", of.actor)
		}
		if of.digest != c.digest || !v.counted || v.decision != "APPROVED" {
			continue
		}
		if c.authors[of.actor] || of.actor == c.leaver || c.digest == c.plan && c.party[of.actor] {
			own = append(own, of.actor)
			continue
		}
		others++
	}
	if others < need && len(own) > 0 {
		slices.Sort(own)
		return fmt.Errorf("it needed %d approvals of other people, and the entries before it hold %d: %s voted for what is their own", need, others,
			strings.Join(own, ", "))
	}
	if others < need {
		return fmt.Errorf("it needed %d approvals of the plan, and the entries before it hold %d", need, others)
	}
	if c.fourEyes = Proven; c.executor == "" || c.who.planner.Kind == "TOKEN" && c.who.responsible == "" {
		c.fourEyes = NotProven
	}
	return nil
}

// hold holds the case against the entries.
func (c *claims) hold(f *Case) error {
	h := &f.Handover
	if c.digest == "" {
		return errors.New("no entry records the plan's digest")
	}
	for _, x := range []struct{ what, says, recorded string }{
		{"state", h.State, c.state}, {"kind", h.Kind, c.kind}, {"leaver", h.Leaver, c.leaver}, {"digest", h.Digest, c.digest},
		{"requester", h.Requester, c.who.requester}, {"responsible", h.Responsible, c.who.responsible}, {"executor", h.Executor, c.executor},
		{"revertOf", h.RevertOf, c.revertOf}, {"followUpOf", h.FollowUpOf, c.followUpOf}, {"revertedBy", h.RevertedBy, c.revertedBy},
		{"createdAt", stamp(&h.Created), stamp(&c.created)}, {"total", fmt.Sprint(h.Total), fmt.Sprint(c.total)},
	} {
		if x.says != x.recorded {
			return fmt.Errorf("%s is %q, and the log records %q", x.what, x.says, x.recorded)
		}
	}
	for what, t := range map[string]*time.Time{"startedAt": h.Started, "finishedAt": h.Finished} {
		if t != nil && !c.times[t.UnixMicro()] {
			return fmt.Errorf("%s is no moment at which the log records anything", what)
		}
	}
	for i, a := range f.Approvals {
		of := by{a.Approver, a.Digest}
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
	From    string `json:"from"`
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	To      string `json:"to"`
	Version int    `json:"version"`
}

// planned reads the plan, whose digest the entries record (docs/plan-digest.md).
func (c *claims) planned(b []byte) error {
	sum := sha256.Sum256(b)
	c.plan = hex.EncodeToString(sum[:])
	var p struct {
		Corp    string `json:"corp"`
		History struct {
			Expires *string `json:"expiresAt"`
			From    *string `json:"from"`
			Mode    string  `json:"mode"`
			Until   *string `json:"until"`
		} `json:"history"`
		Items   []item  `json:"items"`
		Kind    string  `json:"kind"`
		Leaver  string  `json:"leaver"`
		Message *string `json:"message"`
		Start   *string `json:"start"`
		V       int     `json:"v"`
	}
	if err := crowded(b); err != nil {
		return err
	}
	if err := strict(b, &p); err != nil {
		return err
	}
	for _, i := range p.Items {
		c.items[i.Kind+" "+i.ID] = i
		c.party[i.From], c.party[i.To] = true, true
	}
	return nil
}

// same holds the plan against the newest digest in the entries.
func (c *claims) same() error {
	if c.plan != c.digest {
		return errors.New("its SHA-256 is not the digest that the log records")
	}
	return nil
}

// stamp is a time to the microsecond, as the database keeps it; empty: none.
func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(timeFormat)
}
