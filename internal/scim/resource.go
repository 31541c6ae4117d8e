package scim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/roster"
)

// instant is how times are written: as exactly as they are kept.
const instant = "2006-01-02T15:04:05.999999Z07:00"

// write sends an answer. body nil sends none.
func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil { // only values made here are written
		panic(err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func where(kind, id string) string { return Base + "/" + kind + "/" + id }

func meta(kind, plural, id string, created, modified time.Time, tag string) map[string]any {
	m := map[string]any{"resourceType": kind, "location": where(plural, id), "created": created.UTC().Format(instant), "lastModified": modified.UTC().Format(instant)}
	if tag != "" {
		m["version"] = tag
	}
	return m
}

// tag is a version as an entity tag. It is weak: an answer differs by what was asked for.
func tag(version string) string {
	if version == "" {
		return ""
	}
	return `W/"` + version + `"`
}

func userTag(u roster.User) string { return tag(strconv.Itoa(u.Version)) }

// showUser is a member as a resource (RFC 7643 §4.1).
func showUser(u roster.User) map[string]any {
	id := u.ID.String()
	name := map[string]any{"formatted": u.Name}
	put(name, "givenName", u.GivenName)
	put(name, "familyName", u.FamilyName)
	out := map[string]any{
		"schemas": []string{userURN, companyURN}, "id": id, "userName": u.UserName, "displayName": u.Name, "name": name, "active": u.Active,
		"meta": meta("User", "Users", id, u.Created, u.Modified, userTag(u)),
	}
	put(out, "externalId", u.ExternalID)
	if u.Email != "" {
		out["emails"] = []any{map[string]any{"value": u.Email, "type": "work", "primary": true}}
	}
	if len(u.Departments) > 0 {
		groups := make([]any, len(u.Departments))
		for i, d := range u.Departments {
			groups[i] = map[string]any{"value": d.ID.String(), "display": d.Name, "type": "direct", "$ref": where("Groups", d.ID.String())}
		}
		out["groups"] = groups
		out[companyURN] = map[string]any{"department": u.Departments[0].Name}
	} else {
		out["schemas"] = []string{userURN}
	}
	return out
}

// showGroup is a department as a resource (RFC 7643 §4.2).
func showGroup(g roster.Group) map[string]any {
	id := g.ID.String()
	out := map[string]any{
		"schemas": []string{groupURN}, "id": id, "displayName": g.Name,
		"meta": meta("Group", "Groups", id, g.Created, g.Modified, tag(g.Version)),
	}
	put(out, "externalId", g.ExternalID)
	if g.Members != nil {
		members := make([]any, len(g.Members))
		for i, m := range g.Members {
			members[i] = map[string]any{"value": m.ID.String(), "display": m.Name, "type": "User", "$ref": where("Users", m.ID.String())}
		}
		out["members"] = members
	}
	return out
}

func put(m map[string]any, name, v string) {
	if v != "" {
		m[name] = v
	}
}

// selection is which attributes an answer has (RFC 7644 §3.9). Names are in lower case.
type selection struct{ only, without []string }

// selected reads attributes and excludedAttributes of a query.
func selected(attributes, excluded string) (selection, error) {
	s := selection{names(attributes), names(excluded)}
	if len(s.only) > 0 && len(s.without) > 0 {
		return s, bad("invalidValue", "attributes and excludedAttributes do not go together", "attributes 与 excludedAttributes 不能同时使用")
	}
	return s, nil
}

func names(list string) []string {
	var out []string
	for n := range strings.SplitSeq(strings.ToLower(list), ",") {
		n = strings.TrimSpace(n)
		for _, urn := range []string{userURN, groupURN} {
			n = strings.TrimPrefix(n, strings.ToLower(urn)+":")
		}
		if n != "" && len(out) < 100 {
			out = append(out, n)
		}
	}
	return out
}

// always are in every answer (returned: always).
var always = []string{"schemas", "id"}

// wants reports whether an answer has anything of an attribute.
func (s selection) wants(name string) bool {
	name = strings.ToLower(name)
	if len(s.only) > 0 {
		return slices.ContainsFunc(s.only, func(n string) bool { return n == name || strings.HasPrefix(n, name+".") })
	}
	return !slices.Contains(s.without, name)
}

// of takes from a resource what was not asked for.
func (s selection) of(resource map[string]any) map[string]any {
	for name, v := range resource {
		lower := strings.ToLower(name)
		if slices.Contains(always, lower) {
			continue
		}
		separator := "."
		if strings.HasPrefix(lower, "urn:") {
			separator = ":"
		}
		if len(s.only) > 0 {
			whole := slices.Contains(s.only, lower)
			if !whole && !prune(v, func(sub string) bool { return slices.Contains(s.only, lower+separator+sub) }) {
				delete(resource, name)
			}
			continue
		}
		if slices.Contains(s.without, lower) || !prune(v, func(sub string) bool { return !slices.Contains(s.without, lower+separator+sub) }) {
			delete(resource, name)
		}
	}
	return resource
}

// prune keeps those parts of a value that keep wants, and reports whether any is left.
// A value without parts is kept where nothing names a part of it.
func prune(v any, keep func(sub string) bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for sub := range v {
			if !keep(strings.ToLower(sub)) {
				delete(v, sub)
			}
		}
		return len(v) > 0
	case []any:
		left := len(v) == 0 && keep("value")
		for _, one := range v {
			left = prune(one, keep) || left
		}
		return left
	}
	return keep("")
}

// fresh answers a GET: 304 where the client has this version already.
func fresh(w http.ResponseWriter, r *http.Request, etag string) bool {
	if etag == "" {
		return false
	}
	w.Header().Set("ETag", etag)
	have := r.Header.Get("If-None-Match")
	return have != "" && (have == "*" || slices.Contains(tags(have), strings.TrimPrefix(etag, "W/")))
}

// tags are the entity tags of a header, without the mark of weak ones.
func tags(header string) []string {
	var out []string
	for t := range strings.SplitSeq(header, ",") {
		out = append(out, strings.TrimPrefix(strings.TrimSpace(t), "W/"))
	}
	return out
}

// seen are the versions of If-Match (RFC 7644 §3.14); nil takes any.
func seen(r *http.Request) roster.Versions {
	header := r.Header.Get("If-Match")
	if header == "" || header == "*" {
		return nil
	}
	out := roster.Versions{}
	for _, t := range tags(header) {
		out = append(out, strings.Trim(t, `"`))
	}
	return out
}

// asked reads what a list is asked for, from the address or, for /.search, the body.
func asked(r *http.Request, t translation) (q roster.Query, s selection, start int, err error) {
	get := r.URL.Query().Get
	if r.Method == http.MethodPost {
		o, err := body(r)
		if err != nil {
			return q, s, 0, err
		}
		get = func(name string) string { return plain(o[strings.ToLower(name)]) }
	}
	if s, err = selected(get("attributes"), get("excludedAttributes")); err != nil {
		return q, s, 0, err
	}
	if q.Where, err = t.parse(get("filter")); err != nil {
		return q, s, 0, err
	}
	if get("sortBy") != "" && !strings.EqualFold(get("sortBy"), "id") {
		return q, s, 0, bad("invalidValue", "lists are not sorted; they come in the order in which resources were made", "不支持排序,列表按创建顺序返回")
	}
	if start, err = number(get("startIndex"), 1); err != nil {
		return q, s, 0, err
	}
	if q.Count, err = number(get("count"), 100); err != nil {
		return q, s, 0, err
	}
	start = max(start, 1)
	q.Skip, q.Count = start-1, min(max(q.Count, 0), roster.MaxPage)
	q.Members = s.wants("members")
	return q, s, start, nil
}

// plain is a JSON value as it would stand in an address.
func plain(v json.RawMessage) string {
	var s string
	var list []string
	switch {
	case none(v):
		return ""
	case json.Unmarshal(v, &s) == nil:
		return s
	case json.Unmarshal(v, &list) == nil:
		return strings.Join(list, ",")
	}
	return string(v)
}

func number(text string, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, bad("invalidValue", "startIndex and count are whole numbers", "startIndex 与 count 须为整数")
	}
	return int(n), nil
}

// listed is a page as an answer.
func listed[T any](page roster.Page[T], s selection, start int, show func(T) map[string]any) map[string]any {
	resources := make([]any, len(page.Items))
	for i, item := range page.Items {
		resources[i] = s.of(show(item))
	}
	return map[string]any{"schemas": []string{listURN}, "totalResults": page.Total, "startIndex": start, "itemsPerPage": len(resources), "Resources": resources}
}
