package identity

import (
	"context"
	"errors"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Evidence is one proof of identity: exactly one of its fields.
type Evidence struct {
	// Code is the code of the member's authenticator (RFC 6238), good for one proof.
	Code *string
	// Password serves in demo mode, for who has no authenticator and no passkey.
	Password *string
	// RecoveryCode stands in for a lost authenticator, once.
	RecoveryCode *string
	// Passkey is the answer of a passkey to a challenge made ToVerify.
	Passkey *PasskeyAnswer
}

const (
	inCode, inPassword, inRecovery = "input.code", "input.password", "input.recoveryCode"
)

func (e Evidence) check(demo bool) error {
	n := 0
	for _, given := range []bool{e.Code != nil, e.Password != nil, e.RecoveryCode != nil, e.Passkey != nil} {
		if given {
			n++
		}
	}
	switch {
	case n == 0:
		return fault.Bad(inCode, "give the code of your authenticator", "请提供身份验证器的验证码")
	case n > 1 && e.Password != nil:
		return fault.Bad(inPassword, "give one proof, not two", "只能提供一种验证方式")
	case n > 1:
		return fault.Bad(inCode, "give one proof, not two", "只能提供一种验证方式")
	case e.Password != nil && !demo:
		return fault.Bad(inPassword, "a password is no proof here; enrol an authenticator and give its code", "此处不接受密码验证,请绑定身份验证器并提供验证码")
	}
	return nil
}

// VerifyIdentity is Prove by the code of an authenticator or by a password.
func (s *Service) VerifyIdentity(ctx context.Context, code, password *string) (until time.Time, err error) {
	return s.Prove(ctx, Evidence{Code: code, Password: password})
}

// Prove proves again who holds the session and says until when the proof is fresh
// (Proof). INVALID on input.code, input.password, input.recoveryCode or input.passkey
// where the proof is wrong, used already, or of a kind that is not possible;
// RATE_LIMITED after five failures in 15 minutes, counted apart from those of signing
// in and however many sessions and addresses they come from.
func (s *Service) Prove(ctx context.Context, e Evidence) (until time.Time, err error) {
	a, err := signedInPerson(ctx)
	if err != nil {
		return until, err
	}
	if err := e.check(s.Demo); err != nil {
		return until, err
	}
	if e.Passkey != nil {
		return s.provePasskey(ctx, a, *e.Passkey)
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
		if err := e.possible(ctx, tx, known); err != nil {
			return err
		}
		return charge(ctx, tx, counts...)
	})
	if err != nil {
		return until, err
	}
	method, wrong, take, err := s.weigh(ctx, known, e)
	if err != nil {
		s.uncharge(ctx, counts...)
		return until, err
	}
	if take != nil {
		until, err = s.prove(ctx, method, counts, take)
		if !errors.Is(err, errUsed) {
			return until, err
		}
	}
	if err := s.failed(ctx, counts[0].subject, known, method); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, wrong
}

// possible refuses what cannot be right, without counting it.
func (e Evidence) possible(ctx context.Context, tx *store.Tx, known account) error {
	switch {
	case e.Code != nil && known.totp == nil:
		return fault.Bad(inCode, "no authenticator is enrolled for you; enrolTotp gives you one", "尚未绑定身份验证器,请先绑定(enrolTotp)")
	case e.Password == nil:
		return nil
	}
	has, err := hasFactor(ctx, tx, access.From(ctx).ID)
	if err == nil && has {
		err = fault.Bad(inPassword, "you have an authenticator; give its code", "您已绑定身份验证器,请提供验证码")
	}
	return err
}

// taking uses a proof up inside the transaction in which it counts; false: somebody
// else has, or what it proves was changed meanwhile.
type taking func(ctx context.Context, tx *store.Tx) (bool, error)

// weigh compares a proof; take is nil where it is wrong.
func (s *Service) weigh(ctx context.Context, known account, e Evidence) (method string, wrong error, take taking, err error) {
	a := access.From(ctx)
	switch {
	case e.Code != nil:
		method, wrong = "otp", fault.Bad(inCode, "this code is wrong or was used already; wait for the next one", "验证码错误或已被使用,请等待下一个验证码")
		plain, err := s.TOTP.Open(known.totp, credentialRow(a.Corp, a.ID))
		if err != nil {
			return method, wrong, nil, err
		}
		if step, right := secret.VerifyTOTP(plain, *e.Code, s.DB.Now()); right {
			take = taken("credentials", `UPDATE credentials SET totp_last_step = $5, updated_at = $3
				WHERE corp_id = $1 AND member_id = $2 AND totp_secret = $4 AND totp_last_step < $5 RETURNING member_id`, known.totp, step)
		}
	case e.RecoveryCode != nil:
		method, wrong = "recovery", fault.Bad(inRecovery, "this recovery code is wrong or was used already", "恢复码错误或已被使用")
		if hash := recoveryHash(a.Corp, a.ID, *e.RecoveryCode); hash != nil {
			take = taken("recovery_codes", `UPDATE recovery_codes SET used_at = $3
				WHERE corp_id = $1 AND member_id = $2 AND hash = $4 AND used_at IS NULL RETURNING member_id`, hash)
		}
	default:
		method, wrong = "pwd", fault.Bad(inPassword, "the password is wrong", "密码错误")
		right, err := s.passwordIs(ctx, known, *e.Password)
		if err != nil {
			return method, wrong, nil, err
		}
		if right {
			take = taken("credentials", `UPDATE credentials SET updated_at = $3
				WHERE corp_id = $1 AND member_id = $2 AND password_hash = $4 AND totp_secret IS NULL RETURNING member_id`, known.password)
		}
	}
	return method, wrong, take, nil
}

// taken takes by one conditional UPDATE, so of many uses at once one wins.
func taken(table, update string, args ...any) taking {
	return func(ctx context.Context, tx *store.Tx) (bool, error) {
		ids, err := tx.Change(ctx, table, update, append([]any{tx.Corp(), access.From(ctx).ID, tx.Now()}, args...)...)
		return len(ids) > 0, err
	}
}

// ownAccount reads what is stored of a member; of one without a login, who it is.
func ownAccount(ctx context.Context, q store.Querier, member nid.ID) (account, error) {
	known, ok, err := store.SelectOne(ctx, q, (*account).dest,
		`SELECT `+accountColumns+` FROM credentials WHERE corp_id = $1 AND member_id = $2`, access.From(ctx).Corp, member)
	if !ok {
		known = account{member: member}
	}
	return known, err
}

// errUsed says that a proof served before, or that what it proves was changed meanwhile.
var errUsed = errors.New("identity: the proof was used already")

// prove uses the proof up and marks the session.
func (s *Service) prove(ctx context.Context, method string, counts []counter, take taking) (until time.Time, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ok, err := take(ctx, tx)
		if err != nil {
			return err
		}
		if !ok {
			return errUsed
		}
		// After the credential, as signing in and a new password lock them too.
		if _, err := confirm(ctx, tx, tx.DB().ForNoKeyUpdate("s")); err != nil {
			return err
		}
		if until, err = markProven(ctx, tx); err != nil {
			return err
		}
		if err := refund(ctx, tx, counts...); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionVerify, Subject: access.From(ctx).ID, After: map[string]any{"method": method, "until": until}})
	})
	return until, err
}

// markProven notes that the holder of the actor's session has just proven who they are.
func markProven(ctx context.Context, tx *store.Tx) (until time.Time, err error) {
	until = tx.Now().Add(Proof)
	_, err = tx.Keep(ctx, "sessions", `UPDATE sessions SET verified_until = $3 WHERE corp_id = $1 AND secret_hash = $2`, tx.Corp(), access.From(ctx).Session, until)
	return until, err
}

// credentialRow ties an authenticator's secret to its member.
func credentialRow(corp, member nid.ID) []byte { return append(corp[:], member[:]...) }
