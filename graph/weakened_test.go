package graph

import (
	"fmt"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// weakening is a corp with key contacts of a leaver, and an administrator who wants to hand
// them over alone.
type weakening struct {
	*testcorp.Corp
	*api
	clock      *storetest.Clock
	lina, wang nid.ID
	keys       []nid.ID // two for each plan
	n          int
}

func (w *weakening) policy(who nid.ID, keyContacts bool) (waits bool) {
	w.t.Helper()
	version := testcorp.Value[int](w.Corp, `SELECT version FROM approval_policies WHERE corp_id = $1`, w.ID)
	var got struct {
		SaveApprovalPolicy struct{ Pending *struct{ ID string } }
	}
	w.good(w.Verified(who), fmt.Sprintf(`
		mutation { saveApprovalPolicy(input: {keyContacts: %v, version: %d}) { pending { id } } }`, keyContacts, version), nil, &got)
	return got.SaveApprovalPolicy.Pending != nil
}

// plan is a plan of two key contacts.
func (w *weakening) plan() string {
	one, two := w.keys[2*w.n], w.keys[2*w.n+1]
	w.n++
	return fmt.Sprintf(`{kind: RESIGNED, leaverId: "%s", successors: {memberId: "%s"}, select: {contactIds: ["%s", "%s"]}}`, w.lina, w.wang, one, two)
}

func (w *weakening) handOver() *answer {
	w.t.Helper()
	return w.ask(w.Verified(w.Admin), fmt.Sprintf(`mutation { handOver(input: {idempotencyKey: "key %d", plan: %s}) { handover { state } } }`, w.n, w.plan()), nil)
}

// submit gives the id and state of a plan that was submitted.
func (w *weakening) submit() (id, state string) {
	w.t.Helper()
	var made struct {
		CreateHandover struct {
			Handover struct {
				ID      string
				Version int
			}
		}
	}
	w.good(w.Verified(w.Admin), fmt.Sprintf(`
		mutation { createHandover(input: {idempotencyKey: "draft %d", plan: %s}) { handover { id version } } }`, w.n, w.plan()), nil, &made)
	h := made.CreateHandover.Handover
	var sent struct {
		SubmitHandover struct{ Handover struct{ State string } }
	}
	w.good(w.Verified(w.Admin), fmt.Sprintf(`mutation { submitHandover(input: {id: "%s", version: %d}) { handover { state } } }`, h.ID, h.Version), nil, &sent)
	return h.ID, sent.SubmitHandover.Handover.State
}

func (w *weakening) execute(id string) *answer {
	w.t.Helper()
	var got struct{ Node struct{ Digest string } }
	w.good(w.Verified(w.Admin), fmt.Sprintf(`{ node(id: "%s") { ... on Handover { digest } } }`, id), nil, &got)
	return w.ask(w.Verified(w.Admin), fmt.Sprintf(`
		mutation { executeHandover(input: {id: "%s", digest: "%s", idempotencyKey: "%s"}) { handover { state } } }`, id, got.Node.Digest, id), nil)
}

// One administrator switches the rule for key contacts off, hands two over, and switches it
// on again: with one administrator or two, with dual control or without, at submit and at
// execution it is refused until a day has passed.
func TestNobodyWeakensThePolicyForTheirOwnPlan(t *testing.T) {
	for _, two := range []bool{false, true} {
		for _, dual := range []bool{false, true} {
			t.Run(fmt.Sprintf("two %v, dual control %v", two, dual), func(t *testing.T) {
				storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
					c := testcorp.New(t, db, clock, "acme")
					w := &weakening{Corp: c, api: newAPI(t, db, c), clock: clock, lina: c.Member("lina", c.Root), wang: c.Member("wang", c.Root)}
					for i := range 30 {
						w.keys = append(w.keys, c.Contact(fmt.Sprint("contact ", i), "KEY", w.lina))
					}
					c.Depart(w.lina)
					boss := c.Member("boss", c.Root)
					grant := c.Grant(boss, access.Administrator.Name, nid.ID{})
					c.Grant(c.Member("approver", c.Root), access.Approver.Name, nid.ID{})
					if dual {
						w.good(c.Verified(c.Admin), `mutation { saveSettings(input: {dualControl: true}) { settings { dualControl } } }`, nil, nil)
					}
					if !two {
						w.good(c.Verified(c.Admin), fmt.Sprintf(`mutation { revokeGrant(input: {id: "%s"}) { revokedGrantId } }`, grant), nil, nil)
						clock.Add(73 * time.Hour) // nobody is alone before
					}
					w.attack(two, boss)
				})
			})
		}
	}
}

func (w *weakening) attack(two bool, boss nid.ID) {
	w.t.Helper()
	w.handOver().refused("APPROVAL_REQUIRED", "")
	if waits := w.policy(w.Admin, false); waits != two {
		w.t.Errorf("switched off: waits %v", waits)
	}
	w.handOver().refused("APPROVAL_REQUIRED", "")
	id, state := w.submit()
	if state != "AWAITING_APPROVAL" {
		w.t.Errorf("submitted: %s", state)
	}
	w.execute(id).refused("APPROVAL_REQUIRED", "")
	if two { // the second one agrees, and the day counts from there
		w.clock.Add(time.Hour)
		if w.policy(boss, false) {
			w.t.Error("two have asked for the same, and it waits")
		}
	}
	w.handOver().refused("APPROVAL_REQUIRED", "")
	w.clock.Add(24*time.Hour - time.Minute)
	w.handOver().refused("APPROVAL_REQUIRED", "")
	w.clock.Add(time.Minute)
	w.good(w.Verified(w.Admin), fmt.Sprintf(`mutation { handOver(input: {idempotencyKey: "done", plan: %s}) { handover { state } } }`, w.plan()), nil, nil)

	// A plan that is READY is held to what was stricter since.
	id, state = w.submit()
	if state != "READY" {
		w.t.Fatalf("submitted: %s", state)
	}
	if w.policy(w.Admin, true) {
		w.t.Error("a stricter policy waits")
	}
	w.execute(id).refused("APPROVAL_REQUIRED", "")
	if w.policy(w.Admin, false); two {
		w.policy(boss, false)
	}
	w.execute(id).refused("APPROVAL_REQUIRED", "")
	var got struct {
		ApprovalPolicy struct {
			KeyContacts bool
			Earlier     []struct{ KeyContacts bool }
		}
		PreviewHandover struct {
			ApprovalsRequired int
			ApprovalReasons   []string
		}
	}
	w.good(w.Verified(w.Admin), fmt.Sprintf(`{ approvalPolicy { keyContacts earlier { keyContacts } }
		previewHandover(input: %s) { approvalsRequired approvalReasons } }`, w.plan()), nil, &got)
	if p := got.ApprovalPolicy; p.KeyContacts || len(p.Earlier) != 2 || !p.Earlier[0].KeyContacts ||
		got.PreviewHandover.ApprovalsRequired != 1 || len(got.PreviewHandover.ApprovalReasons) != 2 {
		w.t.Errorf("the policy and the preview say %+v", got)
	}
}

// Settings that show more take effect after a day where nobody else could second them,
// without any job; messages are masked until then.
func TestWeakerSettingsTakeEffectAfterADay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		w := &weakening{Corp: c, api: newAPI(t, db, c), clock: clock}
		save := func(in string) *answer {
			return w.ask(c.Verified(c.Admin), fmt.Sprintf(`mutation { saveSettings(input: {%s, version: %d}) { settings { version } } }`, in,
				testcorp.Value[int](c, `SELECT COALESCE(max(version), 0) FROM corp_settings WHERE corp_id = $1`, c.ID)), nil)
		}
		now := func() string {
			t.Helper()
			var got struct {
				Settings struct {
					MaskIDCards, MaskBankCards bool
					MessagesKeptDays           *int
				}
			}
			w.good(c.Verified(c.Admin), `{ settings { maskIdCards maskBankCards messagesKeptDays } }`, nil, &got)
			days := 0
			if d := got.Settings.MessagesKeptDays; d != nil {
				days = *d
			}
			return fmt.Sprint(got.Settings.MaskIDCards, got.Settings.MaskBankCards, days)
		}
		want := func(want string) {
			t.Helper()
			if got := now(); got != want {
				t.Errorf("the settings are %s, want %s", got, want)
			}
		}
		if got := save(`maskIdCards: false, messagesKeptDays: 100`); len(got.Errors) > 0 {
			t.Fatal(got.Errors)
		}
		save(`maskIdCards: false`).refused("CONFLICT", "input.maskIdCards")
		clock.Add(time.Hour)
		save(`maskBankCards: false`)
		clock.Add(23*time.Hour - time.Minute)
		want("true true 0")
		clock.Add(time.Minute)
		want("false true 100")
		// What is in effect is stored with the next change, and taken back by a stricter one.
		save(`maskIdCards: true, messagesKeptDays: 200`)
		want("true true 200")
		clock.Add(time.Hour)
		want("true false 200")
		save(`groupsPerDay: 17`)
		want("true false 200")
		if n := testcorp.Value[int](c, `SELECT count(*) FROM pending_changes WHERE corp_id = $1`, c.ID); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}
