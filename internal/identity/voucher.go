package identity

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Voucher is who vouches for somebody: an identity provider, and what it calls its own
// session, empty where it does not say.
type Voucher struct {
	Provider nid.ID
	Session  string
}

// Somebody is the context in which a person of a corp acts who is not signed in; the zero
// member is nobody known.
func Somebody(ctx context.Context, corp, member nid.ID) context.Context {
	return as(ctx, corp, member, "")
}

// Admit makes a session of a member on a provider's word, proven until when (zero: not).
// The caller holds a lock on the provider, so that switching it off comes before or after,
// and appends to the log. ok is false for a member who is not at work.
func Admit(ctx context.Context, tx *store.Tx, member nid.ID, by Voucher, proven time.Time) (out Session, ok bool, err error) {
	if out, ok, err = open(ctx, tx, member, BySingleSignOn, proven); err != nil || !ok {
		return out, ok, err
	}
	var session any
	if by.Session != "" {
		session = by.Session
	}
	_, err = tx.Keep(ctx, "sessions", `UPDATE sessions SET provider_id = $3, provider_session = $4 WHERE corp_id = $1 AND id = $2`, tx.Corp(), out.ID, by.Provider, session)
	return out, true, err
}

// Told is what the log says of a new session.
func (s Session) Told() map[string]any { return s.told() }

// Vouch notes until when what a provider says is a fresh proof of who holds the actor's
// session; one that holds for longer stays. The caller holds a lock on the provider and
// appends to the log. Fails with UNAUTHENTICATED where the session has ended.
func Vouch(ctx context.Context, tx *store.Tx, until time.Time) error {
	actor, err := confirm(ctx, tx, tx.DB().ForNoKeyUpdate("s"))
	if err != nil || !actor.VerifiedUntil.Before(until) {
		return err
	}
	_, err = tx.Keep(ctx, "sessions", `UPDATE sessions SET verified_until = $3 WHERE corp_id = $1 AND secret_hash = $2`, tx.Corp(), actor.Session, until)
	return err
}

// EndVouched ends sessions that a provider vouched for: of a member, or those it calls
// session, or all. It gives how many of whom; the caller appends to the log.
func EndVouched(ctx context.Context, tx *store.Tx, by Voucher, member nid.ID) (map[nid.ID]int, error) {
	where, args := `corp_id = $1 AND provider_id = $2`, []any{tx.Corp(), by.Provider}
	switch {
	case by.Session != "" && !member.IsZero(): // one that came without a name may be it
		where, args = where+` AND (provider_session = $3 OR provider_session IS NULL AND member_id = $4)`, append(args, by.Session, member)
	case by.Session != "":
		where, args = where+` AND provider_session = $3`, append(args, by.Session)
	case !member.IsZero():
		where, args = where+` AND member_id = $3`, append(args, member)
	}
	ended, err := store.KeepInto(ctx, tx, func(id *nid.ID) []any { return []any{id} }, "sessions", `DELETE FROM sessions WHERE `+where+` RETURNING member_id`, args...)
	out := map[nid.ID]int{}
	for _, id := range ended {
		out[id]++
	}
	return out, err
}

// EndUnlinked ends a member's sessions that providers vouched for which the member has not
// linked themselves: a claim found them, before they had a role. It gives the entries,
// which the caller appends.
func EndUnlinked(ctx context.Context, tx *store.Tx, member nid.ID) (entries []audit.Entry, err error) {
	ended, err := store.KeepInto(ctx, tx, func(id *nid.ID) []any { return []any{id} }, "sessions", `DELETE FROM sessions
		WHERE corp_id = $1 AND member_id = $2 AND provider_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM member_identities AS i
			WHERE i.corp_id = $1 AND i.provider_id = sessions.provider_id AND i.member_id = $2 AND i.own) RETURNING provider_id`, tx.Corp(), member)
	of := map[nid.ID]int{}
	for _, provider := range ended {
		of[provider]++
	}
	for _, provider := range slices.SortedFunc(maps.Keys(of), func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) }) {
		entries = append(entries, Ended(Voucher{Provider: provider}, map[nid.ID]int{member: of[provider]})...)
	}
	return entries, err
}

// Refused writes down that a provider's word let nobody in. member is who it was about, if
// that is known; vouched says that it was the provider's word at all, not something forged.
// There is one entry a minute for each provider, kind and member, so that nobody who forges
// keeps others' failures out of the log.
func (s *Service) Refused(ctx context.Context, by Voucher, member nid.ID, vouched bool, why string) error {
	subject := "provider:" + by.Provider.String()
	if vouched {
		subject += ":" + member.String()
	}
	return s.failed(ctx, subject, account{member: member}, "single sign-on: "+why)
}

// Ended are the entries of sessions that EndVouched ended.
func Ended(by Voucher, of map[nid.ID]int) (out []audit.Entry) {
	for _, member := range slices.SortedFunc(maps.Keys(of), func(a, b nid.ID) int { return bytes.Compare(a[:], b[:]) }) {
		out = append(out, audit.Entry{Action: access.SessionRevoke, Subject: member, After: map[string]any{"sessions": of[member], "provider": by.Provider}})
	}
	return out
}
