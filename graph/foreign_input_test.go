package graph

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// beside is what must stand next to an id for it to be looked at, by the operation or
// by the input around it.
var beside = map[string][]string{
	"saveRole": {"version"}, "saveRuleSet": {"version"}, "saveWebhook": {"version"}, "saveIdentityProvider": {"version"}, "saveDepartment": {"version", "name"},
	"messages": {"contactId"}, "createExport": {"format"},
}

// needed says whether a field is given although the spot does not lie in it.
func (c *comparison) needed(p spot, at []string, f *ast.FieldDefinition) bool {
	name := at[len(at)-1]
	inside := len(at) > 1 && at[len(at)-2] == "successors"
	switch {
	case f.Type.Name() == "HandoverKind" || p.field == "saveRuleSet" && name == "memberIds":
		return true
	case inside: // one way to choose; the leaver's things go to one member where nothing else is asked
		return name == "memberId" && !slices.Contains(p.path, "successors")
	case p.field == "saveDepartment" && (name == "id" || name == "version"):
		return p.last() == "id" && name == "version"
	case slices.Contains([]string{"saveRole", "saveRuleSet", "saveWebhook", "saveIdentityProvider"}, p.field) && name == "version" && len(at) == 2:
		return p.last() == "id"
	case p.field == "messages" && name == "contactId":
		return !slices.Contains([]string{"groupId"}, p.last())
	case p.field == "createExport" && name == "contacts":
		return false
	case slices.Contains(beside[p.field], name) && len(at) == 2:
		return true
	}
	return f.Type.NonNull && f.DefaultValue == nil
}

// word is the value of an enumeration that fits.
func (c *comparison) word(p spot, at []string, d *ast.Definition) string {
	switch d.Name {
	case "ExportSubject":
		if p.last() == "handoverId" {
			return "EVIDENCE"
		}
		return "CONTACTS"
	case "ReviewDecision":
		return "KEEP"
	case "HandoverKind":
		return "ON_JOB"
	case "RuleMethod":
		return "EVEN"
	}
	return d.EnumValues[0].Name
}

// plain is the value of a scalar that fits.
func (c *comparison) plain(name, typ string) any {
	switch {
	case name == "issuer":
		return "https://login.example.com"
	case name == "url":
		return "https://example.com/hook"
	case name == "idempotencyKey":
		return fmt.Sprintf("key-%d", c.n)
	case typ == "Time":
		return c.DB.Now().Add(24 * time.Hour).Format(time.RFC3339)
	case typ == "Date":
		return c.DB.Now().Add(24 * time.Hour).Format(time.DateOnly)
	case typ == "Int":
		return 1
	case typ == "Boolean":
		return true
	case typ == "Permission":
		return "VIEW_CONTACTS"
	}
	return "text"
}

// expected is the code and field that a place answers with.
func (c *comparison) expected(p spot) string {
	switch path := strings.Join(p.path, "."); {
	case p.field == "replanHandover" && path == "input.plan.leaverId":
		return "INVALID " + path // a handover keeps its leaver, whoever is named
	case strings.HasSuffix(path, ".contactIds") || strings.HasSuffix(path, ".groupIds"):
		return "INVALID " + path // not among what the leaver has
	case strings.Contains(path, ".select."):
		before, _, _ := strings.Cut(path, ".select.")
		return "INVALID " + before + ".select" // a filter that finds nothing to hand over
	case strings.HasPrefix(p.field, "transfer") && (p.last() == "departmentId" || p.last() == "handoverId") && len(p.field) > len("transfers"):
		return "NOT_FOUND " + path
	case p.field == "noticeChanges":
		return "NOT_FOUND " + path
	case p.field == "confirmDepartures", p.field == "dismissDepartures", p.last() == "followId": // a result for each says it
		return ""
	case p.kind == "Query" && p.field != "previewHandover", p.field == "createExport" && p.last() != "handoverId": // a filter that finds nothing
		return ""
	default:
		return "NOT_FOUND " + path
	}
}
