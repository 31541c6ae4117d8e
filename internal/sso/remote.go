package sso

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/openhandover/openhandover/internal/fault"
)

const (
	// discoverEvery is how long is believed what a provider says of itself. Its keys are
	// read again whenever it signs with one that we do not know.
	discoverEvery = time.Hour
	// forgiveAfter is how long one that did not answer is left alone.
	forgiveAfter = 10 * time.Second
	// patience is how long a provider may take for one answer, and maxReply how long that
	// may be in bytes.
	patience, maxReply = 5 * time.Second, 1 << 20
)

// algorithms are those with which a provider may sign: none that needs a shared secret,
// and not none.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// known is what a provider says of itself, or that it did not when it was asked.
type known struct {
	*oidc.Provider
	failed error
	at     time.Time
	// issues says that it names itself in what it sends back (RFC 9207).
	issues bool
}

// reach makes sure that there is a provider: INVALID on input.issuer.
func (s *Service) reach(ctx context.Context, issuer string) error {
	k, err := s.ask(ctx, issuer) // now: what was wrong a moment ago may have been put right
	if err == nil {
		s.known.Store(issuer, k)
	} else {
		slog.InfoContext(ctx, "an identity provider does not answer as one", "issuer", issuer, "err", err)
		return fault.Bad("input.issuer", "%s/.well-known/openid-configuration does not answer as a provider of this name does: %s",
			"%s/.well-known/openid-configuration 无法作为该身份提供方应答:%s", strings.TrimSuffix(issuer, "/"), short(err))
	}
	return nil
}

// short is what of an error may be told: not what a server answers that is no provider.
func short(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	text := err.Error()
	if status, _, ok := strings.Cut(text, ": "); ok && statusLine.MatchString(status) {
		text = status
	}
	return text[:min(len(text), 200)]
}

// statusLine begins the error of an answer that is not 200; its body follows.
var statusLine = regexp.MustCompile(`^[1-5][0-9][0-9]( |$)`)

// safe says whether what is secret may go to a URL: one with TLS, or without it one of this
// machine, where the operator allowed it.
func (s *Service) safe(u *url.URL) bool {
	if u.Scheme != "http" || !s.AllowPrivate {
		return u.Scheme == "https"
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}

// discover gives what a provider says of itself, now or within the hour.
func (s *Service) discover(ctx context.Context, issuer string) (*known, error) {
	was, _ := s.known.Load(issuer)
	before, _ := was.(*known)
	switch {
	case before == nil:
	case before.failed != nil && time.Since(before.at) < forgiveAfter:
		return nil, before.failed
	case before.failed == nil && time.Since(before.at) < discoverEvery:
		return before, nil
	}
	k, err := s.ask(ctx, issuer)
	switch {
	case err == nil:
		s.known.Store(issuer, k)
		return k, nil
	case ctx.Err() != nil: // the caller is gone; it says nothing of the provider
	case before != nil && before.failed == nil: // it is away for a moment, and the same as before
		s.known.Store(issuer, &known{Provider: before.Provider, issues: before.issues, at: time.Now().Add(forgiveAfter - discoverEvery)})
		return before, nil
	default:
		s.known.Store(issuer, &known{failed: err, at: time.Now()})
	}
	return nil, err
}

// ask reads a provider's discovery document.
func (s *Service) ask(ctx context.Context, issuer string) (*known, error) {
	ctx, cancel := context.WithTimeout(s.remote(ctx), patience)
	defer cancel()
	p, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Keys   string `json:"jwks_uri"`
		Issues bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&said); err != nil {
		return nil, err
	}
	for _, at := range []string{p.Endpoint().AuthURL, p.Endpoint().TokenURL, said.Keys, p.UserInfoEndpoint()} {
		if u, err := url.Parse(at); err != nil || at != "" && !s.safe(u) {
			return nil, fmt.Errorf("%q has no TLS", at)
		}
	}
	return &known{Provider: p, issues: said.Issues, at: time.Now()}, nil
}

// remote is a context with the client that asks providers.
func (s *Service) remote(ctx context.Context) context.Context {
	c := *s.Client
	c.Timeout = patience
	transport := c.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	c.Transport = bounded{transport}
	return oidc.ClientContext(ctx, &c)
}

// bounded reads no more of an answer than maxReply.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxReply), res.Body}
	}
	return res, err
}

// config is how we speak with a provider.
func (s *Service) config(p *Provider, k *known) (*oauth2.Config, error) {
	c := &oauth2.Config{ClientID: p.ClientID, Endpoint: k.Endpoint(), RedirectURL: s.RedirectURI(p), Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
	if !p.HasSecret() {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		return c, nil
	}
	plain, err := s.Box.Open(p.secret, row(p.Corp, p.ID))
	c.ClientSecret = string(plain)
	return c, err
}

// verify checks signature, issuer, audience and time of what a provider signed.
func (s *Service) verify(ctx context.Context, raw string, p *Provider, k *known) (*oidc.IDToken, error) {
	token, err := k.Verifier(&oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: algorithms, Now: s.DB.Now}).Verify(ctx, raw)
	switch {
	case err == nil:
		return token, nil
	case strings.Contains(err.Error(), "fetching keys"): // the library gives no more than text
		return nil, &refused{errUnavailable, "the provider's keys cannot be read: " + short(err)}
	}
	return nil, &refused{errRefused, "the token does not hold: " + short(err)}
}
