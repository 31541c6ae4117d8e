package graph

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// A handover of a key contact is refused, the mark is taken off, and it is refused all
// the same; whoever is asked to approve sees who took it off. A follower cannot at all.
func TestAKeyMarkIsNoWayAroundApproval(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		api := newAPI(t, db, c)
		lina, wang, approver := c.Member("lina", c.Root), c.Member("wang", c.Root), c.Member("approver", c.Root)
		c.Grant(approver, access.Approver.Name, nid.ID{})
		big := c.Contact("big", "KEY", lina)
		admin := c.Verified(c.Admin)
		plan := map[string]any{"kind": "ON_JOB", "leaverId": lina, "successors": map[string]any{"memberId": wang}}
		handOver := func(key string) *answer {
			t.Helper()
			return api.ask(admin, `mutation($plan: HandoverPlanInput!, $key: String!) { handOver(input: {plan: $plan, idempotencyKey: $key}) { handover { state } } }`,
				map[string]any{"plan": plan, "key": key})
		}
		unmark := func(ctx context.Context) *answer {
			t.Helper()
			return api.ask(ctx, `mutation($id: ID!) { updateContact(input: {id: $id, version: 1, importance: NORMAL}) { contact { importance } } }`,
				map[string]any{"id": big})
		}
		handOver("1").refused("APPROVAL_REQUIRED", "")
		unmark(c.Verified(lina)).refused("FORBIDDEN", "")
		unmark(c.SignedIn(c.Admin, false)).refused("STEP_UP_REQUIRED", "")
		if a := unmark(admin); len(a.Errors) > 0 {
			t.Fatal(a.Errors)
		}
		handOver("2").refused("APPROVAL_REQUIRED", "")

		type marks struct {
			Total    int
			Contacts []struct {
				Contact   *struct{ Name string }
				Until     time.Time
				ChangedBy *struct{ ID nid.ID }
			}
		}
		const fields = `formerKeyContacts { total contacts { contact { name } until changedBy { id } } }`
		right := func(what string, m marks) {
			t.Helper()
			if m.Total != 1 || len(m.Contacts) != 1 || m.Contacts[0].Contact == nil || m.Contacts[0].Contact.Name != "big" ||
				!m.Contacts[0].Until.Equal(clock.Now()) || m.Contacts[0].ChangedBy == nil || m.Contacts[0].ChangedBy.ID != c.Admin {
				t.Errorf("%s: %+v", what, m)
			}
		}
		var preview struct {
			PreviewHandover struct {
				ApprovalsRequired int
				FormerKeyContacts marks
			}
		}
		api.good(admin, `query($plan: HandoverPlanInput!) { previewHandover(input: $plan) { approvalsRequired `+fields+` } }`, map[string]any{"plan": plan}, &preview)
		if preview.PreviewHandover.ApprovalsRequired != 1 {
			t.Error("the preview asks for no approval")
		}
		right("the preview", preview.PreviewHandover.FormerKeyContacts)
		var made struct {
			CreateHandover struct{ Handover struct{ ID nid.ID } }
		}
		api.good(admin, `mutation($plan: HandoverPlanInput!) { createHandover(input: {plan: $plan, idempotencyKey: "3"}) { handover { id } } }`,
			map[string]any{"plan": plan}, &made)
		id := made.CreateHandover.Handover.ID
		api.good(admin, `mutation($id: ID!) { submitHandover(input: {id: $id, version: 1}) { handover { state } } }`, map[string]any{"id": id}, nil)
		var read struct {
			Node struct{ FormerKeyContacts marks }
		}
		api.good(c.SignedIn(approver, false), `query($id: ID!) { node(id: $id) { ... on Handover { `+fields+` } } }`, map[string]any{"id": id}, &read)
		right("the approver reads", read.Node.FormerKeyContacts)
		// The successor sees the handover, and not why it needs approval.
		api.good(c.SignedIn(wang, false), `query($id: ID!) { node(id: $id) { ... on Handover { `+fields+` } } }`, map[string]any{"id": id}, &read)
		if read.Node.FormerKeyContacts.Total != 0 || len(read.Node.FormerKeyContacts.Contacts) > 0 {
			t.Errorf("the successor reads %+v", read.Node.FormerKeyContacts)
		}

		// However many handovers are listed, the marks cost the same statements.
		one := api.good(admin, `{ handovers { nodes { `+fields+` } } }`, nil, nil)
		for i := range 3 {
			plan["select"] = map[string]any{"contactIds": []nid.ID{big}}
			api.good(admin, `mutation($plan: HandoverPlanInput!, $key: String!) { createHandover(input: {plan: $plan, idempotencyKey: $key}) { handover { id } } }`,
				map[string]any{"plan": plan, "key": fmt.Sprint("more ", i)}, nil)
		}
		api.good(admin, `{ handovers { nodes { `+fields+` } } }`, nil, nil).atMost(len(one.statements))
	})
}

// A RESIGNED plan for somebody at work says when it can be executed, and what it says is
// what then holds.
func TestThePreviewOfALeaverAtWork(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		api := newAPI(t, db, c)
		lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
		c.Contacts(2, lina)
		c.Leaving(lina, "2026-03-31")
		admin := c.Verified(c.Admin)
		plan := map[string]any{"leaverId": lina, "successors": map[string]any{"memberId": wang}}
		var got struct {
			PreviewHandover struct {
				Immediate bool
				StartAt   *time.Time
				Problems  []struct {
					Reason, Message string
					Blocking        bool
					Items           int
					ExecutableFrom  *time.Time
					Kind            *string
				}
			}
		}
		api.good(admin, `query($plan: HandoverPlanInput!) { previewHandover(input: $plan) {
			immediate startAt problems { reason message blocking items executableFrom kind } } }`,
			map[string]any{"plan": plan}, &got)
		p, from := got.PreviewHandover, time.Date(2026, 3, 31, 16, 0, 0, 0, time.UTC)
		if p.Immediate || p.StartAt == nil || !p.StartAt.Equal(from) || len(p.Problems) != 1 {
			t.Fatalf("the preview says %+v", p)
		}
		if s := p.Problems[0]; s.Reason != "LEAVER_STATUS" || !s.Blocking || s.Items != 2 || s.ExecutableFrom == nil || !s.ExecutableFrom.Equal(from) ||
			s.Kind != nil || s.Message == "" {
			t.Fatalf("the problem is %+v", s)
		}
		api.ask(admin, `mutation($plan: HandoverPlanInput!) { handOver(input: {plan: $plan, idempotencyKey: "now"}) { handover { state } } }`,
			map[string]any{"plan": plan}).refused("CONFLICT", "")
		const create = `mutation($plan: HandoverPlanInput!, $at: Time!, $key: String!) {
			createHandover(input: {plan: $plan, startAt: $at, idempotencyKey: $key}) { handover { id } } }`
		api.ask(admin, create, map[string]any{"plan": plan, "at": from.Add(-time.Hour), "key": "early"}).refused("INVALID", "input.startAt")
		var made struct {
			CreateHandover struct{ Handover struct{ ID nid.ID } }
		}
		api.good(admin, create, map[string]any{"plan": plan, "at": p.StartAt, "key": "k"}, &made)
		id := made.CreateHandover.Handover.ID
		var done struct {
			SubmitHandover  struct{ Handover struct{ Digest string } }
			ExecuteHandover struct{ Handover struct{ State string } }
		}
		api.good(admin, `mutation($id: ID!) { submitHandover(input: {id: $id, version: 1}) { handover { digest } } }`, map[string]any{"id": id}, &done)
		api.good(admin, `mutation($id: ID!, $digest: String!) { executeHandover(input: {id: $id, digest: $digest, idempotencyKey: "x"}) { handover { state } } }`,
			map[string]any{"id": id, "digest": done.SubmitHandover.Handover.Digest}, &done)
		if done.ExecuteHandover.Handover.State != "SCHEDULED" {
			t.Errorf("executed it is %s", done.ExecuteHandover.Handover.State)
		}
		plan["message"] = "hello"
		api.ask(admin, create, map[string]any{"plan": plan, "at": p.StartAt, "key": "m"}).refused("INVALID", "input.plan.message")
	})
}

// When a contact was added is about the follow of the follower who is asked for.
func TestAddedIsAboutTheFollower(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		api := newAPI(t, db, c)
		sales, support := c.Department("sales", c.Root), c.Department("support", c.Root)
		lina, wang := c.Member("lina", sales), c.Member("wang", support)
		shared := c.Contact("shared", "NORMAL", lina)
		clock.Add(time.Hour)
		later := clock.Now()
		if err := db.Tx(store.System(t.Context(), c.ID, "a second follower"), func(ctx context.Context, tx *store.Tx) error {
			ids, err := tx.Change(ctx, "follows", `INSERT INTO follows
				(id, corp_id, created_at, updated_at, version, contact_id, member_id, since, protected, owner_version)
				VALUES ($1, $2, $3, $3, 1, $4, $5, $3, false, 1) RETURNING id`, nid.New(nid.Follow), c.ID, later, shared, wang)
			tx.Cover(ids...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for _, f := range []struct {
			filter map[string]any
			want   int
		}{
			{map[string]any{"addedFrom": later}, 1},
			{map[string]any{"followerId": lina, "addedFrom": later}, 0},
			{map[string]any{"followerId": lina, "addedUntil": later}, 1},
			{map[string]any{"followerId": wang, "addedFrom": later}, 1},
			{map[string]any{"followerId": wang, "addedUntil": later}, 0},
			{map[string]any{"departmentId": sales, "addedFrom": later}, 0},
			{map[string]any{"departmentId": support, "addedFrom": later}, 1},
			{map[string]any{"followerId": lina, "departmentId": support, "addedUntil": later}, 1},
			// Not the same as one follow from the first and another until the second.
			{map[string]any{"addedFrom": later.Add(-time.Minute), "addedUntil": later}, 0},
		} {
			var got struct{ Contacts struct{ TotalCount int } }
			api.good(c.SignedIn(c.Admin, false), `query($filter: ContactFilter) { contacts(filter: $filter) { totalCount } }`, map[string]any{"filter": f.filter}, &got)
			if got.Contacts.TotalCount != f.want {
				t.Errorf("%v: %d contacts, want %d", f.filter, got.Contacts.TotalCount, f.want)
			}
		}
	})
}
