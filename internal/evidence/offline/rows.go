package offline

import (
	"errors"
	"fmt"
	"time"
)

// transferLine is what is looked at in a line of transfers.jsonl.
type transferLine struct {
	ID, Kind, Status, Reason string
	Item, From, To           person
	Merged                   bool
	ExpectedVersion          int
	FinishedAt               *time.Time
}

// transfer holds a transfer against the plan, each item of which has one, and its
// outcome against the newest entry about it.
func (c *claims) transfer(line []byte) error {
	var t transferLine
	if err := decode(line, &t); err != nil {
		return err
	}
	key := t.Kind + " " + t.Item.ID
	if i, ok := c.items[key]; !ok || i != (item{t.Kind, t.Item.ID, t.From.ID, t.To.ID, t.ExpectedVersion}) {
		return errors.New("the plan has no such item, or it was listed before")
	}
	delete(c.items, key)
	if c.transfers[t.ID] {
		return errors.New("the transfer was listed before")
	}
	c.transfers[t.ID] = true
	c.byStatus[t.Status]++
	switch t.Status {
	case "PLANNED":
		if !open(c.state) {
			return fmt.Errorf("it is planned still, and the handover %s", c.state)
		}
		return nil
	case "CANCELLED":
		return nil // counted at the end
	case "WAITING":
		if !open(c.state) {
			return fmt.Errorf("it is waited for, and the handover %s", c.state)
		}
	}
	o, ok := c.outcomes[t.ID]
	if !ok {
		return errors.New("no entry records this outcome")
	}
	status := t.Status
	if status == "REVERTED" {
		status = "COMPLETED" // taken back by another handover; how many, the end tells
	}
	says := outcome{status, t.Reason, t.Item.ID, t.From.ID, t.To.ID, t.ExpectedVersion, t.Merged, o.at}
	if t.Status == "WAITING" {
		says.merged = o.merged
	} else if stamp(t.FinishedAt) != stamp(&o.at) {
		return errors.New("the log records another time")
	}
	if o.status != "COMPLETED" {
		o.merged = says.merged
	}
	if o != says {
		return errors.New("the log records another outcome")
	}
	return nil
}

// transfersEnd holds the numbers against those that the entries record.
func (c *claims) transfersEnd(f *caseFile) error {
	moved := 0
	for id, o := range c.outcomes {
		if !c.transfers[id] {
			return fmt.Errorf("%s is missing", id)
		}
		if o.status == "COMPLETED" {
			moved++
		}
	}
	ended := !open(c.state)
	for _, x := range []struct {
		what           string
		says, recorded int
	}{
		{"transfers", len(c.transfers), c.total},
		{"items of the plan without a transfer", len(c.items), 0},
		{"transfers that were taken back", c.byStatus["REVERTED"], c.reverted},
		{"completed transfers by case.json", f.Handover.Completed, c.byStatus["COMPLETED"]},
		{"entries of completed transfers", moved, pick(ended, c.moved, moved)},
		{"cancelled transfers", c.byStatus["CANCELLED"], c.cancelled},
	} {
		if x.says != x.recorded {
			return fmt.Errorf("%s: %d, and the log records %d", x.what, x.says, x.recorded)
		}
	}
	return nil
}

func pick(first bool, a, b int) int {
	if first {
		return a
	}
	return b
}

// period holds who came to own something against the entry of the transfer by which they
// did. Periods before, after and by other handovers are told only.
func (c *claims) period(line []byte) error {
	var p struct {
		Item, Transfer string
		Member         person
		From           time.Time
	}
	if err := decode(line, &p); err != nil {
		return err
	}
	if !c.transfers[p.Transfer] {
		return nil
	}
	o := c.outcomes[p.Transfer]
	if o.status != "COMPLETED" || o.merged || c.opened[p.Transfer] || p.Item != o.item || p.Member.ID != o.to || !p.From.Equal(o.at) {
		return errors.New("the log records another owner, or another time")
	}
	c.opened[p.Transfer] = true
	return nil
}

func (c *claims) periodsEnd() error {
	for id, o := range c.outcomes {
		if o.status == "COMPLETED" && !o.merged && !c.opened[id] {
			return fmt.Errorf("the time that began with %s is missing", id)
		}
	}
	return nil
}

// grantLine is what is looked at in a line of history-grants.jsonl.
type grantLine struct {
	window
	Successor, Item, Transfer string
}

// grant holds what somebody may read against the entry of the transfer that gave it.
func (c *claims) grant(line []byte) error {
	var g grantLine
	if err := decode(line, &g); err != nil {
		return err
	}
	o, ok := c.granted[g.ID]
	if !ok || g.Successor != o.Successor || g.Item != o.Item || g.Transfer != o.Transfer ||
		stamp(g.From) != stamp(o.From) || stamp(g.Until) != stamp(o.Until) || stamp(g.ExpiresAt) != stamp(o.ExpiresAt) {
		return errors.New("the log records no such grant, or it was listed before")
	}
	delete(c.granted, g.ID)
	return nil
}

func (c *claims) grantsEnd() error {
	for id := range c.granted {
		return fmt.Errorf("%s is missing", id)
	}
	return nil
}
