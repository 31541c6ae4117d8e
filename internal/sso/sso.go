// Package sso lets people sign in, and prove who they are, at their company's OpenID
// providers.
//
// A corp has several. A browser that is sent to begin goes to the provider and comes back
// with a code, which is exchanged for an ID token (OpenID Connect Core 1.0, §3.1) with
// PKCE (RFC 7636). What it says of who somebody is is compared with the corp's members the
// first time; from then on the provider's subject alone decides. Where the provider ends a
// session, ours that came of it ends (OpenID Connect Back-Channel Logout 1.0).
//
//	provider.go   what is stored of a provider
//	save.go       making, changing and deleting one
//	remote.go     asking it: discovery, keys, tokens
//	begin.go      sending somebody there
//	callback.go   what they come back with
//	admit.go      who that is here
//	link.go       who has a role links a provider themselves
//	logout.go     what the provider ends
package sso

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service holds the use cases, and answers below /sso/ as an http.Handler.
type Service struct {
	DB       *store.DB
	Log      *audit.Log
	Identity *identity.Service
	// Box seals client secrets; it is the secret.ForProviders box.
	Box *secret.Box
	// Ceremonies seals what a browser carries to a provider and back; it is the
	// secret.ForCeremonies box.
	Ceremonies *secret.Box
	// Client asks providers. It must not be led to where nobody may ask (package outbound).
	Client *http.Client
	// AllowPrivate admits providers without TLS on this machine, and there only.
	AllowPrivate bool
	// Public is where browsers reach this server, such as https://handover.example.com.
	// Empty: there is no single sign-on.
	Public string
	// Origins are those to whose pages somebody may be sent back, beside our own.
	Origins []string

	known sync.Map // of issuers, to what they say of themselves
}

func (s *Service) on() bool { return s.Public != "" }

// off is what is said where the operator has not set it up.
func off() *fault.Error {
	return fault.Clash("", "single sign-on is not set up here; the operator says with --public-url where browsers reach this server",
		"尚未启用单点登录,请联系运维人员设置 --public-url")
}

// path of a provider's pages.
func (p *Provider) path() string { return "/sso/" + p.Corp.String() + "/" + p.ID.String() }

// SignInURL is where a browser is sent to sign in.
func (s *Service) SignInURL(p *Provider) string { return s.Public + p.path() }

// RedirectURI is what is registered at the provider for this client. It is the provider's
// own, so that no other can answer in its place (RFC 9700, §4.4.2).
func (s *Service) RedirectURI(p *Provider) string { return s.Public + p.path() + "/callback" }

// LogoutURI is what is registered for back-channel logout.
func (s *Service) LogoutURI(p *Provider) string { return s.Public + p.path() + "/logout" }

// ServeHTTP answers GET /sso/{corp}/{provider}, GET …/callback and POST …/logout.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/sso/"), "/")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if len(parts) < 2 || len(parts) > 3 || !s.on() {
		page(w, r, http.StatusNotFound, noSuchProvider)
		return
	}
	what, method := "", http.MethodGet
	if len(parts) == 3 {
		what = parts[2]
	}
	if what == "logout" {
		method = http.MethodPost
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		page(w, r, http.StatusMethodNotAllowed, wrongMethod)
		return
	}
	p, err := s.provider(r.Context(), parts[0], parts[1])
	switch {
	case err != nil:
		s.broken(w, r, err)
	case p == nil:
		page(w, r, http.StatusNotFound, noSuchProvider)
	case what == "":
		s.begin(w, r, p)
	case what == "callback":
		s.callback(w, r, p)
	case what == "logout":
		s.logout(w, r, p)
	default:
		page(w, r, http.StatusNotFound, noSuchProvider)
	}
}

// provider finds one that is in use; nil for none.
func (s *Service) provider(ctx context.Context, corp, id string) (p *Provider, err error) {
	at, _ := nid.Parse(corp) // what is none is of no kind
	which, _ := nid.Parse(id)
	if at.Kind() != nid.Corp || which.Kind() != nid.Provider || at == identity.Nowhere {
		return nil, nil
	}
	err = s.DB.View(somebody(ctx, at), func(ctx context.Context, r *store.Read) (err error) {
		p, err = byID(ctx, r, which, " AND active")
		return err
	})
	return p, err
}

// somebody of a corp asks, nobody knows who.
func somebody(ctx context.Context, corp nid.ID) context.Context {
	return identity.Somebody(ctx, corp, nid.ID{})
}
