package offline

import (
	"errors"
	"fmt"
)

// shown is how many transfers and steps a report shows; the rest are in the other files.
const shown = 1000

// transfer holds a transfer against the plan, each item of which has one, and its
// outcome against the newest entry about it.
func (c *claims) transfer(t *Transfer) error {
	key := t.Kind + " " + t.Item
	if i, ok := c.items[key]; !ok || i != (item{t.From, t.Item, t.Kind, t.To, t.Version}) {
		return errors.New("the plan has no such item, or it was listed before")
	}
	delete(c.items, key)
	if c.transfers[t.ID] {
		return errors.New("the transfer was listed before")
	}
	c.transfers[t.ID] = true
	c.byStatus[t.Status]++
	switch t.Status {
	case "PLANNED", "CANCELLED": // the latter are counted at the end
		if t.Reason != "" || t.Merged || t.Finished != nil && !c.times[t.Finished.UnixMicro()] {
			return errors.New("no entry records this outcome")
		}
		if c.outcomes[t.ID].status == "COMPLETED" {
			return errors.New("the log records another outcome")
		}
		if t.Status == "PLANNED" && !unfinished(c.state) {
			return fmt.Errorf("it is planned still, and the handover %s", c.state)
		}
		return nil
	case "WAITING":
		if !unfinished(c.state) {
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
	says := outcome{status, t.Reason, t.Item, t.From, t.To, t.Version, t.Merged, o.at}
	if t.Status == "WAITING" {
		says.merged = o.merged
	} else if stamp(t.Finished) != stamp(&o.at) {
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
func (c *claims) transfersEnd(f *Case) error {
	moved := 0
	for id, o := range c.outcomes {
		if !c.transfers[id] {
			return fmt.Errorf("%s is missing", id)
		}
		if o.status == "COMPLETED" {
			moved++
		}
	}
	recorded := c.moved
	if unfinished(c.state) {
		recorded = moved
	}
	for _, x := range []struct {
		what           string
		says, recorded int
	}{
		{"transfers", len(c.transfers), c.total},
		{"items of the plan without a transfer", len(c.items), 0},
		{"transfers that were taken back", c.byStatus["REVERTED"], c.reverted},
		{"completed transfers by case.json", f.Handover.Completed, c.byStatus["COMPLETED"]},
		{"entries of completed transfers", moved, recorded},
		{"cancelled transfers", c.byStatus["CANCELLED"], c.cancelled},
	} {
		if x.says != x.recorded {
			return fmt.Errorf("%s: %d, and the log records %d", x.what, x.says, x.recorded)
		}
	}
	return nil
}

// grant holds what somebody may read against the entry of the transfer that gave it.
func (c *claims) grant(g *Grant) error {
	o, ok := c.granted[g.ID]
	if !ok || g.Successor != o.Successor || g.Item != o.Item || g.Transfer != o.Transfer ||
		stamp(g.From) != stamp(o.From) || stamp(g.Until) != stamp(o.Until) || stamp(g.Expires) != stamp(o.Expires) {
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
