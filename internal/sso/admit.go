package sso

import (
	"context"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// matched is what of the claims is compared with members; empty, and why, where it does
// not count.
func matched(all map[string]any, p *Provider) (value, why string) {
	value, _ = all[p.Claim].(string)
	if value == "" || len(value) > maxText {
		return "", "there is no claim " + p.Claim
	}
	if p.Claim == "email" { // anybody can write anybody's address into a profile
		if verified, _ := all["email_verified"].(bool); !verified {
			return "", "the address is not verified"
		}
	}
	if p.Domain != "" {
		at := strings.LastIndexByte(value, '@')
		if at < 1 || !strings.EqualFold(value[at+1:], p.Domain) {
			return "", "another domain"
		}
		value = value[:at]
	}
	return value, ""
}

// admit begins a session of whom the claims are about.
func (s *Service) admit(ctx context.Context, p *Provider, c ceremony, said *claims) (out *identity.Session, err error) {
	by := identity.Voucher{Provider: p.ID, Session: said.session}
	var about nid.ID
	err = s.DB.Tx(somebody(ctx, p.Corp), func(ctx context.Context, tx *store.Tx) error {
		out, about = nil, nid.ID{}
		w, err := s.who(ctx, tx, p, c, said)
		if err != nil {
			return err
		}
		member := w.member
		about = member
		// Who asks for no proof may have been at the provider for long.
		proven := s.proven(p, said, tx.Now().Add(-identity.Proof))
		if !w.vouched {
			proven = time.Time{}
		}
		session, ok, err := identity.Admit(identity.Somebody(ctx, p.Corp, member), tx, member, by, proven)
		if err != nil {
			return err
		}
		if !ok {
			return &refused{errRefused, "the member is not at work"}
		}
		after := session.Told()
		after["provider"] = p.ID
		entries := []audit.Entry{{Action: access.SessionStart, Subject: member, After: after}}
		if w.linked {
			entries = append(entries, p.link(member, said, false))
		}
		out = &session
		return s.Log.Append(identity.Somebody(ctx, p.Corp, member), tx, entries...)
	})
	return out, s.note(ctx, p, about, true, err)
}

// prove marks the session of who was sent, where the claims are about them.
func (s *Service) prove(ctx context.Context, p *Provider, c ceremony, said *claims) error {
	a := access.From(ctx)
	if !c.of(a, p) {
		return &refused{errExpired, "the session is another one by now"}
	}
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := s.who(ctx, tx, p, c, said)
		if err != nil {
			return err
		}
		if w.member != a.ID {
			return &refused{errUnproven, "somebody else came back"}
		}
		if !w.vouched {
			return &refused{errUnproven, "the member was found by a claim: " + linkFirst}
		}
		until := s.proven(p, said, c.Began.Add(-skew))
		if until.IsZero() {
			return &refused{errUnproven, "the proof is too old or too weak"}
		}
		if err := identity.Vouch(ctx, tx, until); err != nil {
			return ended(err)
		}
		entries := []audit.Entry{{Action: access.SessionVerify, Subject: w.member, After: map[string]any{"method": "provider", "provider": p.ID, "until": until}}}
		if w.linked {
			entries = append(entries, p.link(w.member, said, false))
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	return s.note(ctx, p, a.ID, true, err)
}

// ended is what a session that has ended means to who came back.
func ended(err error) error {
	if fault.CodeOf(err) == fault.Unauthenticated {
		return &refused{errExpired, "the session has ended"}
	}
	return err
}

// of reports whether somebody acts in the session that began the ceremony.
func (c *ceremony) of(a *access.Actor, p *Provider) bool {
	return a.Kind == access.Person && a.Corp == p.Corp && string(a.Session) == string(c.Session)
}

// link is what the log says of somebody who is known by their subject from now on. own
// says that they linked it themselves, after another proof of identity.
func (p *Provider) link(member nid.ID, said *claims, own bool) audit.Entry {
	return audit.Entry{Action: access.IdentityLink, Subject: member, After: map[string]any{
		"provider": p.ID, "claim": p.Claim, "own": own, "subject": audit.Personal{Subject: member, Value: said.subject}}}
}

func oneID(id *nid.ID) []any { return []any{id} }

// known is who a provider's subject is here, if that is known, and whether they have
// linked it themselves.
func (p *Provider) known(ctx context.Context, tx *store.Tx, subject string) (member nid.ID, own, ok bool, err error) {
	type row struct {
		member nid.ID
		own    bool
	}
	r, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.member, &r.own} },
		`SELECT member_id, own FROM member_identities WHERE corp_id = $1 AND provider_id = $2 AND subject = $3`, tx.Corp(), p.ID, subject)
	return r.member, r.own, ok, err
}

// someone is whom claims are about.
type someone struct {
	member nid.ID
	// linked says that they are known by their subject from now on; the caller records it.
	linked bool
	// vouched says that the provider's word can be a proof of identity: they have linked the
	// provider themselves. A claim may be what anybody could write; whoever has no role
	// proves nothing by one either, or they would enrol an authenticator, or link the
	// provider, and keep that when the account gets a role.
	vouched bool
}

// begun locks the provider and looks at it again, and uses the ceremony up.
func (s *Service) begun(ctx context.Context, tx *store.Tx, p *Provider, c ceremony) error {
	now, err := byID(ctx, tx, p.ID, " AND active"+tx.DB().ForShare())
	if err != nil {
		return err
	}
	if now == nil || now.Version != p.Version { // what was asked and read was by other rules
		return &refused{errRefused, "the provider was changed meanwhile"}
	}
	fresh, err := c.spend(ctx, tx)
	if err == nil && !fresh {
		err = &refused{errExpired, "it came back twice"}
	}
	return err
}

// who is whom the claims are about.
func (s *Service) who(ctx context.Context, tx *store.Tx, p *Provider, c ceremony, said *claims) (w someone, err error) {
	if err := s.begun(ctx, tx, p, c); err != nil {
		return w, err
	}
	member, own, known, err := p.known(ctx, tx, said.subject)
	if err != nil {
		return w, err
	}
	if !known {
		if member, err = p.find(ctx, tx, said); err != nil {
			return w, err
		}
	}
	holds, err := holdsRole(ctx, tx, member)
	if err != nil {
		return w, err
	}
	w = someone{member: member, vouched: own}
	if known {
		return w, nil
	}
	if holds {
		return w, &refused{errRefused, "the member holds a role: " + linkFirst}
	}
	// Nobody takes over by being given the name of who was there before: that takes an
	// administrator, who resets the member's authenticators.
	if w.linked, err = p.keep(ctx, tx, said.subject, member, false); err != nil || w.linked {
		return w, err
	}
	// Or the same person has just signed in twice at once.
	if w.member, _, known, err = p.known(ctx, tx, said.subject); err == nil && !known {
		err = &refused{errRefused, "the member is linked to another subject"}
	}
	return w, err
}

// keep stores who a subject is; false where the subject or the member is linked already.
func (p *Provider) keep(ctx context.Context, tx *store.Tx, subject string, member nid.ID, own bool) (bool, error) {
	ids, err := tx.Change(ctx, "member_identities", `INSERT INTO member_identities
		(corp_id, provider_id, subject, member_id, created_at, own) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT DO NOTHING RETURNING member_id`, tx.Corp(), p.ID, subject, member, tx.Now(), own)
	return len(ids) > 0, err
}

// holdsRole reports whether a member holds a grant, and keeps one from being given until
// the transaction ends.
func holdsRole(ctx context.Context, tx *store.Tx, member nid.ID) (bool, error) {
	if _, _, err := store.SelectOne(ctx, tx, oneID, `SELECT id FROM members WHERE corp_id = $1 AND id = $2`+tx.DB().ForShare(), tx.Corp(), member); err != nil {
		return false, err
	}
	_, holds, err := store.SelectOne(ctx, tx, oneID, `SELECT id FROM grants
		WHERE corp_id = $1 AND member_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3) LIMIT 1`,
		tx.Corp(), member, tx.Now())
	return holds, err
}

// find finds the one member whom the claim names.
func (p *Provider) find(ctx context.Context, tx *store.Tx, said *claims) (member nid.ID, err error) {
	if said.value == "" {
		return member, &refused{errRefused, said.word}
	}
	query, value := `SELECT id FROM members WHERE corp_id = $1 AND user_id = $2 AND archived_at IS NULL AND status IN ('ACTIVE', 'LEAVING') LIMIT 2`, said.value
	switch p.Matches {
	case ByLogin:
		query, value = `SELECT member_id FROM credentials WHERE corp_id = $1 AND login = $2 LIMIT 2`, name.Fold(said.value)
	case ByExternalID:
		query = `SELECT member_id FROM scim_users WHERE corp_id = $1 AND external_id = $2 AND deleted_at IS NULL LIMIT 2`
	}
	if _, ok := name.Check(value); !ok {
		return member, &refused{errRefused, "no member"}
	}
	found, err := store.Select(ctx, tx, oneID, query, tx.Corp(), value)
	if err != nil {
		return member, err
	}
	if len(found) != 1 {
		return member, &refused{errRefused, "no member, or several"}
	}
	return found[0], nil
}

// note writes down that nobody was let in. vouched says that the provider has spoken.
func (s *Service) note(ctx context.Context, p *Provider, about nid.ID, vouched bool, err error) error {
	r, ok := err.(*refused) //nolint:errorlint // ours, as it was made
	if !ok || r.code == errUnavailable {
		return err
	}
	if f := s.Identity.Refused(somebody(ctx, p.Corp), identity.Voucher{Provider: p.ID}, about, vouched, r.why); f != nil {
		return f
	}
	return err
}

// Reseal seals the client secrets of a corp's providers under the first of the
// installation's secret keys where a former one did, and says how many it were. ctx is
// that of the system.
func (s *Service) Reseal(ctx context.Context) (n int, err error) {
	if access.From(ctx).Kind != access.System {
		return 0, fault.Denied("only the operator's commands may do this", "仅可由运维命令执行")
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n = 0
		all, err := store.Select(ctx, tx, (*Provider).dest, columns+` AND client_secret IS NOT NULL ORDER BY id`+tx.DB().ForNoKeyUpdate(), tx.Corp())
		if err != nil {
			return err
		}
		var covers []nid.ID
		for _, p := range all { // ten at most
			if s.Box.Current(p.secret) {
				continue
			}
			plain, err := s.Box.Open(p.secret, row(tx.Corp(), p.ID))
			if err != nil {
				return err
			}
			ids, err := tx.Change(ctx, "identity_providers", `UPDATE identity_providers SET client_secret = $3, updated_at = $4 WHERE corp_id = $1 AND id = $2 RETURNING id`,
				tx.Corp(), p.ID, s.Box.Seal(plain, row(tx.Corp(), p.ID)), tx.Now())
			if err != nil {
				return err
			}
			n, covers = n+1, append(covers, ids...)
		}
		if n == 0 {
			return nil
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SecretsRotate, Subject: tx.Corp(), Covers: covers, After: map[string]any{"providers": n}})
	})
	return n, err
}
