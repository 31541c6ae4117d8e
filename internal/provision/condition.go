package provision

import (
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/roster"
)

// userColumns are the attributes of people as SQL, never NULL.
var userColumns = map[roster.Attribute]string{
	roster.UserName:   "m.user_id",
	roster.Name:       "m.name",
	roster.GivenName:  "coalesce(u.given_name, '')",
	roster.FamilyName: "coalesce(u.family_name, '')",
	roster.Email:      "coalesce(u.email, '')",
	roster.ExternalID: "coalesce(u.external_id, '')",
	roster.Active:     "m.answers",
	roster.Created:    "m.created_at",
	roster.Modified:   "m.updated_at",
	roster.ID:         "m.id",
}

// groupColumns are those of departments.
var groupColumns = map[roster.Attribute]string{
	roster.Name:       "d.name",
	roster.ExternalID: "coalesce(g.external_id, '')",
	roster.Created:    "d.created_at",
	roster.Modified:   "d.updated_at",
	roster.ID:         "d.id",
	roster.Members:    "",
}

// external finds who has an externalId by its index, by the column of the tables above.
var external = map[string]string{
	userColumns[roster.ExternalID]:  "m.id IN (SELECT member_id FROM scim_users WHERE corp_id = $1 AND external_id = ",
	groupColumns[roster.ExternalID]: "d.id IN (SELECT department_id FROM scim_groups WHERE corp_id = $1 AND external_id = ",
}

// operators compare as SQL does.
var operators = map[roster.Op]string{roster.Eq: "=", roster.Ne: "<>", roster.Gt: ">", roster.Ge: ">=", roster.Lt: "<", roster.Le: "<="}

// where writes a condition. Attributes and operators come from the tables above,
// values become arguments.
func (q *query) where(c roster.Condition, columns map[roster.Attribute]string) (string, error) {
	switch c := c.(type) {
	case nil:
		return "1 = 1", nil
	case roster.Always:
		if c {
			return "1 = 1", nil
		}
		return "1 = 0", nil
	case roster.And:
		return q.both(c.Left, " AND ", c.Right, columns)
	case roster.Or:
		return q.both(c.Left, " OR ", c.Right, columns)
	case roster.Not:
		inner, err := q.where(c.Of, columns)
		return "NOT (" + inner + ")", err
	case roster.Compare:
		column, ok := columns[c.Attribute]
		if !ok {
			return "", refused(c)
		}
		return q.compare(c, column)
	}
	return "", fault.Bad("filter", "this filter cannot be answered", "不支持该筛选条件")
}

func (q *query) both(left roster.Condition, word string, right roster.Condition, columns map[roster.Attribute]string) (string, error) {
	l, err := q.where(left, columns)
	if err != nil {
		return "", err
	}
	r, err := q.where(right, columns)
	return "(" + l + word + r + ")", err
}

func refused(c roster.Compare) error {
	return fault.Bad("filter", "a filter cannot compare %s with %s", "筛选条件不支持 %s 的 %s 比较", string(c.Attribute), string(c.Op))
}

func (q *query) compare(c roster.Compare, column string) (string, error) {
	operator, orders := operators[c.Op]
	equality := c.Op == roster.Eq || c.Op == roster.Ne
	switch c.Attribute {
	case roster.ID:
		switch {
		case c.Op == roster.Pr:
			return "1 = 1", nil
		case equality:
			return column + " " + operator + " " + q.arg(c.ID), nil
		}
	case roster.Members:
		in := `EXISTS (SELECT 1 FROM member_departments AS md WHERE md.corp_id = d.corp_id AND md.department_id = d.id`
		switch c.Op {
		case roster.Pr:
			return in + ")", nil
		case roster.Eq:
			return in + " AND md.member_id = " + q.arg(c.ID) + ")", nil
		case roster.Ne:
			return "NOT " + in + " AND md.member_id = " + q.arg(c.ID) + ")", nil
		}
	case roster.Active:
		switch {
		case c.Op == roster.Pr:
			return "1 = 1", nil
		case equality && c.Bool == (c.Op == roster.Eq):
			return column, nil
		case equality:
			return "NOT " + column, nil
		}
	case roster.Created, roster.Modified:
		switch {
		case c.Op == roster.Pr:
			return "1 = 1", nil
		case orders:
			return column + " " + operator + " " + q.arg(c.Time), nil
		}
	default:
		return q.text(c, column)
	}
	return "", refused(c)
}

// text compares without regard to case, but for the provider's own ids (RFC 7643
// §3.1), which an index finds.
func (q *query) text(c roster.Compare, column string) (string, error) {
	if c.Op == roster.Pr {
		return column + " <> ''", nil
	}
	fold := "lower("
	if c.Attribute == roster.ExternalID {
		fold = "("
		if known := external[column]; c.Op == roster.Eq && c.Text != "" {
			return known + q.arg(c.Text) + ")", nil
		}
	}
	if operator, ok := operators[c.Op]; ok {
		return fold + column + ") " + operator + " " + fold + "CAST(" + q.arg(c.Text) + " AS text))", nil
	}
	pattern := literal.Replace(c.Text)
	switch c.Op {
	case roster.Co:
		pattern = "%" + pattern + "%"
	case roster.Sw:
		pattern += "%"
	case roster.Ew:
		pattern = "%" + pattern
	default:
		return "", refused(c)
	}
	return fold + column + ") LIKE " + fold + "CAST(" + q.arg(pattern) + ` AS text)) ESCAPE '!'`, nil
}

// literal takes their meaning from the characters of LIKE.
var literal = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")
