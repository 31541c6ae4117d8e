package rule

import (
	"strings"

	"github.com/openhandover/openhandover/internal/access"
)

// Exportable is the condition, beside Visible, under which a visible row may leave in
// a file, with ? for its arguments; empty where every visible row may.
//
//   - A contact by EXPORT_CONTACTS over one who follows it, a group by EXPORT_GROUPS
//     over its owner. Following it oneself is not enough: who only looks after
//     customers takes no list of them away.
//   - What a leaver has left behind (product.md, 2) besides by EXECUTE_RESIGNED_CONTACTS
//     or EXECUTE_RESIGNED_GROUPS over that leaver: by who may hand it over.
//   - A transfer by the same permission as what it moves, over either side, or by
//     READ_AUDIT_LOG.
//   - The audit log by who may read it.
func Exportable(a *access.Actor, table string) (condition string, args []any) {
	switch table {
	case "contacts":
		const open = "EXISTS (SELECT 1 FROM follows AS vf WHERE vf.corp_id = contacts.corp_id AND vf.contact_id = contacts.id AND vf.ended_at IS NULL"
		reach := within(a, "vf.corp_id", "vf.member_id", access.ExportContacts)
		care := within(a, "vf.corp_id", "vf.member_id", access.ExecuteResignedContacts)
		return all(reach.wrap(open+" AND (", "))"), care.wrap("NOT "+open+" AND vf.protected AND NOT (", "))"))
	case "groups":
		reach := within(a, "groups.corp_id", "groups.owner_id", access.ExportGroups)
		care := within(a, "groups.corp_id", "groups.owner_id", access.ExecuteResignedGroups)
		return all(reach, care.wrap("NOT groups.protected OR (", ")"))
	case "transfers":
		s := &sight{actor: a}
		for _, m := range []struct {
			kind, side string
			by         access.Permission
		}{
			{"CONTACT", "from_id", access.ExportContacts}, {"CONTACT", "to_id", access.ExportContacts},
			{"GROUP", "from_id", access.ExportGroups}, {"GROUP", "to_id", access.ExportGroups},
		} {
			c := within(a, "transfers.corp_id", "transfers."+m.side, m.by)
			s.or("transfers.kind = '"+m.kind+"'"+c.wrap(" AND (", ")").text, c.args...)
		}
		log := a.Scope(access.ReadAuditLog)
		s.member(log, "transfers.corp_id", "transfers.from_id")
		s.member(log, "transfers.corp_id", "transfers.to_id")
		return s.condition()
	case "audit_entries":
		return Visible(a, table)
	}
	return "1 = 0", nil
}

// clause is a condition with its arguments; without text it always holds.
type clause struct {
	text string
	args []any
}

// within: the column is a member in the permission's reach.
func within(a *access.Actor, corp, column string, p access.Permission) clause {
	s := &sight{actor: a}
	s.member(a.Scope(p), corp, column)
	text, args := s.condition()
	return clause{text, args}
}

// wrap puts a condition that does not always hold between two texts.
func (c clause) wrap(before, after string) clause {
	if c.text == "" {
		return c
	}
	return clause{before + c.text + after, c.args}
}

// all: each of them holds.
func all(of ...clause) (condition string, args []any) {
	var texts []string
	for _, c := range of {
		if c.text != "" {
			texts, args = append(texts, "("+c.text+")"), append(args, c.args...)
		}
	}
	return strings.Join(texts, " AND "), args
}
