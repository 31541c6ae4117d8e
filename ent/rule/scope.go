package rule

import (
	"context"
	"fmt"
	"strings"

	"entgo.io/ent"
	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent/intercept"
	"github.com/openhandover/openhandover/internal/access"
)

// Scoped lets a query of the table see what its actor may see; see Visible.
func Scoped(table string) ent.Interceptor {
	return intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		a, err := actor(ctx)
		if err != nil {
			return err
		}
		if condition, args := Visible(a, table); condition != "" {
			q.WhereP(func(s *sql.Selector) { s.Where(Condition(condition, args...)) })
		}
		return nil
	})
}

// cases are the permissions that let an actor see handovers within their scope.
var cases = []access.Permission{
	access.PlanHandover, access.ExecuteResignedContacts, access.ExecuteResignedGroups, access.ExecuteOnJob,
	access.ApproveHandover, access.RevertHandover, access.ReadAuditLog,
}

// tokens are the permissions that let an actor see service tokens that reach within their scope.
var tokens = []access.Permission{access.ManageTokens, access.ReviewAccess, access.ReadAuditLog}

// histories are the permissions that let an actor see who may read whose chats within their scope.
var histories = []access.Permission{access.ReadAuditLog, access.AuditChats, access.ManageRoles}

// Visible is the condition under which the actor may see a row of the table
// (semantics.md "Visibility"), with ? for its arguments, naming the table by its
// full name; empty where every row of the corp is visible. The corp itself is no
// part of it: rule.Corp and row-level security see to that.
//
// It is written once, here, for ent's queries and for the SQL that counts and
// numbers rows, so that no list, count or page reveals what a read would not.
func Visible(a *access.Actor, table string) (condition string, args []any) {
	s := &sight{actor: a}
	switch table {
	case "contacts":
		return s.follows(access.ViewContacts, "contacts.corp_id", "contacts.id")
	case "follows":
		return s.follows(access.ViewContacts, "follows.corp_id", "follows.contact_id")
	case "groups":
		s.self("groups.owner_id")
		s.self("groups.accountable_id")
		s.member(a.Scope(access.ViewGroups), "groups.corp_id", "groups.owner_id")
	case "handovers":
		return s.handovers()
	case "approvals":
		inner, innerArgs := (&sight{actor: a}).handovers()
		if inner == "" {
			return "", nil
		}
		return "EXISTS (SELECT 1 FROM handovers WHERE handovers.corp_id = approvals.corp_id AND handovers.id = approvals.handover_id AND (" + inner + "))", innerArgs
	case "transfers":
		scope := a.Scope(cases...)
		s.self("transfers.to_id")
		s.member(scope, "transfers.corp_id", "transfers.from_id")
		s.member(scope, "transfers.corp_id", "transfers.to_id")
		if a.Kind == access.Person {
			s.or("EXISTS (SELECT 1 FROM handovers AS vh WHERE vh.corp_id = transfers.corp_id AND vh.id = transfers.handover_id AND vh.responsible_id = ?)", a.ID)
		}
	case "exports":
		s.self("exports.requested_by_id") // the file is theirs alone, and so is what they asked for
	case "leak_findings":
		if a.Kind != access.Person {
			return "1 = 0", nil
		}
		// Nobody learns what is suspected of themselves.
		return all(clause{"leak_findings.member_id <> ?", []any{a.ID}}, within(a, "leak_findings.corp_id", "leak_findings.member_id", access.AuditChats))
	case "audit_entries":
		// An entry is about whatever it is about; only who may read all of them reads any.
		s.all = a.Scope(access.ReadAuditLog).All
	case "grants":
		s.self("grants.member_id")
		s.member(a.Scope(access.ManageRoles, access.ReviewAccess, access.ReadAuditLog), "grants.corp_id", "grants.member_id")
	case "access_reviews":
		s.all = a.Can(access.ReviewAccess, access.ReadAuditLog)
	case "review_items": // of a member's grant, or of a token
		scope := a.Scope(access.ReviewAccess, access.ReadAuditLog)
		s.member(scope, "review_items.corp_id", "review_items.member_id")
		if !scope.All && !scope.Empty() {
			token := &sight{actor: a}
			token.department(scope, "vk.corp_id", "vk.department_id")
			condition, args := token.condition()
			s.or("EXISTS (SELECT 1 FROM service_tokens AS vk WHERE vk.corp_id = review_items.corp_id AND vk.id = review_items.token_id AND "+condition+")", args...)
		}
	case "service_tokens":
		s.department(a.Scope(tokens...), "service_tokens.corp_id", "service_tokens.department_id")
	case "history_grants": // of the leaver's messages, for the successor
		scope := a.Scope(histories...)
		s.self("history_grants.successor_id")
		s.member(scope, "history_grants.corp_id", "history_grants.leaver_id")
		s.member(scope, "history_grants.corp_id", "history_grants.successor_id")
	default:
		return "", nil
	}
	return s.condition()
}

// OfCase is the condition under which the actor may see what is said of a visible row of
// handovers: its reason, plan and comments. It is for who holds a case permission over
// the leaver, and for who requested, is responsible, executes or voted. Empty where all may. Everybody
// else who sees the row is a successor, or in charge of one.
func OfCase(a *access.Actor) (condition string, args []any) {
	s := &sight{actor: a}
	s.self("handovers.executed_by_id")
	if a.Kind == access.Person {
		s.or("EXISTS (SELECT 1 FROM approvals AS va WHERE va.corp_id = handovers.corp_id AND va.handover_id = handovers.id AND va.approver_id = ?)", a.ID)
	}
	return s.wholeCase()
}

// WholeCase is the condition under which the actor may see every transfer of a row of
// handovers, and so its counts; empty where all may.
func WholeCase(a *access.Actor) (condition string, args []any) { return (&sight{actor: a}).wholeCase() }

func (s *sight) wholeCase() (string, []any) {
	s.self("handovers.responsible_id") // who is the requester, where there is one
	s.member(s.actor.Scope(cases...), "handovers.corp_id", "handovers.leaver_id")
	return s.condition()
}

// InScope is the condition that a member, given by the SQL of its and its corp's
// id, is the actor or within the reach of one of the permissions; empty where
// every member is.
func InScope(a *access.Actor, corp, member string, any ...access.Permission) (condition string, args []any) {
	s := &sight{actor: a}
	s.self(member)
	s.member(a.Scope(any...), corp, member)
	return s.condition()
}

// sight gathers alternatives, one of which must hold.
type sight struct {
	actor *access.Actor
	all   bool
	parts []string
	args  []any
}

func (s *sight) or(condition string, args ...any) {
	s.parts = append(s.parts, condition)
	s.args = append(s.args, args...)
}

// self: the column is the acting person.
func (s *sight) self(column string) {
	if s.actor.Kind == access.Person {
		s.or(column+" = ?", s.actor.ID)
	}
}

// member: the column is a member within the scope.
func (s *sight) member(scope access.Scope, corp, column string) {
	switch {
	case scope.All:
		s.all = true
	case !scope.Empty():
		s.or(fmt.Sprintf(`EXISTS (SELECT 1 FROM member_departments AS vm JOIN department_closure AS vc ON vc.corp_id = vm.corp_id AND vc.descendant_id = vm.department_id WHERE vm.corp_id = %s AND vm.member_id = %s AND vc.ancestor_id IN (%s))`,
			corp, column, marks(len(scope.Departments))), anys(scope.Departments)...)
	}
}

// department: the column is a department within the scope; NULL is the whole corp, which
// only a scope of the whole corp reaches.
func (s *sight) department(scope access.Scope, corp, column string) {
	switch {
	case scope.All:
		s.all = true
	case !scope.Empty():
		s.or(fmt.Sprintf("EXISTS (SELECT 1 FROM department_closure AS vc WHERE vc.corp_id = %s AND vc.descendant_id = %s AND vc.ancestor_id IN (%s))",
			corp, column, marks(len(scope.Departments))), anys(scope.Departments)...)
	}
}

// follows: one open follow of the contact is by the actor or within scope.
func (s *sight) follows(p access.Permission, corp, contact string) (string, []any) {
	s.self("vf.member_id")
	s.member(s.actor.Scope(p), "vf.corp_id", "vf.member_id")
	inner, args := s.condition()
	if inner == "" {
		return "", nil
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM follows AS vf WHERE vf.corp_id = %s AND vf.contact_id = %s AND vf.ended_at IS NULL AND (%s))", corp, contact, inner), args
}

func (s *sight) handovers() (string, []any) {
	scope := s.actor.Scope(cases...)
	to := &sight{actor: s.actor}
	to.self("vt.to_id")
	to.member(scope, "vt.corp_id", "vt.to_id")
	s.self("handovers.responsible_id") // who is the requester, where there is one
	s.member(scope, "handovers.corp_id", "handovers.leaver_id")
	if len(to.parts) > 0 {
		s.or("EXISTS (SELECT 1 FROM transfers AS vt WHERE vt.corp_id = handovers.corp_id AND vt.handover_id = handovers.id AND ("+strings.Join(to.parts, " OR ")+"))", to.args...)
	}
	return s.condition()
}

func (s *sight) condition() (string, []any) {
	switch {
	case s.all:
		return "", nil
	case len(s.parts) == 0:
		return "1 = 0", nil
	}
	return strings.Join(s.parts, " OR "), s.args
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}
