package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// inheritance is a corp over HTTP in which lina has a contact with an archived chat, boss
// manages the whole corp, and eva approves.
type inheritance struct {
	*site
	lina, boss, eva, wang nid.ID
	second                nid.ID // administrator
	contact               nid.ID
	keys                  int
}

func newInheritance(t *testing.T, db *store.DB, clock *storetest.Clock) *inheritance {
	s := &inheritance{site: newSite(t, db, clock)}
	s.lina, s.boss, s.eva, s.wang = s.Member("lina", s.Root), s.Member("boss", s.Root), s.Member("eva", s.Root), s.Member("wang", s.Root)
	s.Grant(s.boss, access.Manager.Name, nid.ID{})
	s.Grant(s.eva, access.Approver.Name, nid.ID{})
	s.second = s.Member("second", s.Root)
	s.Grant(s.second, access.Administrator.Name, nid.ID{})
	s.contact = s.Contact("ann", "NORMAL", s.lina)
	s.Agree(s.contact)
	s.Said(s.lina, s.contact, db.Now().Add(-time.Hour), "good morning")
	return s
}

func (s *inheritance) key() string { s.keys++; return fmt.Sprint("key ", s.keys) }

// reads gives how many messages of the contact somebody reads.
func (s *inheritance) reads(who nid.ID) int {
	s.t.Helper()
	var got struct {
		Messages struct{ Nodes []struct{ ID nid.ID } }
	}
	s.good(s.Bearer(who, false), fmt.Sprintf(`{ messages(filter: {contactId: "%s"}) { nodes { id } } }`, s.contact), nil, &got)
	return len(got.Messages.Nodes)
}

func (s *inheritance) plan(kind string, from, to nid.ID, history string) string {
	return fmt.Sprintf(`{kind: %s, leaverId: "%s", select: {contactIds: ["%s"]}, successors: {memberId: "%s"}, history: {mode: %s}}`, kind, from, s.contact, to, history)
}

func (s *inheritance) handOver(by nid.ID, plan string) *answer {
	return s.ask(s.Bearer(by, true), fmt.Sprintf(`mutation { handOver(input: {plan: %s, idempotencyKey: "%s"}) { handover { id } } }`, plan, s.key()), nil)
}

// approved has a plan of by's approved by eva and executes it.
func (s *inheritance) approved(by nid.ID, plan string) {
	s.t.Helper()
	token := s.Bearer(by, true)
	var made struct {
		CreateHandover struct {
			Handover struct {
				ID     nid.ID
				Digest string
			}
		}
	}
	s.good(token, fmt.Sprintf(`mutation { createHandover(input: {plan: %s, idempotencyKey: "%s"}) { handover { id digest } } }`, plan, s.key()), nil, &made)
	h := made.CreateHandover.Handover
	s.good(token, fmt.Sprintf(`mutation { submitHandover(input: {id: "%s", version: 1}) { handover { state } } }`, h.ID), nil, &struct{}{})
	s.good(s.Bearer(s.eva, true), fmt.Sprintf(`mutation { approveHandover(input: {id: "%s", digest: "%s"}) { handover { state } } }`, h.ID, h.Digest), nil, &struct{}{})
	s.good(token, fmt.Sprintf(`mutation { executeHandover(input: {id: "%s", digest: "%s", idempotencyKey: "%s"}) { handover { state } } }`, h.ID, h.Digest, s.key()), nil, &struct{}{})
}

func (s *inheritance) settings(change string) {
	s.t.Helper()
	for _, admin := range []nid.ID{s.Admin, s.second} { // showing more takes two
		version := testcorp.Value[int](s.Corp, `SELECT COALESCE(max(version), 0) FROM corp_settings WHERE corp_id = $1`, s.ID)
		s.good(s.Bearer(admin, true), fmt.Sprintf(`mutation { saveSettings(input: {version: %d, %s}) { settings { version } } }`, version, change), nil, &struct{}{})
	}
}

// What a colleague at work writes is read by nobody who hands the contact over to
// themselves alone, by nobody for longer than the corp allows, and by nobody who has
// given the contact back.
func TestHistoryHoldsWhileTheSuccessorOwnsTheContact(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newInheritance(t, db, clock)
		s.settings("readReceipts: true, historyMaxDays: 7")
		plan := s.plan("ON_JOB", s.lina, s.boss, "ALL")
		var preview struct {
			PreviewHandover struct {
				ApprovalsRequired int
				HistoryUntil      *time.Time
			}
		}
		s.good(s.Bearer(s.boss, false), `{ previewHandover(input: `+plan+`) { approvalsRequired historyUntil } }`, nil, &preview)
		if until := db.Now().AddDate(0, 0, 7); preview.PreviewHandover.ApprovalsRequired != 1 || preview.PreviewHandover.HistoryUntil == nil || !preview.PreviewHandover.HistoryUntil.Equal(until) {
			t.Errorf("the preview says %+v, want 1 approval and history until %s", preview.PreviewHandover, until)
		}
		s.handOver(s.boss, plan).refused("APPROVAL_REQUIRED", "")
		if n := s.reads(s.boss); n != 0 {
			t.Fatalf("reads %d messages without an approval", n)
		}
		s.approved(s.boss, plan)
		var reasons struct {
			Handovers struct {
				Nodes []struct{ ApprovalReasons []string }
			}
		}
		s.good(s.Bearer(s.boss, false), `{ handovers(first: 1) { nodes { approvalReasons } } }`, nil, &reasons)
		if got := reasons.Handovers.Nodes[0].ApprovalReasons; !slices.Equal(got, []string{"history_active", "history_self"}) {
			t.Errorf("approval is needed because of %v", got)
		}
		if n := s.reads(s.boss); n != 1 {
			t.Errorf("the successor reads %d messages, want 1", n)
		}

		// The person whose messages were read sees it, and one filter finds who read the chat.
		var receipts struct {
			Viewer struct {
				ReadReceipts struct {
					TotalCount int
					Nodes      []struct {
						Reader    struct{ ID nid.ID }
						ContactID nid.ID
						Messages  int
					}
				}
			}
		}
		ask := `{ viewer { readReceipts { totalCount nodes { reader { id } contactId messages } } } }`
		s.good(s.Bearer(s.lina, false), ask, nil, &receipts)
		if r := receipts.Viewer.ReadReceipts; r.TotalCount != 1 || r.Nodes[0].Reader.ID != s.boss || r.Nodes[0].ContactID != s.contact || r.Nodes[0].Messages != 1 {
			t.Errorf("lina's receipts: %+v", r)
		}
		var log struct {
			AuditEntries struct {
				Nodes []struct {
					Action string
					Actor  struct{ ID nid.ID }
				}
			}
		}
		s.good(s.Bearer(s.boss, false), fmt.Sprintf(`{ messages(filter: {memberId: "%s"}) { nodes { id } } }`, s.lina), nil, &struct{}{})
		s.good(s.Bearer(s.Admin, false), fmt.Sprintf(`{ auditEntries(filter: {chatOf: "%s"}) { nodes { action actor { id } } } }`, s.contact), nil, &log)
		if n := log.AuditEntries.Nodes; len(n) != 2 || n[0].Action != "history.read" || n[1].Actor.ID != s.boss {
			t.Errorf("who read the chat: %+v", n)
		}
		s.settings("readReceipts: false")
		s.good(s.Bearer(s.lina, false), ask, nil, &receipts)
		if receipts.Viewer.ReadReceipts.TotalCount != 0 {
			t.Error("receipts are shown although the corp keeps none")
		}

		// It ends in the transaction that moves the contact on.
		if got := s.handOver(s.boss, s.plan("ON_JOB", s.boss, s.lina, "NONE")); len(got.Errors) > 0 {
			t.Fatalf("%+v", got.Errors)
		}
		if n := s.reads(s.boss); n != 0 {
			t.Errorf("who gave the contact back still reads %d messages", n)
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM history_grants WHERE corp_id = $1 AND ended_at IS NULL`, s.ID); n != 0 {
			t.Errorf("%d grants go on", n)
		}
		// Taking that back brings the grant back, which ends by itself all the same.
		var moved struct {
			Handovers struct{ Nodes []struct{ ID nid.ID } }
		}
		s.good(s.Bearer(s.Admin, false), `{ handovers(first: 1) { nodes { id } } }`, nil, &moved)
		s.good(s.Bearer(s.Admin, true), fmt.Sprintf(`mutation { revertHandover(input: {id: "%s", reason: "a mistake", idempotencyKey: "%s"}) { handover { state } } }`, moved.Handovers.Nodes[0].ID, s.key()), nil, &struct{}{})
		if n := s.reads(s.boss); n != 1 {
			t.Errorf("after the undo the successor reads %d messages, want 1", n)
		}
		s.Clock.Add(8 * 24 * time.Hour)
		if n := s.reads(s.boss); n != 0 {
			t.Errorf("the grant is read by after its time: %d messages", n)
		}
	})
}

// A grant is the right to read: no role is needed. A setting can forbid it, which the
// preview says. Who may, ends a grant.
func TestASuccessorNeedsNoRoleToRead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newInheritance(t, db, clock)
		s.Depart(s.lina)
		plan := s.plan("RESIGNED", s.lina, s.wang, "ALL")
		s.settings("historyForSuccessors: false")
		var preview struct {
			PreviewHandover struct {
				Immediate bool
				Problems  []struct {
					Reason, Message string
					Blocking        bool
				}
			}
		}
		see := func() {
			t.Helper()
			s.good(s.Bearer(s.Admin, false), `{ previewHandover(input: `+plan+`) { immediate problems { reason message blocking } } }`, nil, &preview)
		}
		see()
		if p := preview.PreviewHandover.Problems; len(p) != 1 || p[0].Reason != "SUCCESSOR_CANNOT_READ" || !p[0].Blocking || preview.PreviewHandover.Immediate {
			t.Errorf("%+v", preview.PreviewHandover)
		}
		s.handOver(s.Admin, plan).refused("INVALID", "input.plan")
		s.settings("historyForSuccessors: true")
		see()
		if len(preview.PreviewHandover.Problems) != 0 || !preview.PreviewHandover.Immediate {
			t.Errorf("%+v", preview.PreviewHandover)
		}
		if got := s.handOver(s.Admin, plan); len(got.Errors) > 0 {
			t.Fatalf("%+v", got.Errors)
		}
		if n := s.reads(s.wang); n != 1 {
			t.Errorf("a successor without a role reads %d messages, want 1", n)
		}
		s.settings("historyForSuccessors: false")
		if n := s.reads(s.wang); n != 0 {
			t.Errorf("reads %d messages although the corp forbids it", n)
		}
		s.settings("historyForSuccessors: true")

		auditor := s.Member("auditor", s.Root)
		s.Grant(auditor, access.Auditor.Name, nid.ID{})
		type grants struct {
			TotalCount int
			Nodes      []struct {
				ID                nid.ID
				Successor, Leaver struct{ ID nid.ID }
			}
		}
		var all struct{ HistoryGrants grants }
		s.good(s.Bearer(auditor, false), fmt.Sprintf(`{ historyGrants(filter: {contactId: "%s", active: true}) { totalCount nodes { id successor { id } leaver { id } } } }`, s.contact), nil, &all)
		if g := all.HistoryGrants; g.TotalCount != 1 || g.Nodes[0].Successor.ID != s.wang || g.Nodes[0].Leaver.ID != s.lina {
			t.Fatalf("the auditor sees %+v", g)
		}
		var mine struct {
			Viewer struct{ HistoryGrants grants }
		}
		s.good(s.Bearer(s.wang, false), `{ viewer { historyGrants { totalCount nodes { id successor { id } leaver { id } } } } }`, nil, &mine)
		if mine.Viewer.HistoryGrants.TotalCount != 1 {
			t.Errorf("the successor sees %+v", mine.Viewer.HistoryGrants)
		}
		revoke := fmt.Sprintf(`mutation { revokeHistoryGrant(input: {id: "%s", reason: "no longer needed"}) { historyGrant { endedAt } } }`, all.HistoryGrants.Nodes[0].ID)
		s.ask(s.Bearer(s.wang, true), revoke, nil).refused("FORBIDDEN", "")
		s.ask(s.Bearer(auditor, false), revoke, nil).refused("STEP_UP_REQUIRED", "")
		s.ask(s.Bearer(auditor, true), strings.Replace(revoke, "no longer needed", strings.Repeat("x", 501), 1), nil).refused("INVALID", "input.reason")
		s.good(s.Bearer(auditor, true), revoke, nil, &struct{}{})
		if n := s.reads(s.wang); n != 0 {
			t.Errorf("reads %d messages by a revoked grant", n)
		}
		s.ask(s.Bearer(auditor, true), revoke, nil).refused("CONFLICT", "input.id")
	})
}

// A service token may do what its maker may at the time, where its maker may.
func TestATokenMayDoNoMoreThanItsMaker(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newSite(t, db, clock)
		sales, support := s.Department("sales", s.Root), s.Department("support", s.Root)
		lina, kim := s.Member("lina", sales), s.Member("kim", support)
		s.Contact("ann", "NORMAL", lina)
		s.Contact("ben", "NORMAL", kim)
		maker := s.Member("maker", s.Root)
		role := s.Role("token maker", access.ManageTokens, access.ViewContacts)
		grant := s.GrantRole(maker, role, nid.ID{})
		secrets := map[string]string{}
		for name, department := range map[string]string{"corp": "", "sales": fmt.Sprintf(`departmentId: "%s", `, sales)} {
			var made struct {
				CreateServiceToken struct{ Secret string }
			}
			s.good(s.Bearer(maker, true), fmt.Sprintf(`mutation { createServiceToken(input: {name: "%s", permissions: [VIEW_CONTACTS], %sexpiresAt: "%s"}) { secret } }`,
				name, department, db.Now().AddDate(0, 6, 0).Format(time.RFC3339)), nil, &made)
			secrets[name] = made.CreateServiceToken.Secret
		}
		_, secrets["machine"], _ = s.id.CreateToken(store.System(t.Context(), s.ID, "test"), "machine", []access.Permission{access.ViewContacts}, nil, db.Now().AddDate(0, 6, 0))
		sees := func(when string, want map[string]string) {
			t.Helper()
			for name, contacts := range want {
				var got struct {
					Contacts struct{ Nodes []struct{ Name string } }
				}
				s.good(secrets[name], `{ contacts { nodes { name } } }`, nil, &got)
				var names []string
				for _, c := range got.Contacts.Nodes {
					names = append(names, c.Name)
				}
				if strings.Join(names, " ") != contacts {
					t.Errorf("%s, the token %s sees %q, want %q", when, name, names, contacts)
				}
			}
			var list struct {
				ServiceTokens struct {
					Nodes []struct {
						Name                 string
						CreatedBy            *struct{ ID nid.ID }
						Reduced              bool
						EffectivePermissions []string
					}
				}
			}
			s.good(s.Bearer(s.Admin, false), `{ serviceTokens(filter: {active: true}) { nodes { name createdBy { id } reduced effectivePermissions } } }`, nil, &list)
			for _, n := range list.ServiceTokens.Nodes {
				whole := map[string]string{"corp": "ann ben", "sales": "ann", "machine": "ann ben"}[n.Name]
				if reduced := want[n.Name] != whole; n.Reduced != reduced || (len(n.EffectivePermissions) == 0) != (want[n.Name] == "") || (n.CreatedBy == nil) != (n.Name == "machine") {
					t.Errorf("%s: %+v", when, n)
				}
			}
			if len(list.ServiceTokens.Nodes) != 3 {
				t.Errorf("%d tokens are listed", len(list.ServiceTokens.Nodes))
			}
		}
		end := func(grant nid.ID) {
			t.Helper()
			s.good(s.Bearer(s.Admin, true), fmt.Sprintf(`mutation { revokeGrant(input: {id: "%s"}) { revokedGrantId } }`, grant), nil, &struct{}{})
		}
		sees("at first", map[string]string{"corp": "ann ben", "sales": "ann", "machine": "ann ben"})
		end(grant)
		sees("without the role", map[string]string{"corp": "", "sales": "", "machine": "ann ben"})
		grant = s.GrantRole(maker, role, support)
		sees("with the role beside", map[string]string{"corp": "ben", "sales": "", "machine": "ann ben"})
		end(grant)
		s.GrantRole(maker, role, nid.ID{})
		sees("with the role again", map[string]string{"corp": "ann ben", "sales": "ann", "machine": "ann ben"})
	})
}
