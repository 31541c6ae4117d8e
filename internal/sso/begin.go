package sso

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// ceremonyTime is how long somebody may take at the provider.
const ceremonyTime = 10 * time.Minute

// ceremony is what the browser carries, sealed: so that sending somebody to a provider
// writes nothing, and who comes back is who was sent.
type ceremony struct {
	Began    time.Time `json:"t"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Return   string    `json:"r"`
	// Session is that of who proves who they are, or links the provider; nil to sign in.
	Session []byte `json:"p,omitempty"`
	Link    bool   `json:"l,omitempty"`
}

// begin sends a browser to the provider. return is where it comes back to in the end, and
// prove=1 asks who is signed in to prove again who they are. link is what Link gave.
func (s *Service) begin(w http.ResponseWriter, r *http.Request, p *Provider) {
	back, ok := s.back(r.URL.Query().Get("return"))
	if !ok {
		page(w, r, http.StatusBadRequest, badReturn)
		return
	}
	c := ceremony{Began: s.DB.Now(), State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(), Return: back}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(c.Verifier), oauth2.SetAuthURLParam("nonce", c.Nonce)}
	if r.URL.Query().Get("prove") == "1" {
		a := access.From(r.Context())
		switch {
		case a.Kind != access.Person || a.Session == nil || a.Corp != p.Corp:
			page(w, r, http.StatusUnauthorized, signInFirst)
			return
		case len(p.ACRValues) == 0:
			page(w, r, http.StatusConflict, provesNothing)
			return
		}
		c.Session = a.Session
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"), oauth2.SetAuthURLParam("acr_values", strings.Join(p.ACRValues, " ")))
	}
	if link := r.URL.Query().Get("link"); link != "" && c.Session == nil {
		a := access.From(r.Context())
		if !s.permitted(link, a, p) {
			page(w, r, http.StatusBadRequest, beginAgain)
			return
		}
		c.Session, c.Link = a.Session, true
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	k, err := s.discover(r.Context(), p.Issuer)
	if err != nil {
		slog.WarnContext(r.Context(), "an identity provider does not answer", "provider", p.ID, "err", err)
		page(w, r, http.StatusBadGateway, providerSilent)
		return
	}
	config, err := s.config(p, k)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	plain, err := json.Marshal(c)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	sealed := base64.RawURLEncoding.EncodeToString(s.Ceremonies.Seal(plain, p.ceremony()))
	http.SetCookie(w, s.cookie(c.State, sealed, int(ceremonyTime/time.Second)))
	http.Redirect(w, r, config.AuthCodeURL(c.State, options...), http.StatusSeeOther)
}

// ceremony ties what a browser carries to the provider it was sent to.
func (p *Provider) ceremony() []byte {
	return slices.Concat([]byte("single sign-on\x00"), p.Corp[:], p.ID[:])
}

// cookie carries a ceremony; each has one of its own, so that two tabs do not meet.
func (s *Service) cookie(state, value string, seconds int) *http.Cookie {
	hash := sha256.Sum256([]byte(state))
	name := "handover_sso_" + hex.EncodeToString(hash[:6])
	secure := strings.HasPrefix(s.Public, "https:")
	if secure {
		name = "__Host-" + name // no neighbour's page plants one
	}
	// Lax: it comes along when the provider sends the browser back.
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
}

// recall opens the ceremony that a browser brings back, and takes its cookie away.
func (s *Service) recall(w http.ResponseWriter, r *http.Request, p *Provider) (c ceremony, ok bool) {
	state := r.URL.Query().Get("state")
	if state == "" || len(state) > maxText {
		return c, false
	}
	brought, err := r.Cookie(s.cookie(state, "", 0).Name)
	if err != nil || len(brought.Value) > 8<<10 {
		return c, false
	}
	http.SetCookie(w, s.cookie(state, "", -1))
	sealed, err := base64.RawURLEncoding.DecodeString(brought.Value)
	if err != nil {
		return c, false
	}
	plain, err := s.Ceremonies.Open(sealed, p.ceremony())
	if err != nil || json.Unmarshal(plain, &c) != nil {
		return c, false
	}
	return c, c.State == state && s.DB.Now().Before(c.Began.Add(ceremonyTime))
}

// spend uses a ceremony up; false where it was used before.
func (c ceremony) spend(ctx context.Context, tx *store.Tx) (bool, error) {
	return once(ctx, tx, "state", tx.Corp(), c.State, c.Began.Add(ceremonyTime))
}

// once notes that something has come; false where it has before. It is forgotten when
// nobody would take it any more.
func once(ctx context.Context, tx *store.Tx, what string, of nid.ID, text string, until time.Time) (bool, error) {
	hash := sha256.Sum256([]byte(what + "\x00" + of.String() + "\x00" + text))
	n, err := tx.Keep(ctx, "spent_challenges", `INSERT INTO spent_challenges (corp_id, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tx.Corp(), hash[:], until)
	return n > 0, err
}

// back is where somebody is sent in the end: a page of this server, or one of an origin
// that may call it. false for anything else: a link to us must not lead elsewhere.
func (s *Service) back(text string) (string, bool) {
	if text == "" {
		return "/", true
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) || u.User != nil || u.Opaque != "" {
		return "", false
	}
	if u.Scheme == "" && u.Host == "" {
		return text, strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
	}
	return text, slices.Contains(s.Origins, u.Scheme+"://"+u.Host)
}
