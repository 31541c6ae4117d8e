package sso

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
)

// skew is by how much a provider's clock may differ from ours.
const skew = time.Minute

// What is wrong is told the page that somebody comes back to, in its parameter sso_error.
// It tells nothing about who exists.
const (
	errDenied      = "denied"      // the provider has not let them in, or they went back
	errExpired     = "expired"     // it took too long, or the page was opened again
	errRefused     = "refused"     // what came back lets nobody in here
	errUnproven    = "unproven"    // it is no proof of identity: another person, too old, or too weak
	errUnavailable = "unavailable" // the provider does not answer
)

// refused is an error that is known to the one that came.
type refused struct {
	code string
	why  string // for the operator and the log
}

// Error implements error.
func (r *refused) Error() string { return r.code + ": " + r.why }

// claims are what an ID token says.
type claims struct {
	subject  string
	session  string // sid
	acr      string
	authTime time.Time // zero: it does not say
	value    string    // of the claim that is matched; empty: it does not count
	word     string    // what kept it from counting
	missing  bool      // the ID token does not have it
}

// callback takes what a browser comes back with.
func (s *Service) callback(w http.ResponseWriter, r *http.Request, p *Provider) {
	c, ok := s.recall(w, r, p)
	if !ok {
		page(w, r, http.StatusBadRequest, beginAgain)
		return
	}
	ctx := r.Context()
	session, err := s.returned(ctx, r.URL.Query(), p, c)
	problem, told := errors.AsType[*refused](err)
	switch {
	case told:
		slog.InfoContext(ctx, "single sign-on let nobody in", "provider", p.ID, "why", problem.why)
		http.Redirect(w, r, withError(c.Return, problem.code), http.StatusSeeOther)
		return
	case err != nil:
		s.broken(w, r, err)
		return
	case session != nil:
		access.CookieFrom(ctx).Set(session.Token, session.ExpiresAt)
	}
	http.Redirect(w, r, c.Return, http.StatusSeeOther)
}

func withError(back, code string) string {
	u, err := url.Parse(back)
	if err != nil {
		return "/"
	}
	q := u.Query()
	q.Set("sso_error", code)
	u.RawQuery = q.Encode()
	return u.String()
}

// returned gives the session that begins, nil where somebody has proven who they are or has
// linked the provider.
func (s *Service) returned(ctx context.Context, q url.Values, p *Provider, c ceremony) (*identity.Session, error) {
	if iss := q.Get("iss"); iss != "" && iss != p.Issuer {
		return nil, s.note(ctx, p, nid.ID{}, false, &refused{errRefused, "another provider answered"})
	}
	if code := q.Get("error"); code != "" {
		return nil, &refused{errDenied, "the provider said " + code[:min(len(code), 40)]}
	}
	k, err := s.discover(ctx, p.Issuer)
	if err != nil {
		return nil, &refused{errUnavailable, err.Error()}
	}
	if k.issues && q.Get("iss") == "" {
		return nil, s.note(ctx, p, nid.ID{}, false, &refused{errRefused, "the provider did not say who it is, though it does"})
	}
	said, err := s.exchange(ctx, q.Get("code"), p, k, c)
	if err != nil {
		return nil, s.note(ctx, p, nid.ID{}, false, err)
	}
	if c.Link {
		return nil, s.link(ctx, p, c, said)
	}
	if c.Session != nil {
		return nil, s.prove(ctx, p, c, said)
	}
	return s.admit(ctx, p, c, said)
}

// exchange gives the code for an ID token, and reads it.
func (s *Service) exchange(ctx context.Context, code string, p *Provider, k *known, c ceremony) (*claims, error) {
	config, err := s.config(p, k)
	if err != nil {
		return nil, err
	}
	if code == "" || len(code) > 4<<10 {
		return nil, &refused{errRefused, "no code came back"}
	}
	away, cancel := context.WithTimeout(s.remote(ctx), 2*patience)
	defer cancel()
	token, err := config.Exchange(away, code, oauth2.VerifierOption(c.Verifier))
	if err != nil {
		if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answer.Response.StatusCode < 500 {
			return nil, &refused{errRefused, "the provider did not take the code: " + answer.ErrorCode}
		}
		return nil, &refused{errUnavailable, "the provider gave no token"}
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" || len(raw) > 64<<10 {
		return nil, &refused{errRefused, "no ID token came back"}
	}
	verified, err := s.verify(away, raw, p, k)
	if err != nil {
		return nil, err
	}
	said, err := s.read(verified, p, c)
	if err == nil && said.missing && k.UserInfoEndpoint() != "" {
		err = s.userInfo(away, said, p, k, token)
	}
	return said, err
}

// userInfo reads the claim from the provider's UserInfo (§5.3), where the ID token of many has
// no more than the subject.
func (s *Service) userInfo(away context.Context, said *claims, p *Provider, k *known, token *oauth2.Token) error {
	var all map[string]any
	info, err := k.UserInfo(away, oauth2.StaticTokenSource(token))
	if err == nil {
		err = info.Claims(&all)
	}
	switch {
	case err != nil: // who is known by their subject needs no claim
		said.word = "there is no claim " + p.Claim + ", and UserInfo does not answer"
	case info.Subject != said.subject: // §5.3.2
		return &refused{errRefused, "UserInfo is about somebody else"}
	default:
		said.value, said.word = matched(all, p)
	}
	return nil
}

// read takes from an ID token what counts (OpenID Connect Core 1.0, §3.1.3.7).
func (s *Service) read(token *oidc.IDToken, p *Provider, c ceremony) (*claims, error) {
	var all map[string]any
	if err := token.Claims(&all); err != nil {
		return nil, &refused{errRefused, "the ID token cannot be read"}
	}
	text := func(name string) string { v, _ := all[name].(string); return v }
	switch azp := text("azp"); {
	case token.Nonce != c.Nonce:
		return nil, &refused{errRefused, "the ID token answers another question"}
	case azp != "" && azp != p.ClientID || azp == "" && len(token.Audience) > 1:
		return nil, &refused{errRefused, "the ID token is for somebody else"}
	case token.Subject == "" || len(token.Subject) > 255:
		return nil, &refused{errRefused, "the ID token has no subject"}
	case token.IssuedAt.After(s.DB.Now().Add(skew)):
		return nil, &refused{errRefused, "the ID token is from the future; is the clock right?"}
	}
	out := &claims{subject: token.Subject, session: sessionName(text("sid")), acr: text("acr")}
	if at, ok := all["auth_time"].(float64); ok && at > 0 && at < 1e11 {
		out.authTime = time.Unix(int64(at), 0).UTC()
	}
	_, has := all[p.Claim]
	out.missing = !has
	out.value, out.word = matched(all, p)
	return out, nil
}

// sessionName is what is kept of a provider's sid: a long one by its hash.
func sessionName(sid string) string {
	if len(sid) <= 255 {
		return sid
	}
	hash := sha256.Sum256([]byte(sid))
	return hex.EncodeToString(hash[:])
}

// proven says until when an ID token is a fresh proof of identity: its provider vouches
// in a way that counts here, and has just looked. Zero: it is none.
func (s *Service) proven(p *Provider, said *claims, since time.Time) time.Time {
	now := s.DB.Now()
	if !p.accepts(said.acr) || said.authTime.IsZero() || said.authTime.Before(since) || said.authTime.After(now.Add(skew)) {
		return time.Time{}
	}
	until := said.authTime.Add(identity.Proof)
	switch {
	case !until.After(now): // they have taken their time to come back
		return time.Time{}
	case said.authTime.After(now):
		return now.Add(identity.Proof)
	}
	return until
}

// broken answers for what is our own fault.
func (s *Service) broken(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		slog.ErrorContext(r.Context(), "single sign-on failed", "err", err)
	}
	status := http.StatusInternalServerError
	if fault.CodeOf(err) == fault.Unavailable {
		status = http.StatusServiceUnavailable
	}
	page(w, r, status, ourFault)
}
