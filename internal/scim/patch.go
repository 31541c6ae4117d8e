package scim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	filter "github.com/scim2/filter-parser/v2"

	"github.com/openhandover/openhandover/internal/roster"
)

// maxOperations is how many operations one PATCH has, and how many attributes one of
// them sets.
const maxOperations = 1000

// maxPaths is how long all paths of one PATCH are together, in bytes: reading them is dear.
const maxPaths = 64 << 10

// operation is one step of a PATCH (RFC 7644 §3.5.2): op is add, replace or remove.
type operation struct {
	op, path string
	value    json.RawMessage
	left     *int // of maxPaths, for all operations of a request
}

// operations reads a PATCH. Entra writes op with a capital letter.
func operations(r *http.Request) ([]operation, error) {
	o, err := body(r)
	if err != nil {
		return nil, err
	}
	if list, err := decode[[]string]("schemas", o["schemas"]); err != nil || len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, patchURN) }) {
		return nil, bad("invalidSyntax", "schemas is %s", "schemas 应为 %s", patchURN)
	}
	list, err := decode[[]object]("Operations", o["operations"])
	switch {
	case err != nil:
		return nil, bad("invalidSyntax", "Operations is a list of objects", "Operations 应为对象列表")
	case len(list) == 0:
		return nil, bad("invalidSyntax", "Operations is missing", "缺少 Operations")
	case len(list) > maxOperations:
		return nil, fail(http.StatusRequestEntityTooLarge, "tooMany", "%d operations at most in one request", "每次请求最多 %d 个操作", maxOperations)
	}
	out, left := make([]operation, len(list)), maxPaths
	for i, o := range list {
		op, err := decode[string]("op", o["op"])
		if err != nil {
			return nil, err
		}
		path, err := decode[string]("path", o["path"])
		if err != nil {
			return nil, err
		}
		out[i] = operation{strings.ToLower(op), path, o["value"], &left}
		switch out[i].op {
		case "add", "replace":
		case "remove":
			if path == "" {
				return nil, bad("noTarget", "remove needs a path", "remove 操作需要 path")
			}
		default:
			return nil, bad("invalidSyntax", "op is add, replace or remove", "op 只能是 add、replace 或 remove")
		}
	}
	return out, nil
}

// target is what a path points to.
type target struct {
	name string // in lower case, without the schema's; sub-attributes after a dot
	// of is the filter in brackets; nil: none.
	of filter.Expression
	// company: of the enterprise extension.
	company bool
}

// each gives an operation's targets with their values. Without a path every attribute
// of the value is one; Entra writes paths there as names, as in {"name.givenName": "Na"}.
func (o operation) each(apply func(op string, t target, v json.RawMessage) error) error {
	return o.spread(apply, false)
}

// spread is each; inner says that the value stood under a schema's name, under which
// no other stands.
func (o operation) spread(apply func(op string, t target, v json.RawMessage) error, inner bool) error {
	if o.path != "" {
		t, err := o.aim(o.path)
		if err != nil {
			return err
		}
		return apply(o.op, t, o.value)
	}
	values, err := decode[object]("value", o.value)
	if err != nil || values == nil {
		return bad("invalidValue", "without a path the value is an object of attributes", "没有 path 时,value 须为属性对象")
	}
	if len(values) > maxOperations {
		return bad("tooMany", "too many attributes", "属性过多")
	}
	// In the order of names: name goes before name.givenname, which is more exact.
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		t := target{name: k}
		switch {
		case k == "schemas":
			continue
		case strings.EqualFold(k, companyURN):
			t = target{company: true}
		case !inner && (strings.EqualFold(k, userURN) || strings.EqualFold(k, groupURN)):
			if err := (operation{o.op, "", values[k], o.left}).spread(apply, true); err != nil {
				return err
			}
			continue
		case strings.ContainsAny(k, ".[:"):
			if t, err = o.aim(k); err != nil {
				return err
			}
		}
		if err := apply(o.op, t, values[k]); err != nil {
			return err
		}
	}
	return nil
}

// aim reads a path, as long as paths are left.
func (o operation) aim(path string) (target, error) {
	if *o.left -= len(path); *o.left < 0 {
		return target{}, fail(http.StatusRequestEntityTooLarge, "tooMany", "the paths of one request are %d bytes at most", "每次请求的 path 合计最多 %d 字节", maxPaths)
	}
	return aim(path)
}

// aim reads a path.
func aim(path string) (t target, err error) {
	wrong := bad("invalidPath", "the path cannot be read", "无法解析 path")
	if !bounded(path) {
		return t, wrong
	}
	if strings.EqualFold(path, companyURN) {
		return target{company: true}, nil
	}
	p, parseErr := filter.ParsePath([]byte(spelled(path)))
	if parseErr != nil {
		return t, wrong
	}
	t.name, t.of = strings.ToLower(p.AttributePath.AttributeName), p.ValueExpression
	for _, sub := range []string{p.AttributePath.SubAttributeName(), p.SubAttributeName()} {
		if sub != "" {
			t.name += "." + strings.ToLower(sub)
		}
	}
	switch urn := p.AttributePath.URI(); {
	case strings.EqualFold(urn, companyURN):
		t.company = true
	case urn != "" && !strings.EqualFold(urn, userURN) && !strings.EqualFold(urn, groupURN):
		return t, bad("invalidPath", "there is no schema %s here", "不支持 schema %s", shown(urn))
	}
	return t, nil
}

func noSuch(name string) error {
	return bad("invalidPath", "there is no attribute %s here", "不支持属性 %s", shown(name))
}

// notKept are attributes of RFC 7643 that providers send unasked. We keep none of
// them, and to refuse them would stop the provider from sending the rest.
var notKept = []string{
	"nickname", "profileurl", "title", "usertype", "preferredlanguage", "locale", "timezone", "password", "phonenumbers", "ims", "photos",
	"addresses", "entitlements", "roles", "x509certificates", "groups", "meta", "schemas",
}

// ignored reports whether an attribute is one of those.
func (t target) ignored() bool {
	top, _, _ := strings.Cut(t.name, ".")
	return t.company || slices.Contains(notKept, top)
}

// userPatch applies operations to a user.
type userPatch struct {
	was, is roster.User
	named   bool // the whole name was given
	active  *bool
}

// change is what the operations come to.
func (p *userPatch) change() roster.UserChange {
	if !p.named && (p.is.GivenName != p.was.GivenName || p.is.FamilyName != p.was.FamilyName) && p.was.Name == first(full(p.was.GivenName, p.was.FamilyName), p.was.UserName) {
		p.is.Name = first(full(p.is.GivenName, p.is.FamilyName), p.is.Name) // it was made of its parts, so it follows them
	}
	c := roster.UserChange{Active: p.active}
	for _, part := range []struct {
		was, is string
		to      **string
	}{
		{p.was.UserName, p.is.UserName, &c.UserName}, {p.was.Name, p.is.Name, &c.Name}, {p.was.GivenName, p.is.GivenName, &c.GivenName},
		{p.was.FamilyName, p.is.FamilyName, &c.FamilyName}, {p.was.Email, p.is.Email, &c.Email}, {p.was.ExternalID, p.is.ExternalID, &c.ExternalID},
	} {
		if part.was != part.is {
			*part.to = &part.is
		}
	}
	return c
}

func (p *userPatch) apply(op string, t target, v json.RawMessage) error {
	if t.ignored() {
		return nil
	}
	remove := op == "remove" || none(v)
	switch t.name {
	case "id":
		if said, err := decode[string]("id", v); remove || err != nil || said != p.was.ID.String() {
			return bad("mutability", "id cannot be changed", "id 不能修改")
		}
		return nil
	case "active":
		if remove {
			return required(t.name)
		}
		b, err := boolean("active", v)
		p.active = &b
		return err
	case "username":
		return p.text(&p.is.UserName, "userName", remove, true, v)
	case "displayname", "name.formatted":
		p.named = true
		return p.text(&p.is.Name, "displayName", remove, true, v)
	case "externalid":
		return p.text(&p.is.ExternalID, "externalId", remove, false, v)
	case "name.givenname":
		return p.text(&p.is.GivenName, "name.givenName", remove, false, v)
	case "name.familyname":
		return p.text(&p.is.FamilyName, "name.familyName", remove, false, v)
	case "name.middlename", "name.honorificprefix", "name.honorificsuffix":
		return nil
	case "name":
		if remove {
			p.is.GivenName, p.is.FamilyName = "", ""
			return nil
		}
		parts, err := decode[object]("name", v)
		if err != nil {
			return err
		}
		for sub, v := range parts {
			if err := p.apply(op, target{name: "name." + sub}, v); err != nil {
				return err
			}
		}
		return nil
	case "emails", "emails.value", "emails.type", "emails.primary", "emails.display":
		return p.email(t, remove, v)
	}
	return noSuch(t.name)
}

func required(name string) error {
	return bad("invalidValue", "%s cannot be taken away", "%s 不能移除", name)
}

func (p *userPatch) text(to *string, name string, remove, needed bool, v json.RawMessage) error {
	if remove && needed {
		return required(name)
	}
	if remove {
		*to = ""
		return nil
	}
	s, err := decode[string](name, v)
	if err == nil && s == "" && needed {
		return required(name)
	}
	*to = s
	return err
}

// email sets or takes away the one address that we keep. What is said of one for
// anything but work is let be.
func (p *userPatch) email(t target, remove bool, v json.RawMessage) (err error) {
	if t.of != nil && !p.isWork(t.of) {
		return nil
	}
	switch {
	case t.name == "emails.type" || t.name == "emails.primary" || t.name == "emails.display":
		return nil
	case remove:
		p.is.Email = ""
		return nil
	case t.name == "emails.value":
		return p.text(&p.is.Email, "emails.value", false, false, v)
	}
	list, err := several("emails", v)
	if err != nil {
		return err
	}
	p.is.Email, err = address(list)
	return err
}

// isWork reports whether a filter in brackets means the address that we keep.
func (p *userPatch) isWork(e filter.Expression) bool {
	switch e := e.(type) {
	case *filter.AttributeExpression:
		text, _ := literal(e.CompareValue)
		yes, isBool := e.CompareValue.(bool)
		switch {
		case !strings.EqualFold(string(e.Operator), "eq"):
			return false
		case strings.EqualFold(e.AttributePath.AttributeName, "type"):
			return strings.EqualFold(text, "work")
		case strings.EqualFold(e.AttributePath.AttributeName, "primary"):
			return isBool && yes || strings.EqualFold(text, "true")
		case strings.EqualFold(e.AttributePath.AttributeName, "value"):
			return strings.EqualFold(text, p.is.Email)
		}
	case *filter.LogicalExpression:
		l, r := p.isWork(e.Left), p.isWork(e.Right)
		return l && r || e.Operator == filter.OR && (l || r)
	}
	return false
}
