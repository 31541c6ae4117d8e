package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// handover plans one of what a member looks after, among one or two others. It has a
// reason, a hold reason, reasons for approval and a vote with a comment.
func (c *chance) handover() {
	h := &modelCase{to: map[nid.ID]int{}}
	contact := draw(c, "handed over", c.contacts)
	h.leaver = draw(c, "leaver of a case", c.m.follows[contact])
	var all []nid.ID
	for _, id := range c.contacts {
		if slices.Contains(c.m.follows[id], h.leaver) {
			all = append(all, id)
		}
	}
	assigned := map[nid.ID][]nid.ID{}
	for _, id := range all[:min(len(all), 3)] {
		if to := draw(c, "successor", c.members); to != h.leaver {
			assigned[to] = append(assigned[to], id)
		}
	}
	if len(assigned) == 0 {
		return
	}
	var assignments []map[string]any
	for to, ids := range assigned {
		h.to[to] = len(ids)
		assignments = append(assignments, map[string]any{"memberId": to, "contactIds": ids})
	}
	id := c.done("createHandover", map[string]any{"idempotencyKey": c.name("key"), "plan": map[string]any{
		"kind": "ON_JOB", "leaverId": h.leaver, "reason": "secret", "successors": map[string]any{"assignments": assignments}}}, "handover { id }")
	h.voter = draw(c, "voter", c.members)
	if c.coin("planned by a member") {
		h.requester = draw(c, "requester", c.members)
	}
	err := c.DB.Tx(store.System(c.t.Context(), c.c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		vote := nid.New(nid.Approval)
		tx.Cover(id, vote)
		if _, err := tx.Change(ctx, "handovers", `UPDATE handovers SET requested_by_id = $3, responsible_id = $3, hold_reason = '{"en":"secret","zh":"secret"}', approval_reasons = '["key:9"]' WHERE corp_id = $1 AND id = $2 RETURNING id`,
			tx.Corp(), id, h.requester); err != nil {
			return err
		}
		_, err := tx.Change(ctx, "approvals", `INSERT INTO approvals (id, corp_id, created_at, handover_id, approver_id, decision, digest, comment, decided_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, 'APPROVED', 'x', 'secret', $3, $3) RETURNING id`, vote, tx.Corp(), tx.Now(), id, h.voter)
		return err
	})
	if err != nil {
		c.rt.Fatal(err)
	}
	c.cases, c.m.cases[id] = append(c.cases, id), h
}

// readsCases compares who sees which handover, what is said of it, and how many
// transfers: in words and numbers, not only by the objects that are there.
func (c *chance) readsCases(a nid.ID) {
	type seen struct {
		ID                 nid.ID
		Reason, HoldReason *string
		Plan               json.RawMessage
		ApprovalReasons    []string
		Approvals          []struct{ Comment *string }
		Outcomes           []struct{ Transfers int }
		Progress           struct{ Total, Planned int }
		Transfers          struct{ TotalCount int }
	}
	got := map[string]struct {
		TotalCount int
		Nodes      []seen
	}{}
	document := `{ all: handovers(first: 20) { totalCount nodes { id reason holdReason plan approvalReasons approvals { comment } outcomes { transfers }
		progress { total planned } transfers(first: 1) { totalCount } } }`
	for i, m := range c.members {
		document += fmt.Sprintf(` s%d: handovers(first: 20, filter: {successorId: "%s"}) { totalCount nodes { id } }`, i, m)
	}
	c.good(c.tokens[a], document+" }", nil, &got)
	now := c.clock.Now()
	listed := map[nid.ID]seen{}
	for _, h := range got["all"].Nodes {
		listed[h.ID] = h
	}
	if got["all"].TotalCount != len(listed) {
		c.rt.Fatalf("totalCount is %d, the list has %d", got["all"].TotalCount, len(listed))
	}
	for _, id := range c.cases {
		h := c.m.cases[id]
		v, there := listed[id]
		c.check(a, "handovers", id, there, c.m.seesCase(a, h, now))
		for i, m := range c.members {
			with := slices.ContainsFunc(got[fmt.Sprint("s", i)].Nodes, func(n seen) bool { return n.ID == id })
			c.check(a, "handovers by successor "+m.String(), id, with, c.m.seesMoves(a, h, m, now) > 0)
		}
		if !there {
			continue
		}
		reasons, moves := c.m.reasons(a, h, now), c.m.seesAllMoves(a, h, now)
		c.check(a, "reason", id, v.Reason != nil, reasons)
		c.check(a, "holdReason", id, v.HoldReason != nil, reasons)
		c.check(a, "plan", id, len(v.Plan) > 0 && string(v.Plan) != "null", reasons)
		c.check(a, "approvalReasons", id, len(v.ApprovalReasons) > 0, reasons)
		for _, vote := range v.Approvals {
			c.check(a, "comment", id, vote.Comment != nil, reasons)
		}
		outcomes := 0
		for _, o := range v.Outcomes {
			outcomes += o.Transfers
		}
		numbers := fmt.Sprint(v.Progress.Total, v.Progress.Planned, outcomes, v.Transfers.TotalCount)
		want := fmt.Sprint(moves, moves, moves, moves)
		c.check(a, "counts "+strings.Join([]string{numbers, want}, " not "), id, numbers == want, true)
	}
}
