package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/turns"
)

const (
	// SessionLife is how long a session lasts, however much it is used.
	SessionLife = 12 * time.Hour
	// SessionIdle is how long a session lasts without being used.
	SessionIdle = 2 * time.Hour
	// touchEvery bounds how often use is written down.
	touchEvery = time.Minute
	// maxSessions a member may have; the oldest make room.
	maxSessions = 20
)

// Service holds the use cases of signing in and proving who one is.
type Service struct {
	DB  *store.DB
	Log *audit.Log
	// TOTP seals authenticator secrets; it is the secret.ForTOTP box.
	TOTP *secret.Box
	// Demo takes a password as a proof of identity and short passwords.
	Demo bool
	// Cost is that of password hashes; zero is secret.Standard, in demo mode secret.Cheap.
	Cost secret.Params
	// Issuer is what authenticator apps show; empty is OpenHandover.
	Issuer string
	// Passkeys is for whom passkeys are made (RelyingParty); nil: there are none.
	Passkeys *webauthn.WebAuthn
	// Ceremonies seals passkeys' challenges; it is the secret.ForCeremonies box.
	Ceremonies *secret.Box
	// Devices signs what browsers keep of a sign-in; it is the secret.ForDevices signer.
	// nil: nothing is kept.
	Devices *secret.Signer
	// Room is where those who sign in by password wait; nil makes one.
	Room *turns.Room
	once sync.Once
}

func (s *Service) issuer() string {
	if s.Issuer == "" {
		return "OpenHandover"
	}
	return s.Issuer
}

func (s *Service) cost() secret.Params {
	switch {
	case s.Cost != secret.Params{}:
		return s.Cost
	case s.Demo:
		return secret.Cheap
	}
	return secret.Standard
}

// as is the context in which a person of a corp acts within this package; the zero
// member is nobody known, who wants to sign in.
func as(ctx context.Context, corp, member nid.ID, label string) context.Context {
	was := access.From(ctx)
	a := &access.Actor{Kind: access.Person, Corp: corp, ID: member, Label: label, Lang: was.Lang, RequestID: was.RequestID, Address: was.Address, Device: was.Device}
	if member.IsZero() {
		a.Kind = access.Anonymous
	}
	return access.With(ctx, a)
}

// systemOnly refuses everybody but the operator at the machine.
func systemOnly(ctx context.Context) error {
	if access.From(ctx).Kind != access.System {
		return fault.Denied("only the operator's commands may do this", "仅可由运维命令执行")
	}
	return nil
}

// digest stands for a text in places that must not hold it.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
