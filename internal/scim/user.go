package scim

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
)

func (h *handler) users(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	q, s, start, err := asked(r, userFilters)
	if err != nil {
		return 0, nil, err
	}
	page, err := h.directory.Users(r.Context(), q)
	return http.StatusOK, listed(page, s, start, showUser), err
}

func (h *handler) user(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Member)
	if err != nil {
		return 0, nil, err
	}
	u, err := h.directory.User(r.Context(), id)
	if err != nil {
		return 0, nil, err
	}
	if fresh(w, r, userTag(u)) {
		return http.StatusNotModified, nil, nil
	}
	return h.sendUser(w, r, http.StatusOK, u)
}

func (h *handler) sendUser(w http.ResponseWriter, r *http.Request, status int, u roster.User) (int, any, error) {
	s, err := selected(r.URL.Query().Get("attributes"), r.URL.Query().Get("excludedAttributes"))
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("ETag", userTag(u))
	w.Header().Set("Content-Location", where("Users", u.ID.String()))
	return status, s.of(showUser(u)), nil
}

func (h *handler) createUser(w http.ResponseWriter, r *http.Request) (int, any, error) {
	o, err := body(r)
	if err != nil {
		return 0, nil, err
	}
	c, err := whole(o, roster.User{})
	if err != nil {
		return 0, nil, err
	}
	u, err := h.directory.CreateUser(r.Context(), c)
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", where("Users", u.ID.String()))
	return h.sendUser(w, r, http.StatusCreated, u)
}

func (h *handler) putUser(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Member)
	if err != nil {
		return 0, nil, err
	}
	o, err := body(r)
	if err != nil {
		return 0, nil, err
	}
	was, err := h.directory.User(r.Context(), id)
	if err != nil {
		return 0, nil, err
	}
	if err := sameID(o, id); err != nil {
		return 0, nil, err
	}
	c, err := whole(o, was)
	if err != nil {
		return 0, nil, err
	}
	c.If = seen(r)
	u, err := h.directory.UpdateUser(r.Context(), id, c)
	if err != nil {
		return 0, nil, err
	}
	return h.sendUser(w, r, http.StatusOK, u)
}

func (h *handler) patchUser(w http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Member)
	if err != nil {
		return 0, nil, err
	}
	ops, err := operations(r)
	if err != nil {
		return 0, nil, err
	}
	was, err := h.directory.User(r.Context(), id)
	if err != nil {
		return 0, nil, err
	}
	p := userPatch{was: was, is: was}
	for _, op := range ops {
		if err := op.each(p.apply); err != nil {
			return 0, nil, err
		}
	}
	c := p.change()
	c.If = seen(r)
	u, err := h.directory.UpdateUser(r.Context(), id, c)
	if err != nil {
		return 0, nil, err
	}
	return h.sendUser(w, r, http.StatusOK, u)
}

func (h *handler) deleteUser(_ http.ResponseWriter, r *http.Request) (int, any, error) {
	id, err := identify(r, nid.Member)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, h.directory.DeleteUser(r.Context(), id, seen(r))
}

// sameID refuses a resource that is another's.
func sameID(o object, id nid.ID) error {
	if !o.has("id") {
		return nil
	}
	if said, err := decode[string]("id", o["id"]); err != nil || said != id.String() {
		return bad("mutability", "id cannot be changed", "id 不能修改")
	}
	return nil
}

// whole reads a user from a resource: what is not there is taken away, but active and
// what is needed. Attributes that we do not keep are left out (RFC 7644 §3.5.1).
func whole(o object, was roster.User) (c roster.UserChange, err error) {
	is := roster.User{Active: true}
	set := func(name string, to *string) {
		if err == nil {
			*to, err = decode[string](name, o[strings.ToLower(name)])
		}
	}
	set("userName", &is.UserName)
	set("externalId", &is.ExternalID)
	displayName := ""
	set("displayName", &displayName)
	if err != nil {
		return c, err
	}
	n, err := decode[object]("name", o["name"])
	if err != nil {
		return c, err
	}
	if is.GivenName, err = decode[string]("name.givenName", n["givenname"]); err != nil {
		return c, err
	}
	if is.FamilyName, err = decode[string]("name.familyName", n["familyname"]); err != nil {
		return c, err
	}
	formatted, err := decode[string]("name.formatted", n["formatted"])
	if err != nil {
		return c, err
	}
	list, err := several("emails", o["emails"])
	if err != nil {
		return c, err
	}
	if is.Email, err = address(list); err != nil {
		return c, err
	}
	is.Name = first(displayName, formatted, full(is.GivenName, is.FamilyName), was.Name, is.UserName)
	c = roster.UserChange{UserName: &is.UserName, ExternalID: &is.ExternalID, GivenName: &is.GivenName, FamilyName: &is.FamilyName, Email: &is.Email, Name: &is.Name}
	if o.has("active") {
		b, err := boolean("active", o["active"])
		if err != nil {
			return c, err
		}
		c.Active = &b
	}
	return c, nil
}

// address picks the one e-mail address that we keep: the primary, else that for work,
// else the first.
func address(list []object) (string, error) {
	best, rank := "", 0
	for _, o := range list {
		v, err := decode[string]("emails.value", o["value"])
		if err != nil {
			return "", err
		}
		kind, err := decode[string]("emails.type", o["type"])
		if err != nil {
			return "", err
		}
		n := 1
		if strings.EqualFold(kind, "work") {
			n = 2
		}
		if o.has("primary") {
			primary, err := boolean("emails.primary", o["primary"])
			if err != nil {
				return "", err
			}
			if primary {
				n = 3
			}
		}
		if v != "" && n > rank {
			best, rank = v, n
		}
	}
	return best, nil
}

// full joins a name: 李娜, but Na Li.
func full(given, family string) string {
	for _, r := range given + family {
		if unicode.Is(unicode.Han, r) {
			return family + given
		}
	}
	return strings.TrimSpace(given + " " + family)
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
