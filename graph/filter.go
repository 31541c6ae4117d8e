package graph

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// The lengths of lists in filters (safety.md §7).
const (
	maxIDs   = contact.MaxIDs
	maxNames = contact.MaxNames
)

// narrow gathers the conditions of a list and what is wrong with its filter.
type narrow struct {
	store.Where
	db  *store.DB
	bad fault.List
}

func (r *Resolver) narrow() *narrow { return &narrow{db: r.DB} }

// atMost notes a list that is too long.
func (n *narrow) atMost(field string, have, most int) {
	if have > most {
		n.bad = append(n.bad, fault.Bad(field, "a list has %d entries at most, this one has %d", "列表最多 %d 项,当前为 %d 项", most, have))
	}
}

func (n *narrow) ids(column, field string, ids []nid.ID) {
	n.atMost(field, len(ids), maxIDs)
	if ids != nil && len(ids) <= maxIDs {
		n.And(column+" "+n.db.InList(), n.db.IDs(ids))
	}
}

// id: an id that is none of ours is NULL, which equals nothing.
func (n *narrow) id(column string, id *nid.ID) {
	if id != nil {
		n.And(column+" = ?", *id)
	}
}

func words[T ~string](n *narrow, column, field string, in []T) {
	n.atMost(field, len(in), maxNames)
	if in == nil {
		return
	}
	texts := make([]string, len(in))
	for i, w := range in {
		texts[i] = string(w)
	}
	n.texts(field, texts...)
	n.And(column+" "+n.db.InTexts(), n.db.Texts(texts))
}

// texts refuses what no stored text can be, and what PostgreSQL would not take.
func (n *narrow) texts(field string, in ...string) {
	for _, s := range in {
		if problem, ok := name.CheckText(s, 4*name.MaxRunes); !ok {
			n.bad = append(n.bad, fault.New(fault.Invalid, field, problem))
			return
		}
	}
}

func (n *narrow) between(column string, from, until *time.Time) {
	if from != nil {
		n.And(column+" >= ?", *from)
	}
	if until != nil {
		n.And(column+" < ?", *until)
	}
}

// under: a member is in a department or below it.
func (n *narrow) under(corp, member string, department nid.ID) {
	n.And(fmt.Sprintf(`EXISTS (SELECT 1 FROM member_departments AS fm JOIN department_closure AS fc ON fc.corp_id = fm.corp_id AND fc.descendant_id = fm.department_id
		WHERE fm.corp_id = %s AND fm.member_id = %s AND fc.ancestor_id = ?)`, corp, member), department)
}

// present leaves archived rows out of a list.
func (n *narrow) present(table string) { n.And(table + ".archived_at IS NULL") }

// search looks for part of a name.
func (n *narrow) search(table string, text *string) {
	if text == nil {
		return
	}
	if !utf8.ValidString(*text) || utf8.RuneCountInString(*text) > name.MaxRunes || strings.ContainsRune(*text, 0) {
		n.bad = append(n.bad, fault.Bad("search", "give part of a name, %d characters at most", "请输入姓名的一部分,最多 %d 个字符", name.MaxRunes))
		return
	}
	contact.Search(&n.Where, table, *text)
}

func (n *narrow) departments(f *model.DepartmentFilter) {
	n.present("departments")
	if f != nil {
		n.ids("departments.id", "filter.ids", f.Ids)
		n.id("departments.parent_id", f.ParentID)
	}
}

func (n *narrow) members(ctx context.Context, f *model.MemberFilter) {
	n.present("members")
	if f == nil {
		return
	}
	n.ids("members.id", "filter.ids", f.Ids)
	if f.DepartmentID != nil {
		n.under("members.corp_id", "members.id", *f.DepartmentID)
	}
	words(n, "members.status", "filter.status", f.Status)
	if f.DepartureHeld != nil {
		condition := "members.status = 'LEAVING' AND members.departure_held_at IS NOT NULL"
		if !*f.DepartureHeld {
			condition = "NOT (" + condition + ")"
		}
		n.And(condition)
	}
	if f.HasUnassigned != nil {
		// Counters are for those only in whose scope the member is; others have none.
		condition, args := `EXISTS (SELECT 1 FROM member_counters AS fn WHERE fn.corp_id = members.corp_id AND fn.member_id = members.id
			AND (fn.contacts > fn.waiting_contacts OR fn.groups > fn.waiting_groups)) AND members.status IN ('DISABLED', 'DEPARTED')`, []any(nil)
		if scope, more := rule.InScope(access.From(ctx), "members.corp_id", "members.id", seesCounts...); scope != "" {
			condition, args = condition+" AND ("+scope+")", more
		}
		if !*f.HasUnassigned {
			condition = "NOT (" + condition + ")"
		}
		n.And(condition, args...)
	}
}

func (n *narrow) contacts(f *contact.Filter) {
	n.present("contacts")
	if f == nil {
		return
	}
	n.bad = append(n.bad, f.Check("filter")...)
	f.Where(n.db, &n.Where)
}

func (n *narrow) groups(f *group.Filter) {
	n.present("groups")
	if f == nil {
		return
	}
	n.atMost("filter.ids", len(f.IDs), maxIDs)
	n.atMost("filter.status", len(f.Status), maxNames)
	f.Where(n.db, &n.Where)
}

func (n *narrow) handovers(ctx context.Context, f *model.HandoverFilter) {
	if f == nil {
		return
	}
	n.ids("handovers.id", "filter.ids", f.Ids)
	n.id("handovers.leaver_id", f.LeaverID)
	n.id("handovers.requested_by_id", f.RequestedByID)
	if f.SuccessorID != nil {
		// Of the transfers that the viewer may see: a filter tells no more than the list.
		condition, args := `transfers.corp_id = handovers.corp_id AND transfers.handover_id = handovers.id AND transfers.to_id = ?`, []any{*f.SuccessorID}
		if visible, more := rule.Visible(access.From(ctx), "transfers"); visible != "" {
			condition, args = condition+" AND ("+visible+")", append(args, more...)
		}
		n.And("EXISTS (SELECT 1 FROM transfers WHERE "+condition+")", args...)
	}
	words(n, "handovers.state", "filter.states", f.States)
	words(n, "handovers.kind", "filter.kinds", f.Kinds)
	n.between("handovers.created_at", f.CreatedFrom, f.CreatedUntil)
}

func (n *narrow) transfers(f *model.TransferFilter) {
	if f == nil {
		return
	}
	n.ids("transfers.id", "filter.ids", f.Ids)
	n.id("transfers.handover_id", f.HandoverID)
	n.id("transfers.from_id", f.FromID)
	n.id("transfers.to_id", f.ToID)
	n.id("transfers.contact_id", f.ContactID)
	n.id("transfers.group_id", f.GroupID)
	words(n, "transfers.kind", "filter.kinds", f.Kinds)
	words(n, "transfers.status", "filter.statuses", f.Statuses)
	words(n, "transfers.reason", "filter.reasons", f.Reasons)
	n.between("transfers.assigned_at", f.AssignedFrom, f.AssignedUntil)
}

func (n *narrow) grants(f *model.GrantFilter) {
	n.And("grants.revoked_at IS NULL")
	n.And("(grants.expires_at IS NULL OR grants.expires_at > ?)", n.db.Now())
	if f == nil {
		return
	}
	n.id("grants.member_id", f.MemberID)
	n.id("grants.role_id", f.RoleID)
	if f.DepartmentID != nil {
		n.And(`EXISTS (SELECT 1 FROM department_closure AS fc WHERE fc.corp_id = grants.corp_id AND fc.descendant_id = grants.department_id AND fc.ancestor_id = ?)`, *f.DepartmentID)
	}
	if f.Sensitive != nil {
		n.And(`EXISTS (SELECT 1 FROM roles AS fr WHERE fr.corp_id = grants.corp_id AND fr.id = grants.role_id AND fr.sensitive = ?)`, *f.Sensitive)
	}
}

func (n *narrow) entries(f *model.AuditFilter) {
	if f == nil {
		return
	}
	n.id("audit_entries.actor_id", f.ActorID)
	n.id("audit_entries.subject_id", f.SubjectID)
	n.id("audit_entries.handover_id", f.HandoverID)
	if f.ChatOf != nil {
		n.And("audit_entries.subject_id = ? AND audit_entries.action IN (?, ?)", *f.ChatOf, string(access.HistoryRead), string(access.ChatSearch))
	}
	words(n, "audit_entries.action", "filter.actions", f.Actions)
	n.between("audit_entries.at", f.From, f.Until)
}
