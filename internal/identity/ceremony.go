package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Purpose is what a passkey's challenge is for.
type Purpose string

// The purposes.
const (
	// ToSignIn is a challenge that anybody gets; it tells nothing about who exists.
	ToSignIn Purpose = "SIGN_IN"
	// ToVerify is one for the passkeys of who is signed in.
	ToVerify Purpose = "VERIFY"
	// ToAdd is one to make a passkey with.
	ToAdd Purpose = "ADD"
)

const (
	ceremonyTime           = 5 * time.Minute
	inCeremony, inKey      = "ceremony", "credential"
	inPasskey              = "input.passkey."
	maxCeremony, maxAnswer = 64 << 10, 64 << 10 // twenty passkeys with the longest ids there can be fit
)

// RelyingParty is for whom passkeys are made: a domain, and the origins of the pages
// that may ask for them (Web Authentication Level 3, §5.1.2). A passkey is bound to
// the domain for ever.
func RelyingParty(title, domain string, origins []string) (*webauthn.WebAuthn, error) {
	return webauthn.New(&webauthn.Config{
		RPID: domain, RPDisplayName: title, RPOrigins: origins,
		AttestationPreference: protocol.PreferNoAttestation, // which make of authenticator it is concerns nobody
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: clientTime, Registration: clientTime},
	})
}

// clientTime is what browsers are told; ours is in the ceremony.
var clientTime = webauthn.TimeoutConfig{Timeout: ceremonyTime, TimeoutUVD: ceremonyTime}

// Challenge is what a browser needs to ask a passkey.
type Challenge struct {
	// Ceremony comes back with the answer. It is sealed and says nothing.
	Ceremony string
	// Options are for PublicKeyCredential.parseCreationOptionsFromJSON (ToAdd) or
	// parseRequestOptionsFromJSON.
	Options   json.RawMessage
	ExpiresAt time.Time
}

// PasskeyAnswer is what a browser answers to a Challenge.
type PasskeyAnswer struct {
	Ceremony string
	// Credential is the PublicKeyCredential as its toJSON gives it.
	Credential json.RawMessage
}

// ceremony is what the sealed text holds, so that asking writes nothing: who only
// asks cannot fill the database.
type ceremony struct {
	Expires time.Time            `json:"e"`
	Session webauthn.SessionData `json:"s"`
}

// PasskeyChallenge makes a challenge. UNAUTHENTICATED for a purpose that needs
// somebody signed in; CONFLICT where there is no passkey to ask, or where passkeys
// are not set up.
func (s *Service) PasskeyChallenge(ctx context.Context, purpose Purpose) (out Challenge, err error) {
	if s.Passkeys == nil {
		return out, noPasskeys()
	}
	var session *webauthn.SessionData
	var options any
	if purpose == ToSignIn {
		a, data, err := s.Passkeys.BeginDiscoverableLogin()
		if err != nil {
			return out, err
		}
		session, options = data, a.Response
	} else {
		a, err := signedInPerson(ctx)
		if err != nil {
			return out, err
		}
		q, err := store.Reader(ctx)
		if err != nil {
			return out, err
		}
		h, err := holderOf(ctx, q, a.ID)
		if err != nil {
			return out, err
		}
		if h == nil {
			return out, SignInFirst()
		}
		if session, options, err = s.begin(h, purpose); err != nil {
			return out, err
		}
	}
	out.ExpiresAt = s.DB.Now().Add(ceremonyTime)
	plain, err := json.Marshal(ceremony{out.ExpiresAt, *session})
	if err != nil {
		return out, err
	}
	out.Ceremony = base64.RawURLEncoding.EncodeToString(s.Ceremonies.Seal(plain, ceremonyRow(ctx, purpose)))
	out.Options, err = json.Marshal(options)
	return out, err
}

func (s *Service) begin(h *holder, purpose Purpose) (*webauthn.SessionData, any, error) {
	if purpose == ToAdd {
		c, data, err := s.Passkeys.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys()).CredentialDescriptors()))
		if err != nil {
			return nil, nil, err
		}
		return data, c.Response, nil
	}
	if len(h.passkeys) == 0 {
		return nil, nil, fault.Clash("", "you have no passkey", "您没有通行密钥")
	}
	a, data, err := s.Passkeys.BeginLogin(h)
	if err != nil {
		return nil, nil, err
	}
	return data, a.Response, nil
}

func noPasskeys() error {
	return fault.Clash("", "passkeys are not set up here; the operator names their origin with --passkey-origin", "尚未启用通行密钥,请联系运维人员设置 --passkey-origin")
}

// ceremonyRow ties a ceremony to its purpose and the session in which it began.
func ceremonyRow(ctx context.Context, purpose Purpose) []byte {
	row := []byte(purpose + "\x00")
	if purpose == ToSignIn {
		return row
	}
	return append(row, access.From(ctx).Session...)
}

// recall opens a ceremony. INVALID where it is none of ours, another session's or
// purpose's, or has expired: all read the same.
func (s *Service) recall(ctx context.Context, purpose Purpose, field, text string) (c ceremony, err error) {
	if s.Passkeys == nil {
		return c, noPasskeys()
	}
	again := fault.Bad(field, "this took too long or does not belong here; ask for a new challenge", "操作已超时或无效,请重新获取")
	if len(text) > maxCeremony {
		return c, again
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return c, again
	}
	plain, err := s.Ceremonies.Open(sealed, ceremonyRow(ctx, purpose))
	if err != nil || json.Unmarshal(plain, &c) != nil || !s.DB.Now().Before(c.Expires) {
		return c, again
	}
	return c, nil
}

// spend uses a challenge up; false where it was used before.
func (c ceremony) spend(ctx context.Context, tx *store.Tx) (bool, error) {
	hash := sha256.Sum256([]byte(c.Session.Challenge))
	n, err := tx.Keep(ctx, "spent_challenges", `INSERT INTO spent_challenges (corp_id, hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		tx.Corp(), hash[:], c.Expires)
	return n > 0, err
}

// holder is a member as package webauthn sees them.
type holder struct {
	corp, member nid.ID
	login, name  string
	passkeys     []passkey
}

type passkey struct {
	id         nid.ID
	credential []byte
	public     []byte
	flags      int
	count      int64
}

// WebAuthnID is the user handle: it says where to look, and nothing about who it is.
func (h *holder) WebAuthnID() []byte { return slices.Concat(h.corp[:], h.member[:]) }

// WebAuthnName is what people tell their passkeys apart by.
func (h *holder) WebAuthnName() string { return h.login }

// WebAuthnDisplayName is the member's name.
func (h *holder) WebAuthnDisplayName() string { return h.name }

// WebAuthnCredentials are the passkeys.
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys() }

func (h *holder) keys() []webauthn.Credential {
	out := make([]webauthn.Credential, len(h.passkeys))
	for i, p := range h.passkeys {
		out[i] = webauthn.Credential{
			ID: p.credential, PublicKey: p.public, Flags: webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(p.flags)), //nolint:gosec // one byte
			Authenticator: webauthn.Authenticator{SignCount: uint32(p.count)}, //nolint:gosec // as it was given
		}
	}
	return out
}

// holderOf reads a member who is at work with their passkeys; nil for nobody.
func holderOf(ctx context.Context, q store.Querier, member nid.ID) (*holder, error) {
	corp := access.From(ctx).Corp
	h, ok, err := store.SelectOne(ctx, q, func(h *holder) []any { return []any{&h.member, &h.login, &h.name} }, `
		SELECT m.id, COALESCE(c.login, m.user_id), m.name FROM members AS m LEFT JOIN credentials AS c ON c.corp_id = m.corp_id AND c.member_id = m.id
		WHERE m.corp_id = $1 AND m.id = $2 AND `+acts, corp, member)
	if err != nil || !ok {
		return nil, err
	}
	h.corp = corp
	h.passkeys, err = store.Select(ctx, q, func(p *passkey) []any { return []any{&p.id, &p.credential, &p.public, &p.flags, &p.count} },
		`SELECT id, credential_id, public_key, flags, sign_count FROM passkeys WHERE corp_id = $1 AND member_id = $2 ORDER BY id`, corp, member)
	return &h, err
}

// parseHandle reads a user handle that we gave.
func parseHandle(b []byte) (corp, member nid.ID, ok bool) {
	if len(b) != 32 {
		return corp, member, false
	}
	corp, member = nid.ID(b[:16]), nid.ID(b[16:])
	return corp, member, corp.Kind() == nid.Corp && member.Kind() == nid.Member && corp != Nowhere
}
