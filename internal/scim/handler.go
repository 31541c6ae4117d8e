// Package scim is the edge that identity providers talk to: SCIM 2.0 (RFC 7643,
// RFC 7644) over what it is handed as a Directory. It knows HTTP, JSON and the
// quirks of providers, and nothing of rows.
package scim

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
)

// Base is where the endpoints are.
const Base = "/scim/v2"

// Directory is the people and departments that a token reaches. Its faults name the
// SCIM attribute as their field; version is the one for what was seen and is no longer.
type Directory interface {
	User(ctx context.Context, id nid.ID) (roster.User, error)
	Users(ctx context.Context, q roster.Query) (roster.Page[roster.User], error)
	CreateUser(ctx context.Context, in roster.UserChange) (roster.User, error)
	UpdateUser(ctx context.Context, id nid.ID, in roster.UserChange) (roster.User, error)
	DeleteUser(ctx context.Context, id nid.ID, versions roster.Versions) error
	Group(ctx context.Context, id nid.ID, members bool) (roster.Group, error)
	Groups(ctx context.Context, q roster.Query) (roster.Page[roster.Group], error)
	CreateGroup(ctx context.Context, in roster.GroupChange) (roster.Group, error)
	UpdateGroup(ctx context.Context, id nid.ID, in roster.GroupChange) error
}

const (
	mediaType  = "application/scim+json; charset=utf-8"
	errorURN   = "urn:ietf:params:scim:api:messages:2.0:Error"
	listURN    = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	patchURN   = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	userURN    = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN   = "urn:ietf:params:scim:schemas:core:2.0:Group"
	companyURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
)

// handler answers below Base. Its context has the actor.
type handler struct {
	directory Directory
	log       *slog.Logger
	mux       *http.ServeMux
}

// endpoint answers one kind of request: a status and what is sent with it, nil for
// nothing, or an error.
type endpoint func(w http.ResponseWriter, r *http.Request) (int, any, error)

// New makes the handler. It wants an actor in the context (package web) and serves
// service tokens only. A nil log is slog.Default().
func New(d Directory, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.Default()
	}
	h := &handler{directory: d, log: log, mux: http.NewServeMux()}
	for pattern, e := range map[string]endpoint{
		"GET /ServiceProviderConfig": fixed(config), "GET /ResourceTypes": list(resourceTypes), "GET /ResourceTypes/{id}": entry(resourceTypes),
		"GET /Schemas": list(schemas), "GET /Schemas/{id}": entry(schemas),
		"GET /Users": h.users, "POST /Users/.search": h.users, "GET /Users/{id}": h.user, "POST /Users": h.createUser,
		"PUT /Users/{id}": h.putUser, "PATCH /Users/{id}": h.patchUser, "DELETE /Users/{id}": h.deleteUser,
		"GET /Groups": h.groups, "POST /Groups/.search": h.groups, "GET /Groups/{id}": h.group, "POST /Groups": h.createGroup,
		"PUT /Groups/{id}": h.putGroup, "PATCH /Groups/{id}": h.patchGroup,
		"DELETE /Groups/{id}": notServed("a group is a department, which rules, roles and statistics refer to: it is not deleted over SCIM", "群组即部门,规则、角色和统计均引用部门,不能通过 SCIM 删除"),
		"/Me":                 notServed("there is no /Me: a token is nobody's", "不支持 /Me:令牌不属于任何人"),
		"/Bulk":               notServed("there are no bulk requests", "不支持批量请求"),
	} {
		method, path, found := strings.Cut(pattern, " ")
		if !found {
			method, path = "", method
		}
		h.mux.Handle(strings.TrimSpace(method+" "+Base+path), h.guarded(e))
	}
	h.mux.Handle("/", h.guarded(func(http.ResponseWriter, *http.Request) (int, any, error) {
		return 0, nil, fail(http.StatusNotFound, "", "there is no such endpoint, or not with this method", "不存在该接口,或不支持此方法")
	}))
	return h
}

// ServeHTTP answers a request; a method that an endpoint does not have gets 405.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// guarded lets service tokens in that may provision, and writes what comes out.
func (h *handler) guarded(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := 0, any(nil), admit(r)
		if err == nil { // before anything is changed
			_, err = selected(r.URL.Query().Get("attributes"), r.URL.Query().Get("excludedAttributes"))
		}
		if err == nil {
			status, body, err = e(w, r)
		}
		if err != nil {
			status, body = h.problem(w, r, err)
		}
		write(w, status, body)
	})
}

// admit demands a service token. One that has ended, another corp's that is gone, none
// at all and a person's session are told alike.
func admit(r *http.Request) error {
	a := access.From(r.Context())
	if a.Kind != access.Token {
		return fail(http.StatusUnauthorized, "", "send a service token as Authorization: Bearer", "请以 Authorization: Bearer 提供服务令牌")
	}
	if !a.Can(access.ProvisionMembers) {
		return fail(http.StatusForbidden, "", "this token lacks PROVISION_MEMBERS", "该令牌没有 PROVISION_MEMBERS 权限")
	}
	return nil
}

// problem is an error in SCIM's words (RFC 7644 §3.12).
type problem struct {
	status int
	kind   string // scimType; may be empty
	text   fault.Text
}

func (p *problem) Error() string { return p.text.EN }

func fail(status int, kind, en, zh string, args ...any) error {
	return &problem{status, kind, fault.T(en, zh, args...)}
}

func bad(kind, en, zh string, args ...any) error {
	return fail(http.StatusBadRequest, kind, en, zh, args...)
}

func notServed(en, zh string) endpoint {
	return func(http.ResponseWriter, *http.Request) (int, any, error) {
		return 0, nil, &problem{http.StatusNotImplemented, "", fault.Text{EN: en, ZH: zh}}
	}
}

// unique are the attributes of which a CONFLICT says that somebody else has the value.
var unique = []string{"userName", "displayName", "externalId"}

// problem gives the answer for an error; what is none of ours is logged and not shown.
func (h *handler) problem(w http.ResponseWriter, r *http.Request, err error) (int, any) {
	p := &problem{http.StatusInternalServerError, "", fault.T("something went wrong on our side; the log has it under this request's id", "服务器内部错误;日志中可按此请求编号查到详情")}
	f, isFault := errors.AsType[*fault.Error](err)
	if own, ok := errors.AsType[*problem](err); ok {
		p = own
	} else if isFault {
		p.text = f.Text
		switch f.Code {
		case fault.Unauthenticated:
			p.status = http.StatusUnauthorized
		case fault.Forbidden, fault.StepUpRequired:
			p.status = http.StatusForbidden
		case fault.NotFound:
			p.status = http.StatusNotFound
		case fault.Invalid:
			p.status, p.kind = http.StatusBadRequest, "invalidValue"
			if f.Field == "filter" {
				p.kind = "invalidFilter"
			}
		case fault.Limit:
			p.status, p.kind = http.StatusBadRequest, "tooMany"
		case fault.Conflict:
			p.status = http.StatusConflict
			if f.Field == "version" {
				p.status = http.StatusPreconditionFailed
			} else if slices.Contains(unique, f.Field) {
				p.kind = "uniqueness"
			}
		case fault.RateLimited:
			p.status = http.StatusTooManyRequests
		case fault.Timeout, fault.Unavailable:
			p.status = http.StatusServiceUnavailable
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		}
	}
	if p.status == http.StatusInternalServerError && r.Context().Err() == nil {
		h.log.ErrorContext(r.Context(), "a SCIM request failed", "error", err)
	}
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	detail := p.text.In(access.From(r.Context()).Lang)
	if isFault && f.Field != "" && p.status == http.StatusBadRequest {
		detail = f.Field + ": " + detail
	}
	body := map[string]any{"schemas": []string{errorURN}, "status": strconv.Itoa(p.status), "detail": detail}
	if p.kind != "" {
		body["scimType"] = p.kind
	}
	return p.status, body
}

// identify reads the id of a path. What is none is not there.
func identify(r *http.Request, kind nid.Kind) (nid.ID, error) {
	id, err := nid.Parse(r.PathValue("id"))
	if err != nil || id.Kind() != kind {
		return nid.ID{}, fault.Missing("id")
	}
	return id, nil
}
