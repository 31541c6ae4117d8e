package graph

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/provision"
	"github.com/openhandover/openhandover/internal/scim"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/testcorp/softkey"
	"github.com/openhandover/openhandover/internal/web"
)

// site is the API over HTTP with its real door: tokens, cookies, addresses.
type site struct {
	*testcorp.Corp
	t   testing.TB
	id  *identity.Service
	url string
}

// door lets the server ask who holds a session or token.
type door struct{ *identity.Service }

func (d door) Authenticate(ctx context.Context, c web.Credential) (*access.Actor, error) {
	return d.Service.Authenticate(ctx, c.Secret)
}

func newSite(t testing.TB, db *store.DB, clock *storetest.Clock) *site {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	s := &site{Corp: c, t: t, id: &identity.Service{DB: db, Log: c.Log, Demo: true}}
	w, err := web.New(web.Options{GraphQL: newAPI(t, db, c).h, Authenticator: door{s.id}, Limits: web.Limits{Rate: -1, AccountRate: -1, CorpRate: -1, Answer: time.Minute}, Log: slog.New(slog.DiscardHandler),
		SCIM: scim.New(&provision.Service{DB: db, Log: c.Log, Member: &member.Service{DB: db, Log: c.Log}}, nil)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	s.url = server.URL + "/graphql"
	return s
}

const firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0"

// post sends a document with a bearer token; empty: without.
func (s *site) post(token, accept, document string, variables map[string]any) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", firefox)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return http.DefaultClient.Do(r)
}

func (s *site) ask(token, document string, variables map[string]any) *answer {
	s.t.Helper()
	resp, err := s.post(token, "application/json", document, variables)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	out := &answer{t: s.t}
	if err == nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		s.t.Fatalf("%v: %s", err, body)
	}
	return out
}

func (s *site) good(token, document string, variables map[string]any, into any) {
	s.t.Helper()
	out := s.ask(token, document, variables)
	if len(out.Errors) > 0 {
		s.t.Fatalf("%s\n%+v", document, out.Errors)
	}
	if err := json.Unmarshal(out.Data, into); err != nil {
		s.t.Fatal(err)
	}
}

type opened struct {
	Token  string
	Viewer struct {
		VerifiedUntil *time.Time
		Member        struct{ UserID string }
	}
}

const askCredentials = `{ viewer { credentials { login password totp recoveryCodesLeft passkeys { id name backedUp lastUsedAt } } } }`

type ownCredentials struct {
	Viewer struct {
		Credentials *struct {
			Login             *string
			Password, Totp    bool
			RecoveryCodesLeft int
			Passkeys          []struct {
				ID, Name   string
				LastUsedAt *time.Time
			}
		}
	}
}

// A member gets in for the first time and enrols everything, as an app would do it.
func TestEnrolmentOverHTTP(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newSite(t, db, clock)
		wang := s.Member("wang", s.Root)
		if err := s.id.SetPassword(store.System(t.Context(), s.ID, "test"), s.Admin, "boss", "boss of acme"); err != nil {
			t.Fatal(err)
		}
		boss := s.signIn("boss", "boss of acme", nil)
		s.ask(boss, resetText, map[string]any{"id": wang}).refused("STEP_UP_REQUIRED", "")
		s.good(boss, `mutation { verifyIdentity(input: {password: "boss of acme"}) { verifiedUntil } }`, nil, &struct{}{})
		var reset struct {
			ResetPassword struct{ Login, Password string }
		}
		s.good(boss, resetText, map[string]any{"id": wang}, &reset)
		once := reset.ResetPassword.Password
		s.ask("", signInText, map[string]any{"login": "wang", "password": once}).refused("INVALID", "input.newPassword")
		token := s.signIn("wang", once, new("the password of wang"))
		s.ask("", signInText, map[string]any{"login": "wang", "password": once, "new": "the other of wang"}).refused("UNAUTHENTICATED", "")

		code := s.enrolTotp(token, "the password of wang")
		var mine ownCredentials
		s.good(token, askCredentials, nil, &mine)
		if c := mine.Viewer.Credentials; c == nil || c.Login == nil || *c.Login != "wang" || !c.Password || !c.Totp || c.RecoveryCodesLeft != 10 || len(c.Passkeys) != 0 {
			t.Fatalf("%+v", mine.Viewer.Credentials)
		}
		clock.Add(identity.Proof)
		key := softkey.New(t, "handover.example.com", "https://handover.example.com")
		s.ask(token, addText, s.answer(token, "ADD", key.Make)).refused("STEP_UP_REQUIRED", "")
		s.good(token, `mutation($code: String) { verifyIdentity(input: {code: $code}) { verifiedUntil } }`, map[string]any{"code": code()}, &struct{}{})
		var added struct {
			AddPasskey struct {
				Passkey       struct{ ID, Name string }
				RecoveryCodes []string
			}
		}
		s.good(token, addText, s.answer(token, "ADD", key.Make), &added)
		if added.AddPasskey.Passkey.Name != "laptop" || added.AddPasskey.RecoveryCodes != nil {
			t.Fatalf("%+v", added)
		}

		var in struct{ SignInWithPasskey opened }
		sent := s.answer("", "SIGN_IN", key.Sign)
		s.good("", passkeyText, sent, &in)
		if v := in.SignInWithPasskey.Viewer; v.VerifiedUntil == nil || v.Member.UserID != "wang" {
			t.Fatalf("%+v", in)
		}
		s.ask("", passkeyText, sent).refused("UNAUTHENTICATED", "") // a replay
		s.ask(token, passkeyText, s.answer(token, "VERIFY", key.Sign)).refused("INVALID", "input.ceremony")
		clock.Add(identity.Proof)
		byKey := in.SignInWithPasskey.Token
		var proven struct {
			VerifyIdentity struct {
				Viewer struct{ VerifiedUntil *time.Time }
			}
		}
		const prove = `mutation($ceremony: String!, $credential: JSON!) { verifyIdentity(input: {passkey: {ceremony: $ceremony, credential: $credential}}) { viewer { verifiedUntil } } }`
		sent = s.answer(byKey, "VERIFY", key.Sign)
		s.good(byKey, prove, sent, &proven)
		if proven.VerifyIdentity.Viewer.VerifiedUntil == nil {
			t.Fatal("a passkey proves nothing")
		}
		s.ask(byKey, prove, sent).refused("INVALID", "input.passkey.credential")
		s.ask("", `query { passkeyChallenge(purpose: VERIFY) { ceremony } }`, nil).refused("UNAUTHENTICATED", "")
		s.watchOver(boss, token, byKey)
		for action, want := range map[access.Action]int{
			access.CredentialReset: 1, access.CredentialBegin: 1, access.CredentialEnrol: 2, access.SessionStart: 3, access.SessionVerify: 3, access.SessionRevoke: 2,
			access.CredentialSet: 2, access.SessionFail: 3,
		} {
			if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, s.ID, string(action)); n != want {
				t.Errorf("%s: %d entries, want %d", action, n, want)
			}
		}
	})
}

const (
	resetText   = `mutation($id: ID!) { resetPassword(input: {memberId: $id}) { login password expiresAt member { userId } } }`
	signInText  = `mutation($login: String!, $password: String!, $new: String) { signIn(input: {login: $login, password: $password, newPassword: $new}) { token } }`
	addText     = `mutation($ceremony: String!, $credential: JSON!) { addPasskey(input: {ceremony: $ceremony, credential: $credential, name: "laptop"}) { passkey { id name } recoveryCodes } }`
	passkeyText = `mutation($ceremony: String!, $credential: JSON!) { signInWithPasskey(input: {ceremony: $ceremony, credential: $credential}) { token viewer { verifiedUntil member { userId } } } }`
)

func (s *site) signIn(login, password string, replacement *string) (token string) {
	s.t.Helper()
	var in struct{ SignIn opened }
	s.good("", signInText, map[string]any{"login": login, "password": password, "new": replacement}, &in)
	return in.SignIn.Token
}

// answer asks for a challenge and has the device answer it.
func (s *site) answer(token, purpose string, device func(json.RawMessage) json.RawMessage) map[string]any {
	s.t.Helper()
	var c struct {
		PasskeyChallenge struct {
			Ceremony string
			Options  json.RawMessage
		}
	}
	s.good(token, `query($purpose: PasskeyPurpose!) { passkeyChallenge(purpose: $purpose) { ceremony options expiresAt } }`, map[string]any{"purpose": purpose}, &c)
	return map[string]any{"ceremony": c.PasskeyChallenge.Ceremony, "credential": device(c.PasskeyChallenge.Options)}
}

// enrolTotp gives an authenticator by password, and reads its codes from then on.
func (s *site) enrolTotp(token, password string) (code func() string) {
	s.t.Helper()
	var begun struct{ EnrolTotp struct{ URI, QRCode string } }
	s.good(token, `mutation($password: String) { enrolTotp(input: {password: $password}) { uri qrCode expiresAt } }`, map[string]any{"password": password}, &begun)
	image, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(begun.EnrolTotp.QRCode, "data:image/png;base64,"))
	if err == nil {
		_, err = png.Decode(bytes.NewReader(image))
	}
	if err != nil {
		s.t.Fatal("the QR code is no picture: ", err)
	}
	u, err := url.Parse(begun.EnrolTotp.URI)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		s.t.Fatal(err)
	}
	code = func() string { return secret.Code(key, secret.Step(s.DB.Now())) }
	var done struct {
		ConfirmTotp struct{ RecoveryCodes []string }
	}
	s.good(token, `mutation($code: String!) { confirmTotp(input: {code: $code}) { recoveryCodes viewer { verifiedUntil } } }`, map[string]any{"code": code()}, &done)
	if len(done.ConfirmTotp.RecoveryCodes) != 10 {
		s.t.Fatalf("%+v", done)
	}
	return code
}

type sessionList struct {
	Sessions struct {
		TotalCount int
		Nodes      []struct {
			ID, Method, Device, Address string
			Current                     bool
			Member                      struct{ UserID string }
		}
	}
}

const sessionsText = `query($of: ID) { sessions(filter: {memberId: $of}) { totalCount nodes { id method device address current lastSeenAt member { userId } } } }`

// watchOver lists sessions and ends them. byKey is a session of wang's that was opened
// with a passkey, token one with the password.
func (s *site) watchOver(boss, token, byKey string) {
	s.t.Helper()
	var all, own sessionList
	s.good(boss, sessionsText, nil, &all)
	s.good(byKey, sessionsText, nil, &own)
	if all.Sessions.TotalCount != 3 || own.Sessions.TotalCount != 2 || len(own.Sessions.Nodes) != 2 {
		s.t.Fatalf("%+v\n%+v", all, own)
	}
	first := own.Sessions.Nodes[0] // the newest
	if !first.Current || first.Method != "PASSKEY" || first.Device != "Firefox on Windows" || first.Address != "127.0.0.1" || first.Member.UserID != "wang" || own.Sessions.Nodes[1].Current {
		s.t.Fatalf("%+v", own)
	}
	const revoke = `mutation($id: ID!) { revokeSession(input: {id: $id}) { revokedSessionId } }`
	s.good(byKey, revoke, map[string]any{"id": own.Sessions.Nodes[1].ID}, &struct{}{})
	s.ask(token, sessionsText, nil).refused("UNAUTHENTICATED", "")
	s.ask(byKey, revoke, map[string]any{"id": own.Sessions.Nodes[1].ID}).refused("NOT_FOUND", "input.id")
	s.ask(byKey, revoke, map[string]any{"id": nid.New(nid.Session)}).refused("NOT_FOUND", "input.id")
	s.good(boss, revoke, map[string]any{"id": first.ID}, &struct{}{})
	s.ask(byKey, sessionsText, nil).refused("UNAUTHENTICATED", "")
}
