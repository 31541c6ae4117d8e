package sso

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// linkFirst is what the log tells the operator about somebody who was not let in.
const linkFirst = "they link the provider themselves, with linkIdentity after another fresh proof"

// permit lets one session link a provider. The address that carries it is of use in the
// browser of that session only, so that no other page sends somebody to link an account
// that is not theirs.
type permit struct {
	Session []byte    `json:"p"`
	Until   time.Time `json:"t"`
}

func (p *Provider) permit() []byte {
	return slices.Concat([]byte("link to a provider\x00"), p.Corp[:], p.ID[:])
}

// Link gives the address at which the actor links a provider to themselves, within five
// minutes. It needs a fresh proof of identity: since they are not linked yet, that proof
// is not the provider's.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, INVALID on input.return,
// and CONFLICT where they have linked it already.
func (s *Service) Link(ctx context.Context, id nid.ID, back string) (address string, err error) {
	err = s.Log.Tx(ctx, s.DB, access.IdentityLink, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if actor.Kind != access.Person {
			return fault.Denied("only a member can be linked to a provider", "仅成员本人可以关联身份提供方")
		}
		if !s.on() {
			return off()
		}
		p, err := byID(ctx, tx, id, " AND active")
		if err != nil {
			return err
		}
		if p == nil {
			return fault.Missing("input.id")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if _, ok := s.back(back); !ok {
			return fault.Bad("input.return", "must be a page of this server", "必须是本系统的页面地址")
		}
		_, linked, err := store.SelectOne(ctx, tx, oneID, `SELECT member_id FROM member_identities
			WHERE corp_id = $1 AND provider_id = $2 AND member_id = $3 AND own`, tx.Corp(), p.ID, actor.ID)
		if err != nil {
			return err
		}
		if linked {
			return fault.Clash("input.id", "this provider is linked already; resetAuthenticators takes the link away",
				"该身份提供方已关联；如需重新关联，请由管理员重置身份验证器")
		}
		plain, err := json.Marshal(permit{actor.Session, tx.Now().Add(identity.Proof)})
		if err != nil {
			return err
		}
		q := url.Values{"link": {base64.RawURLEncoding.EncodeToString(s.Ceremonies.Seal(plain, p.permit()))}}
		if back != "" {
			q.Set("return", back)
		}
		address = s.SignInURL(p) + "?" + q.Encode()
		return nil
	})
	return address, err
}

// permitted reports whether an address lets the actor link the provider now.
func (s *Service) permitted(text string, a *access.Actor, p *Provider) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxText {
		return false
	}
	plain, err := s.Ceremonies.Open(sealed, p.permit())
	var said permit
	if err != nil || json.Unmarshal(plain, &said) != nil {
		return false
	}
	c := ceremony{Session: said.Session}
	return said.Session != nil && c.of(a, p) && s.DB.Now().Before(said.Until)
}

// link ties the subject that came back to who began: the claim names them, and they have
// proven by something else who they are. Another subject that was found for them by a claim
// gives way, and its sessions end.
func (s *Service) link(ctx context.Context, p *Provider, c ceremony, said *claims) error {
	a := access.From(ctx)
	if !c.of(a, p) {
		return &refused{errExpired, "the session is another one by now"}
	}
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := identity.Confirm(ctx, tx); err != nil {
			return ended(err)
		}
		if err := s.begun(ctx, tx, p, c); err != nil {
			return err
		}
		member, own, known, err := p.known(ctx, tx, said.subject)
		if err != nil {
			return err
		}
		if !known {
			if member, err = p.find(ctx, tx, said); err != nil {
				return err
			}
		}
		if member != a.ID {
			return &refused{errUnproven, "somebody else came back"}
		}
		if own {
			return nil
		}
		gone, err := tx.Change(ctx, "member_identities", `DELETE FROM member_identities
			WHERE corp_id = $1 AND provider_id = $2 AND member_id = $3 AND NOT own RETURNING member_id`,
			tx.Corp(), p.ID, member)
		if err != nil {
			return err
		}
		kept, err := p.keep(ctx, tx, said.subject, member, true)
		if err != nil {
			return err
		}
		if !kept {
			return &refused{errRefused, "the member is linked to another subject"}
		}
		entries := []audit.Entry{p.link(member, said, true)}
		if len(gone) > 0 && !known {
			by := identity.Voucher{Provider: p.ID}
			ended, err := identity.EndVouched(ctx, tx, by, member)
			if err != nil {
				return err
			}
			entries = append(entries, identity.Ended(by, ended)...)
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	return s.note(ctx, p, a.ID, true, err)
}
