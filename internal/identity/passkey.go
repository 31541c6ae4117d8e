package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// maxPasskeys a member may have.
const maxPasskeys = 20

// AddPasskey gives the actor a passkey, which verifies its user (Web Authentication
// Level 3, §7.1), called title. Needs a fresh proof of identity, or the password of
// who has nothing else. Who has had no factor before gets recovery codes and a proof
// of identity with it. INVALID on input.name, input.ceremony, input.credential,
// input.password; STEP_UP_REQUIRED; CONFLICT for a passkey that is known already or
// the 21st.
func (s *Service) AddPasskey(ctx context.Context, title string, answer PasskeyAnswer, password *string) (id nid.ID, out Confirmed, err error) {
	if problem, ok := name.Check(title); !ok {
		return id, out, fault.New(fault.Invalid, "input.name", problem)
	}
	a, err := signedInPerson(ctx)
	if err != nil {
		return id, out, err
	}
	c, err := s.recall(ctx, ToAdd, "input."+inCeremony, answer.Ceremony)
	if err != nil {
		return id, out, err
	}
	made, err := s.registered(ctx, a, c, answer)
	if err != nil {
		return id, out, err
	}
	e, err := s.entitle(ctx, password)
	if err != nil {
		return id, out, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := e.still(ctx, tx)
		if err != nil {
			return err
		}
		had, err := hasFactor(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		if err := s.room(ctx, tx, actor.ID); err != nil {
			return err
		}
		if ok, err := c.spend(ctx, tx); err != nil || !ok {
			return errors.Join(err, known(ok))
		}
		id = tx.NewID(nid.Passkey)
		_, err = tx.Change(ctx, "passkeys", `INSERT INTO passkeys (corp_id, id, member_id, credential_id, public_key, flags, sign_count, name, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING member_id`,
			tx.Corp(), id, actor.ID, made.ID, made.PublicKey, int(made.Flags.ProtocolValue()), int64(made.Authenticator.SignCount), title, tx.Now())
		if store.Duplicate(err) {
			return known(false)
		}
		if err != nil {
			return err
		}
		if !had {
			if out.RecoveryCodes, err = replaceRecoveryCodes(ctx, tx, actor.ID); err != nil {
				return err
			}
		}
		if out.VerifiedUntil, err = markProven(ctx, tx); err != nil {
			return err
		}
		ended, err := endSessions(ctx, tx, actor.ID, actor)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialEnrol, Subject: actor.ID, After: map[string]any{
			"method": "passkey", "passkey": id, "name": audit.Personal{Subject: actor.ID, Value: title}, "sessionsEnded": ended,
		}})
	})
	return id, out, err
}

// known is the CONFLICT for a passkey, or a challenge, that has been here before; nil
// where it is new.
func known(fresh bool) error {
	if fresh {
		return nil
	}
	return fault.Clash("input."+inKey, "this passkey is known here already", "该通行密钥已存在")
}

// registered checks what the authenticator answered.
func (s *Service) registered(ctx context.Context, a *access.Actor, c ceremony, answer PasskeyAnswer) (*webauthn.Credential, error) {
	field := "input." + inKey
	unreadable := fault.Bad(field, "this is not what a browser answers; send the credential's toJSON", "无法识别该凭据,请发送浏览器返回的 toJSON 内容")
	if len(answer.Credential) > maxAnswer {
		return nil, unreadable
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer.Credential)
	if err != nil {
		return nil, unreadable
	}
	made, err := s.Passkeys.CreateCredential(&holder{corp: a.Corp, member: a.ID}, c.Session, parsed)
	if err != nil {
		why(ctx, err)
		return nil, fault.Bad(field, "this passkey was not accepted: it must verify its user and answer this challenge for this site", "该通行密钥未被接受:必须验证使用者,并针对本站点和本次请求")
	}
	if len(made.ID) > 1023 { // §4 "Credential ID"
		return nil, unreadable
	}
	return made, nil
}

// why tells the operator what the client is not told.
func why(ctx context.Context, err error) {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		slog.InfoContext(ctx, "a passkey's answer was refused", "type", e.Type, "details", e.Details)
	}
}

func (s *Service) room(ctx context.Context, tx *store.Tx, member nid.ID) error {
	n, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} },
		`SELECT count(*) FROM passkeys WHERE corp_id = $1 AND member_id = $2`, tx.Corp(), member)
	if err == nil && n >= maxPasskeys {
		err = fault.Clash("", "you have %d passkeys already; remove one first", "您已有 %d 个通行密钥,请先移除一个", n)
	}
	return err
}

// RemovePasskey takes one of the actor's passkeys away and ends their other sessions.
// Needs a fresh proof of identity. NOT_FOUND on input.id.
func (s *Service) RemovePasskey(ctx context.Context, id nid.ID) error {
	if _, err := signedInPerson(ctx); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		_, ok, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
			`SELECT id FROM passkeys WHERE corp_id = $1 AND id = $2 AND member_id = $3`+tx.DB().ForUpdate(), tx.Corp(), id, actor.ID)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Missing("input.id")
		}
		if err := Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "passkeys", `DELETE FROM passkeys WHERE corp_id = $1 AND id = $2 RETURNING member_id`, tx.Corp(), id); err != nil {
			return err
		}
		return s.removed(ctx, tx, actor, map[string]any{"method": "passkey", "passkey": id})
	})
}

// SignInWithPasskey starts a session by a passkey's answer to a challenge ToSignIn
// (§7.2), with a fresh proof of identity: the passkey has verified its user. Whatever
// is wrong with it reads the same (UNAUTHENTICATED); INVALID on input.ceremony and
// input.credential only for what no passkey has answered.
func (s *Service) SignInWithPasskey(ctx context.Context, answer PasskeyAnswer) (out Session, err error) {
	c, err := s.recall(ctx, ToSignIn, "input."+inCeremony, answer.Ceremony)
	if err != nil {
		return out, err
	}
	parsed, err := asserted(answer, "input.")
	if err != nil {
		return out, err
	}
	refused := fault.New(fault.Unauthenticated, "", fault.T("this passkey is not known here, or not any more", "该通行密钥未知或已失效"))
	corp, member, ok := parseHandle(parsed.Response.UserHandle)
	if !ok {
		return out, refused
	}
	ctx = as(ctx, corp, member, "")
	var h *holder
	if err := s.DB.View(ctx, func(ctx context.Context, r *store.Read) (err error) {
		h, err = holderOf(ctx, r, member)
		return err
	}); err != nil {
		return out, err
	}
	if h == nil {
		return out, refused
	}
	ctx = as(ctx, corp, member, h.login)
	_, got, err := s.Passkeys.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return h, nil }, c.Session, parsed)
	if err == nil && !got.Authenticator.CloneWarning {
		err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			ok, err := h.use(ctx, tx, c, got)
			if err == nil && ok {
				out, ok, err = open(ctx, tx, member, ByPasskey, tx.Now().Add(Proof))
				out.Device = s.remember(corp, h.login)
			}
			if err == nil && !ok {
				err = errUsed
			}
			if err != nil {
				return err
			}
			after := out.told()
			after["passkey"] = h.idOf(got.ID)
			return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionStart, Subject: member, After: after})
		})
		if !errors.Is(err, errUsed) {
			return out, err
		}
	}
	why(ctx, err)
	// Whoever knows the handle has seen the passkey: it is worth a line in the log.
	if err := s.failed(as(ctx, corp, nid.ID{}, ""), verifySubject(member)+" passkey", account{member: member, login: h.login}, "passkey"); err != nil {
		return Session{}, err
	}
	return Session{}, refused
}

// provePasskey is Prove by a passkey.
func (s *Service) provePasskey(ctx context.Context, a *access.Actor, answer PasskeyAnswer) (until time.Time, err error) {
	c, err := s.recall(ctx, ToVerify, inPasskey+inCeremony, answer.Ceremony)
	if err != nil {
		return until, err
	}
	parsed, err := asserted(answer, inPasskey)
	if err != nil {
		return until, err
	}
	var h *holder
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := confirm(ctx, tx, ""); err != nil {
			return err
		}
		h, err = holderOf(ctx, tx, a.ID)
		return err
	})
	if err != nil {
		return until, err
	}
	if h == nil {
		return until, SignInFirst()
	}
	got, err := s.Passkeys.ValidateLogin(h, c.Session, parsed)
	if err == nil && !got.Authenticator.CloneWarning {
		until, err = s.prove(ctx, "passkey", nil, func(ctx context.Context, tx *store.Tx) (bool, error) { return h.use(ctx, tx, c, got) })
		if !errors.Is(err, errUsed) {
			return until, err
		}
	}
	why(ctx, err)
	if err := s.failed(ctx, verifySubject(a.ID)+" passkey", account{member: a.ID, login: h.login}, "passkey"); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, fault.Bad(inPasskey+inKey, "this passkey's answer is wrong or was used already", "通行密钥的应答错误或已被使用")
}

// asserted reads what a passkey answered.
func asserted(answer PasskeyAnswer, prefix string) (*protocol.ParsedCredentialAssertionData, error) {
	unreadable := fault.Bad(prefix+inKey, "this is not what a browser answers; send the credential's toJSON", "无法识别该凭据,请发送浏览器返回的 toJSON 内容")
	if len(answer.Credential) > maxAnswer {
		return nil, unreadable
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer.Credential)
	if err != nil {
		return nil, unreadable
	}
	return parsed, nil
}

// use uses an answer up: its challenge serves once, its passkey is still there, and
// the passkey's counter has not been seen yet, as it would be of a copy.
func (h *holder) use(ctx context.Context, tx *store.Tx, c ceremony, got *webauthn.Credential) (bool, error) {
	count := int64(got.Authenticator.SignCount)
	ids, err := tx.Change(ctx, "passkeys", `UPDATE passkeys SET sign_count = $4, flags = $5, last_used_at = $6
		WHERE corp_id = $1 AND id = $2 AND member_id = $3 AND (sign_count < $4 OR sign_count = 0 AND $4 = 0) RETURNING member_id`,
		tx.Corp(), h.idOf(got.ID), h.member, count, int(got.Flags.ProtocolValue()), tx.Now())
	if err != nil || len(ids) == 0 {
		return false, err
	}
	ok, err := c.spend(ctx, tx)
	if err == nil && !ok {
		err = errUsed // takes the change of the passkey back as well
	}
	return ok, err
}

func (h *holder) idOf(credential []byte) nid.ID {
	for _, p := range h.passkeys {
		if bytes.Equal(p.credential, credential) {
			return p.id
		}
	}
	return nid.ID{}
}
