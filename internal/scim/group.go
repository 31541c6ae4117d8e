package scim

import (
	"encoding/json"
	"net/http"
	"strings"

	filter "github.com/scim2/filter-parser/v2"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
)

func (h *handler) groups(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q, s, start, err := asked(r, groupFilters)
	if err != nil {
		return 0, nil, err
	}
	page, err := h.directory.Groups(r.Context(), q)
	return http.StatusOK, listed(page, s, start, showGroup), err
}

func (h *handler) group(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Department)
	if err != nil {
		return 0, nil, err
	}
	return h.sendGroup(w, r, id, true)
}

// sendGroup answers with a department as it is now.
func (h *handler) sendGroup(w http.ResponseWriter, r *http.Request, id nid.ID, conditional bool) (int, any, error) {
	s, err := selected(r.URL.Query().Get("attributes"), r.URL.Query().Get("excludedAttributes"))
	if err != nil {
		return 0, nil, err
	}
	g, err := h.directory.Group(r.Context(), id, s.wants("members"))
	if err != nil {
		return 0, nil, err
	}
	if etag := tag(g.Version); etag != "" {
		w.Header().Set("ETag", etag)
		if conditional && fresh(w, r, etag) {
			return http.StatusNotModified, nil, nil
		}
	}
	w.Header().Set("Content-Location", where("Groups", id.String()))
	return http.StatusOK, s.of(showGroup(g)), nil
}

func (h *handler) createGroup(w http.ResponseWriter, r *http.Request) (int, any, error) {
	o, err := body(r)
	if err != nil {
		return 0, nil, err
	}
	c, err := wholeGroup(o)
	if err != nil {
		return 0, nil, err
	}
	g, err := h.directory.CreateGroup(r.Context(), c)
	if err != nil {
		return 0, nil, err
	}
	s, err := selected(r.URL.Query().Get("attributes"), r.URL.Query().Get("excludedAttributes"))
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", where("Groups", g.ID.String()))
	w.Header().Set("ETag", tag(g.Version))
	return http.StatusCreated, s.of(showGroup(g)), nil
}

func (h *handler) putGroup(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Department)
	if err != nil {
		return 0, nil, err
	}
	o, err := body(r)
	if err != nil {
		return 0, nil, err
	}
	if err := sameID(o, id); err != nil {
		return 0, nil, err
	}
	c, err := wholeGroup(o)
	if err != nil {
		return 0, nil, err
	}
	c.If = seen(r)
	if err := h.directory.UpdateGroup(r.Context(), id, c); err != nil {
		return 0, nil, err
	}
	return h.sendGroup(w, r, id, false)
}

// patchGroup answers with nothing, as Entra wants it, unless attributes are asked for:
// a department may have thousands of members.
func (h *handler) patchGroup(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Department)
	if err != nil {
		return 0, nil, err
	}
	ops, err := operations(r)
	if err != nil {
		return 0, nil, err
	}
	p := groupPatch{id: id}
	for _, op := range ops {
		if err := op.each(p.apply); err != nil {
			return 0, nil, err
		}
	}
	p.change.If = seen(r)
	if err := h.directory.UpdateGroup(r.Context(), id, p.change); err != nil {
		return 0, nil, err
	}
	if r.URL.Query().Get("attributes") != "" {
		return h.sendGroup(w, r, id, false)
	}
	return http.StatusNoContent, nil, nil
}

// wholeGroup reads a department from a resource; who is not in it is taken out.
func wholeGroup(o object) (c roster.GroupChange, err error) {
	title, err := decode[string]("displayName", o["displayname"])
	if err != nil {
		return c, err
	}
	if title == "" {
		return c, required("displayName")
	}
	external, err := decode[string]("externalId", o["externalid"])
	if err != nil {
		return c, err
	}
	people, err := people(o["members"])
	if err != nil {
		return c, err
	}
	c.Name, c.ExternalID = &title, &external
	c.Empty()
	c.Include(people...)
	return c, nil
}

// people reads members. Members are people: departments are in each other by the tree.
func people(v json.RawMessage) ([]nid.ID, error) {
	list, err := several("members", v)
	if err != nil {
		return nil, err
	}
	if len(list) > roster.MaxMembers {
		return nil, bad("tooMany", "%d members at most in one request", "每次请求最多 %d 名成员", roster.MaxMembers)
	}
	out := make([]nid.ID, len(list))
	for i, o := range list {
		s, err := decode[string]("members.value", o["value"])
		if err != nil {
			return nil, err
		}
		if out[i], err = nid.Parse(s); err != nil || out[i].Kind() != nid.Member {
			return nil, bad("invalidValue", "members.value is the id of a User", "members.value 须为 User 的 id")
		}
	}
	return out, nil
}

// groupPatch gathers operations on a department.
type groupPatch struct {
	id     nid.ID
	change roster.GroupChange
}

func (p *groupPatch) apply(op string, t target, v json.RawMessage) error {
	remove := op == "remove"
	switch t.name {
	case "id":
		if said, err := decode[string]("id", v); remove || err != nil || said != p.id.String() {
			return bad("mutability", "id cannot be changed", "id 不能修改")
		}
	case "displayname":
		s, err := decode[string]("displayName", v)
		if err != nil {
			return err
		}
		if remove || s == "" {
			return required("displayName")
		}
		p.change.Name = &s
	case "externalid":
		s, err := decode[string]("externalId", v)
		if err != nil {
			return err
		}
		if remove {
			s = ""
		}
		p.change.ExternalID = &s
	case "members":
		return p.members(op, t, v)
	case "meta", "schemas":
	default:
		return noSuch(t.name)
	}
	return nil
}

func (p *groupPatch) members(op string, t target, v json.RawMessage) error {
	if t.of != nil {
		ids, err := pointed(t.of)
		if err != nil {
			return err
		}
		if op != "remove" {
			return bad("mutability", "a member is put in or taken out, not changed", "成员只能添加或移除,不能修改")
		}
		p.change.Exclude(ids...)
		return nil
	}
	if op == "remove" && none(v) {
		p.change.Empty()
		return nil
	}
	ids, err := people(v)
	if err != nil {
		return err
	}
	switch op {
	case "add":
		p.change.Include(ids...)
	case "replace":
		p.change.Empty()
		p.change.Include(ids...)
	case "remove": // Entra's older form: the path is members, the value says whom
		p.change.Exclude(ids...)
	}
	return nil
}

// pointed reads members[value eq "…"], also several with or. What is no id of ours is
// in no department.
func pointed(e filter.Expression) ([]nid.ID, error) {
	switch e := e.(type) {
	case *filter.AttributeExpression:
		text, ok := literal(e.CompareValue)
		if ok && strings.EqualFold(e.AttributePath.AttributeName, "value") && strings.EqualFold(string(e.Operator), "eq") {
			if id, err := nid.Parse(text); err == nil && id.Kind() == nid.Member {
				return []nid.ID{id}, nil
			}
			return nil, nil
		}
	case *filter.LogicalExpression:
		if e.Operator == filter.OR {
			l, err := pointed(e.Left)
			if err != nil {
				return nil, err
			}
			r, err := pointed(e.Right)
			return append(l, r...), err
		}
	}
	return nil, bad("invalidFilter", "members are named by members[value eq \"ID\"]", "请以 members[value eq \"ID\"] 指明成员")
}
