package access

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
)

// ActorKind says what sort of actor does something.
type ActorKind string

// The kinds of actors.
const (
	Anonymous ActorKind = "ANONYMOUS"
	Person    ActorKind = "MEMBER"
	Token     ActorKind = "TOKEN"
	System    ActorKind = "SYSTEM"
)

// Grant is what one role allows in one department subtree.
type Grant struct {
	ID          nid.ID
	Permissions []Permission
	// Department is the root of the subtree; zero means the whole corp.
	Department nid.ID
	ExpiresAt  time.Time // zero: never
}

// Actor is who acts in a request, a command or a job. It is read-only once made.
type Actor struct {
	Kind ActorKind
	Corp nid.ID
	// ID is the member's or the service token's id; zero for the system.
	ID nid.ID
	// Label is what the audit log shows beside the id: the login, the token's
	// name, or "system: " and the reason.
	Label string
	// Session is the SHA-256 of the session secret; nil unless a person signed in.
	Session []byte
	// VerifiedUntil is until when the proof of identity is fresh; zero: it is not.
	VerifiedUntil time.Time
	// Proofs are the ways in which the person can prove who they are: "otp", "passkey",
	// "oidc". Use cases know them, others need not.
	Proofs    []string
	Grants    []Grant
	Lang      string
	RequestID string
	Address   string
	// Device says in a few words from what the request comes, such as "Firefox on
	// Windows"; empty where nothing tells.
	Device string
	// Leaving: the person has a last day ahead, or a departure that waits for a decision;
	// the notice period bounds what they read and take away (docs/leaving.md).
	Leaving bool
	// Cause is the handover a job works for; zero otherwise.
	Cause nid.ID
}

type key struct{}

var nobody = &Actor{Kind: Anonymous}

// With puts the actor into the context.
func With(ctx context.Context, a *Actor) context.Context { return context.WithValue(ctx, key{}, a) }

// From gives the actor of the context: an anonymous one where there is none, never nil.
func From(ctx context.Context) *Actor {
	if a, ok := ctx.Value(key{}).(*Actor); ok {
		return a
	}
	return nobody
}

// SignedIn reports whether anybody known acts.
func (a *Actor) SignedIn() bool { return a.Kind != Anonymous }

// Fresh reports whether the actor's proof of identity still holds at now. The
// system needs none; a service token never has one.
func (a *Actor) Fresh(now time.Time) bool {
	return a.Kind == System || a.Kind == Person && now.Before(a.VerifiedUntil)
}

// Scope is the part of the corp that a permission reaches.
type Scope struct {
	// All is the whole corp; Departments are then empty.
	All bool
	// Departments are the roots of the subtrees. None and not All: nowhere.
	Departments []nid.ID
}

// Empty reports whether the scope reaches nothing.
func (s Scope) Empty() bool { return !s.All && len(s.Departments) == 0 }

// Scope gives what any one of the permissions reaches. Grants that have expired
// were left out when the actor was made; the use cases look again.
func (a *Actor) Scope(any ...Permission) Scope {
	if a.Kind == System {
		return Scope{All: true}
	}
	var s Scope
	for _, g := range a.Grants {
		if !slices.ContainsFunc(any, func(p Permission) bool { return slices.Contains(g.Permissions, p) }) {
			continue
		}
		if g.Department.IsZero() {
			return Scope{All: true}
		}
		if !slices.Contains(s.Departments, g.Department) {
			s.Departments = append(s.Departments, g.Department)
		}
	}
	return s
}

// Can reports whether the actor has any of the permissions anywhere.
func (a *Actor) Can(any ...Permission) bool { return !a.Scope(any...).Empty() }

// Held lists the actor's permissions in the order of the API.
func (a *Actor) Held() []Permission {
	var out []Permission
	for _, p := range Permissions {
		if a.Can(p) {
			out = append(out, p)
		}
	}
	return out
}
