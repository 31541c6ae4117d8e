package identity

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// enrolTime is how long an enrolment waits for its first code.
const enrolTime = 10 * time.Minute

// entitled is who may have another authenticator or passkey.
type entitled struct {
	known    account
	password bool      // that is what they showed
	counts   []counter // of the attempt, to be refunded
}

// entitle demands what it takes to add a factor: a fresh proof of identity or, for
// who has no factor to give one with, the password. STEP_UP_REQUIRED; INVALID on
// input.password; RATE_LIMITED as for signing in.
func (s *Service) entitle(ctx context.Context, password *string) (e entitled, err error) {
	a, err := signedInPerson(ctx)
	if err != nil {
		return e, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := confirm(ctx, tx, "")
		if err != nil {
			return err
		}
		if e.known, err = ownAccount(ctx, tx, a.ID); err != nil {
			return err
		}
		has, err := hasFactor(ctx, tx, a.ID)
		switch fresh := Fresh(actor, tx.Now()); {
		case err != nil:
			return err
		case fresh != nil && has:
			return fresh // a password is less than they have
		case fresh == nil && password == nil:
			return nil
		case password == nil:
			return fault.Bad(inPassword, "give your password; you have nothing else yet to prove who you are", "请提供登录密码以确认本人操作")
		}
		e.password, e.counts = true, doorsOf(ctx, "", e.known.login, "").here
		return charge(ctx, tx, e.counts...)
	})
	if err != nil || !e.password {
		return e, err
	}
	return e, s.ownPassword(ctx, e.known, *password, inPassword, e.counts)
}

// ownPassword compares what somebody who is signed in gives as their password. The
// attempt has been charged as one to sign in: no way in has guesses of its own.
func (s *Service) ownPassword(ctx context.Context, known account, password, field string, counts []counter) error {
	right, err := s.passwordIs(ctx, known, password)
	if err != nil {
		s.uncharge(ctx, counts...)
		return err
	}
	if right {
		return nil
	}
	if err := s.failed(ctx, counts[0].subject, known, "pwd"); err != nil {
		return err
	}
	return fault.Bad(field, "the password is wrong", "密码错误")
}

// still checks inside the transaction that adds the factor that nothing has changed.
func (e entitled) still(ctx context.Context, tx *store.Tx) (*access.Actor, error) {
	if e.password {
		_, ok, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT member_id FROM credentials
			WHERE corp_id = $1 AND member_id = $2 AND password_hash = $3`+tx.DB().ForNoKeyUpdate(), tx.Corp(), e.known.member, e.known.password)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, SignInFirst() // a new password has ended the session
		}
	}
	actor, err := confirm(ctx, tx, tx.DB().ForNoKeyUpdate("s"))
	if err != nil {
		return nil, err
	}
	if fresh := Fresh(actor, tx.Now()); fresh != nil {
		has, err := hasFactor(ctx, tx, actor.ID)
		if err != nil {
			return nil, err
		}
		if !e.password || has {
			return nil, fresh
		}
	}
	return actor, refund(ctx, tx, e.counts...)
}

// Enrolment is what is shown once of an authenticator that is to be enrolled.
type Enrolment struct {
	// URI is what authenticator apps enrol from; it holds the secret.
	URI string
	// ExpiresAt is until when ConfirmTOTP takes the first code.
	ExpiresAt time.Time
}

// EnrolTOTP begins to give the actor an authenticator. It does not count, and one
// there is before goes on to, until ConfirmTOTP has its first code. Needs a fresh
// proof of identity, or the password of who has nothing else. CONFLICT for who does
// not sign in with a login.
func (s *Service) EnrolTOTP(ctx context.Context, password *string) (out Enrolment, err error) {
	e, err := s.entitle(ctx, password)
	if err != nil {
		return out, err
	}
	key := secret.NewTOTPSecret()
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := e.still(ctx, tx)
		if err != nil {
			return err
		}
		out.ExpiresAt = tx.Now().Add(enrolTime)
		ids, err := tx.Change(ctx, "credentials", `UPDATE credentials SET totp_pending = $3, totp_pending_until = $4, updated_at = $5
			WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`,
			tx.Corp(), actor.ID, s.TOTP.Seal(key, credentialRow(tx.Corp(), actor.ID)), out.ExpiresAt, tx.Now())
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return fault.Clash("", "you do not sign in with a login here; use a passkey", "您没有本系统的登录账号,请使用通行密钥")
		}
		out.URI = secret.TOTPURI(s.issuer(), e.known.login, key)
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialBegin, Subject: actor.ID, After: map[string]any{"method": "otp", "until": out.ExpiresAt}})
	})
	return out, err
}

// Confirmed is what somebody gets who has enrolled an authenticator or a passkey.
type Confirmed struct {
	// RecoveryCodes are shown this one time; nil where the former go on to serve.
	RecoveryCodes []string
	// VerifiedUntil is until when the proof is fresh that the first code was.
	VerifiedUntil time.Time
}

// ConfirmTOTP completes EnrolTOTP by a code of the new authenticator, which then
// stands in place of any before. Recovery codes are new, other sessions of the actor
// end, and this one is proven. CONFLICT where nothing waits to be confirmed; INVALID
// on input.code; RATE_LIMITED as for Prove.
func (s *Service) ConfirmTOTP(ctx context.Context, code string) (out Confirmed, err error) {
	a, err := signedInPerson(ctx)
	if err != nil {
		return out, err
	}
	counts := proofs(ctx, a.ID)
	var known account
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := confirm(ctx, tx, ""); err != nil {
			return err
		}
		if known, err = ownAccount(ctx, tx, a.ID); err != nil {
			return err
		}
		if known.pending == nil || !tx.Now().Before(known.pendingTo.Time) {
			return nothingPending()
		}
		return charge(ctx, tx, counts...)
	})
	if err != nil {
		return out, err
	}
	plain, err := s.TOTP.Open(known.pending, credentialRow(a.Corp, a.ID))
	if err != nil {
		s.uncharge(ctx, counts...)
		return out, err
	}
	step, right := secret.VerifyTOTP(plain, code, s.DB.Now())
	if !right {
		if err := s.failed(ctx, counts[0].subject, known, "otp"); err != nil {
			return out, err
		}
		return out, fault.Bad(inCode, "this code is wrong; is the clock of your device right?", "验证码错误,请检查设备时间是否准确")
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "credentials", `UPDATE credentials SET totp_secret = totp_pending, totp_last_step = $4,
			totp_pending = NULL, totp_pending_until = NULL, updated_at = $5
			WHERE corp_id = $1 AND member_id = $2 AND totp_pending = $3 RETURNING member_id`, tx.Corp(), a.ID, known.pending, step, tx.Now())
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return nothingPending()
		}
		if _, err := confirm(ctx, tx, tx.DB().ForNoKeyUpdate("s")); err != nil {
			return err
		}
		if out.RecoveryCodes, err = replaceRecoveryCodes(ctx, tx, a.ID); err != nil {
			return err
		}
		ended, err := endSessions(ctx, tx, a.ID, a)
		if err != nil {
			return err
		}
		if out.VerifiedUntil, err = markProven(ctx, tx); err != nil {
			return err
		}
		if err := refund(ctx, tx, counts...); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialEnrol, Subject: a.ID, After: map[string]any{
			"method": "otp", "sessionsEnded": ended, "replaced": known.totp != nil,
		}})
	})
	if err != nil {
		// The code was right, and of several sent at once one confirms: no guess was lost.
		s.uncharge(ctx, counts...)
		return Confirmed{}, err
	}
	return out, nil
}

func nothingPending() error {
	return fault.Clash("", "no enrolment waits for its first code; begin with enrolTotp", "没有待确认的绑定,请先调用 enrolTotp")
}

// RemoveTOTP takes the actor's authenticator away, and the recovery codes where
// nothing is left for them to stand in for. Needs a fresh proof of identity. CONFLICT
// where there is none.
func (s *Service) RemoveTOTP(ctx context.Context) error {
	if _, err := signedInPerson(ctx); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := Fresh(actor, tx.Now()); err != nil {
			return err
		}
		ids, err := tx.Change(ctx, "credentials", `UPDATE credentials SET totp_secret = NULL, totp_pending = NULL, totp_pending_until = NULL, updated_at = $3
			WHERE corp_id = $1 AND member_id = $2 AND totp_secret IS NOT NULL RETURNING member_id`, tx.Corp(), actor.ID, tx.Now())
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return fault.Clash("", "you have no authenticator", "您没有绑定身份验证器")
		}
		return s.removed(ctx, tx, actor, map[string]any{"method": "otp"})
	})
}

// removed ends what a factor that was removed may have let in, and writes it down.
func (s *Service) removed(ctx context.Context, tx *store.Tx, actor *access.Actor, after map[string]any) error {
	has, err := hasFactor(ctx, tx, actor.ID)
	if err != nil {
		return err
	}
	if !has {
		if err := dropRecoveryCodes(ctx, tx, actor.ID); err != nil {
			return err
		}
	}
	ended, err := endSessions(ctx, tx, actor.ID, actor)
	if err != nil {
		return err
	}
	after["sessionsEnded"] = ended
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialRemove, Subject: actor.ID, After: after})
}
