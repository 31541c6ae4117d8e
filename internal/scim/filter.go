package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	filter "github.com/scim2/filter-parser/v2"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
)

const (
	// maxFilter is how long a filter or a path may be, in bytes.
	maxFilter = 2048
	// maxNesting is how deep its parentheses go.
	maxNesting = 8
	// maxTerms is how many comparisons a filter has.
	maxTerms = 32
)

// userNames are the attributes that filters of people may name, in lower case.
var userNames = map[string]roster.Attribute{
	"id": roster.ID, "externalid": roster.ExternalID, "username": roster.UserName, "displayname": roster.Name,
	"name.formatted": roster.Name, "name.givenname": roster.GivenName, "name.familyname": roster.FamilyName,
	"emails": roster.Email, "emails.value": roster.Email, "active": roster.Active, "meta.created": roster.Created, "meta.lastmodified": roster.Modified,
}

// groupNames are those of departments.
var groupNames = map[string]roster.Attribute{
	"id": roster.ID, "externalid": roster.ExternalID, "displayname": roster.Name, "members": roster.Members, "members.value": roster.Members,
	"meta.created": roster.Created, "meta.lastmodified": roster.Modified,
}

// translation is a filter being read.
type translation struct {
	names map[string]roster.Attribute
	urn   string
	kind  nid.Kind
	terms int
}

var (
	userFilters  = translation{names: userNames, urn: userURN, kind: nid.Member}
	groupFilters = translation{names: groupNames, urn: groupURN, kind: nid.Department}
)

func wrongFilter(en, zh string, args ...any) error { return bad("invalidFilter", en, zh, args...) }

// bounded refuses what would make a parser work: it comes before it.
func bounded(s string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		}
		if depth > maxNesting {
			return false
		}
	}
	return len(s) <= maxFilter
}

// spelled writes the JSON strings of a filter with no other escapes than the parser
// knows, which are \" and \\. What is no JSON string stays for the parser to refuse.
func spelled(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		end := i + 1
		if s[i] == '"' {
			for end < len(s) && s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(s))
			var text string
			if json.Unmarshal([]byte(s[i:end]), &text) == nil {
				b.WriteString(`"` + escapes.Replace(text) + `"`)
				i = end - 1
				continue
			}
		}
		b.WriteString(s[i:end])
		i = end - 1
	}
	return strings.ToValidUTF8(b.String(), "?")
}

var (
	escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	plainly = strings.NewReplacer(`\\`, `\`, `\"`, `"`) // the parser leaves them in
)

// literal is the text of a compared value.
func literal(v any) (string, bool) {
	s, ok := v.(string)
	return plainly.Replace(s), ok
}

// parse reads a filter; an empty one is nil.
func (t translation) parse(s string) (c roster.Condition, err error) {
	if s = strings.TrimSpace(s); s == "" {
		return nil, nil
	}
	if !bounded(s) {
		return nil, wrongFilter("the filter is longer than %d bytes or nested deeper than %d", "筛选条件超过 %d 字节,或嵌套超过 %d 层", maxFilter, maxNesting)
	}
	e, err := filter.ParseFilter([]byte(spelled(s)))
	if err != nil {
		return nil, wrongFilter("the filter cannot be read; it is written like userName eq \"lina\"", "无法解析筛选条件;写法如 userName eq \"lina\"")
	}
	return t.expression(e, "")
}

// expression translates; within is the attribute whose values a filter in brackets is about.
func (t *translation) expression(e filter.Expression, within string) (roster.Condition, error) {
	switch e := e.(type) {
	case *filter.LogicalExpression:
		l, err := t.expression(e.Left, within)
		if err != nil {
			return nil, err
		}
		r, err := t.expression(e.Right, within)
		if e.Operator == filter.OR {
			return roster.Or{Left: l, Right: r}, err
		}
		return roster.And{Left: l, Right: r}, err
	case *filter.NotExpression:
		of, err := t.expression(e.Expression, within)
		return roster.Not{Of: of}, err
	case *filter.ValuePath:
		// We keep one value, so that one holds for it which holds for any.
		return t.expression(e.ValueFilter, t.named(e.AttributePath))
	case *filter.AttributeExpression:
		name := t.named(e.AttributePath)
		if within != "" {
			name = within + "." + name
		}
		return t.compare(name, roster.Op(strings.ToLower(string(e.Operator))), e.CompareValue)
	}
	return nil, wrongFilter("this filter cannot be answered", "不支持该筛选条件")
}

// named gives an attribute's name without the schema's, in lower case.
func (t *translation) named(p filter.AttributePath) string {
	name := strings.ToLower(p.AttributeName)
	if p.SubAttribute != nil {
		name += "." + strings.ToLower(*p.SubAttribute)
	}
	if urn := p.URI(); urn != "" && !strings.EqualFold(urn, t.urn) {
		name = strings.ToLower(urn) + ":" + name
	}
	return name
}

func (t *translation) compare(name string, op roster.Op, value any) (roster.Condition, error) {
	if t.terms++; t.terms > maxTerms {
		return nil, wrongFilter("a filter has %d comparisons at most", "筛选条件最多包含 %d 个比较", maxTerms)
	}
	c, err := t.constant(name, op, value)
	if c != nil || err != nil {
		return c, err
	}
	a, ok := t.names[name]
	if !ok {
		return nil, wrongFilter("a filter cannot be about %s", "筛选条件不支持属性 %s", shown(name))
	}
	out := roster.Compare{Attribute: a, Op: op}
	if op == roster.Pr {
		return out, nil
	}
	if value == nil { // null is what is not there
		out.Op = roster.Pr
		if op == roster.Ne {
			return out, nil
		}
		if op == roster.Eq {
			return roster.Not{Of: out}, nil
		}
		return nil, t.wrongValue(name)
	}
	text, isText := literal(value)
	switch a {
	case roster.Active:
		switch b, isBool := value.(bool); {
		case isBool:
			out.Bool = b
		case isText && strings.EqualFold(text, "true"):
			out.Bool = true
		case !isText || !strings.EqualFold(text, "false"):
			return nil, t.wrongValue(name)
		}
	case roster.ID, roster.Members:
		if !isText {
			return nil, t.wrongValue(name)
		}
		id, err := nid.Parse(text)
		want := t.kind
		if a == roster.Members {
			want = nid.Member
		}
		if out.ID = id; err != nil || id.Kind() != want {
			if op != roster.Eq && op != roster.Ne {
				return nil, t.wrongValue(name)
			}
			return roster.Always(op == roster.Ne), nil
		}
	case roster.Created, roster.Modified:
		at, err := time.Parse(time.RFC3339Nano, text)
		if !isText || err != nil || at.Year() < 1 || at.Year() > 9999 {
			return nil, t.wrongValue(name)
		}
		out.Time = at.UTC().Truncate(time.Microsecond)
	default:
		if !isText || strings.ContainsRune(text, 0) {
			return nil, t.wrongValue(name)
		}
		out.Text = text
	}
	return out, nil
}

// constant answers for what is the same of every address and member that we keep.
func (t *translation) constant(name string, op roster.Op, value any) (roster.Condition, error) {
	var is string
	switch name {
	case "emails.type":
		is = "work"
	case "emails.primary":
		is = "true"
	case "members.type":
		is = "user"
	default:
		return nil, nil
	}
	there := roster.Compare{Attribute: roster.Email, Op: roster.Pr}
	if name == "members.type" {
		there.Attribute = roster.Members
	}
	switch same := value != nil && strings.EqualFold(fmt.Sprint(value), is); {
	case op == roster.Pr, op == roster.Eq && same, op == roster.Ne && !same:
		return there, nil
	case op == roster.Eq, op == roster.Ne:
		return roster.Always(false), nil
	}
	return nil, wrongFilter("a filter compares %s with eq, ne or pr", "筛选条件对 %s 仅支持 eq、ne、pr", name)
}

func (t *translation) wrongValue(name string) error {
	return wrongFilter("%s cannot be compared with this value in this way", "%s 不能与该值进行此比较", shown(name))
}

// shown is as much of a name as an answer repeats.
func shown(name string) string {
	if len(name) > 80 {
		return strings.ToValidUTF8(name[:80], "") + "…"
	}
	return name
}
