package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// CredentialKind says how a secret was shown.
type CredentialKind string

// The kinds of credentials.
const (
	Bearer CredentialKind = "bearer" // Authorization: Bearer (RFC 6750 §2.1), a session or a service token
	Cookie CredentialKind = "cookie" // the session of a browser
	Basic  CredentialKind = "basic"  // Authorization: Basic token:SECRET (RFC 7617), a service token in a reporting tool
)

// Credential is what a request shows of who acts. It never prints its secret.
type Credential struct {
	Kind   CredentialKind
	Secret string `json:"-"`
}

// Format leaves the secret out under every verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, string(c.Kind)) }

// LogValue leaves the secret out of log lines.
func (c Credential) LogValue() slog.Value { return slog.StringValue(string(c.Kind)) }

// Authenticator recognises credentials. It answers
//   - the actor, when the credential is valid; its Lang is the member's own
//     choice or empty, RequestID and Address are filled in here;
//   - a fault with code UNAUTHENTICATED, when it is not or no longer;
//   - a fault with code RATE_LIMITED, when it was tried too often;
//   - any other error when it cannot tell, which is answered with 503.
//
// It is only asked when there is a credential. The context has the anonymous
// actor with request id and address, and the request's deadline.
type Authenticator interface {
	Authenticate(ctx context.Context, credential Credential) (*access.Actor, error)
}

// maxSecret is longer than any secret we make; a longer one is not looked up.
const maxSecret = 512

// credential reads what the request shows. ok is false for something that can be
// no credential of ours here; basic says whether Basic can, cookie is the session's name. What a client says in
// Authorization goes before the cookie that its browser adds by itself.
func credential(r *http.Request, basic bool, cookie string) (c Credential, shown, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		cookies := r.CookiesNamed(cookie)
		if len(cookies) == 0 || cookies[0].Value == "" {
			return Credential{}, false, true
		}
		c = Credential{Cookie, cookies[0].Value}
		return c, true, plausible(c.Secret)
	}
	if len(values) > 1 {
		return Credential{}, true, false
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		c = Credential{Bearer, strings.TrimLeft(secret, " ")}
	case strings.EqualFold(scheme, "Basic"):
		// Only for reading: a browser would send it along with any form.
		user, password, valid := r.BasicAuth()
		if !basic || !valid || user != "token" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			return Credential{}, true, false
		}
		c = Credential{Basic, password}
	}
	return c, true, plausible(c.Secret)
}

func plausible(secret string) bool {
	for _, b := range []byte(secret) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return secret != "" && len(secret) <= maxSecret
}

// authenticate puts the actor into the context. An invalid credential leaves the
// request anonymous and marked (access.Refused), so that signing in again works.
func (s *Server) authenticate(r *http.Request, basic bool) (*http.Request, *fault.Error) {
	ctx := r.Context()
	c, shown, ok := credential(r, basic, named(sessionCookie, s.secureCookies(r)))
	if !shown {
		return r, nil
	}
	if !ok {
		return r.WithContext(access.WithRefused(ctx)), nil
	}
	known, err := s.o.Authenticator.Authenticate(ctx, c)
	switch fault.CodeOf(err) {
	case "":
	case fault.Unauthenticated:
		return r.WithContext(access.WithRefused(ctx)), nil
	case fault.RateLimited:
		f, _ := errors.AsType[*fault.Error](err)
		return r, tooOften(or(f.RetryAfter, time.Second))
	default:
		if ctx.Err() == nil {
			s.log.ErrorContext(ctx, "cannot tell who asks", "error", err)
		}
		return r, fault.New(fault.Unavailable, "", fault.T("it cannot be checked just now who you are; try again in a moment", "暂时无法验证您的身份,请稍后再试")).After(time.Second)
	}
	before := access.From(ctx)
	if known == nil || !known.SignedIn() {
		return r.WithContext(access.WithRefused(ctx)), nil
	}
	actor := *known
	actor.RequestID, actor.Address, actor.Device = before.RequestID, before.Address, before.Device
	actor.Lang = or(actor.Lang, before.Lang)
	return r.WithContext(access.With(ctx, &actor)), nil
}
