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

// VerifyIdentity proves again who holds the session and says until when the proof
// is fresh (Proof). The proof is the code of the member's authenticator (RFC 6238),
// each code good for one proof; in demo mode, for who has no authenticator, the
// password. INVALID on input.code or input.password where the proof is wrong, used
// already, or of a kind that is not possible; RATE_LIMITED after five failures in
// 15 minutes, counted apart from those of signing in.
func (s *Service) VerifyIdentity(ctx context.Context, code, password *string) (until time.Time, err error) {
	a, err := signedInPerson(ctx)
	if err != nil {
		return until, err
	}
	const inCode, inPassword = "input.code", "input.password"
	switch {
	case code == nil && password == nil:
		return until, fault.Bad(inCode, "give the code of your authenticator", "请提供身份验证器的验证码")
	case code != nil && password != nil:
		return until, fault.Bad(inPassword, "give one proof, not two", "只能提供一种验证方式")
	case password != nil && !s.Demo:
		return until, fault.Bad(inPassword, "a password is no proof here; enrol an authenticator and give its code", "此处不接受密码验证,请绑定身份验证器并提供验证码")
	}
	subject := "verify:" + a.ID.String()
	var known account
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := confirm(ctx, tx, ""); err != nil {
			return err
		}
		known, _, err = store.SelectOne(ctx, tx, (*account).dest,
			`SELECT member_id, login, password_hash, totp_secret FROM credentials WHERE corp_id = $1 AND member_id = $2`, tx.Corp(), a.ID)
		switch {
		case err != nil:
			return err
		case code != nil && known.totp == nil:
			return fault.Bad(inCode, "no authenticator is enrolled for you; ask an operator", "尚未绑定身份验证器,请联系运维人员")
		case password != nil && known.totp != nil:
			return fault.Bad(inPassword, "you have an authenticator; give its code", "您已绑定身份验证器,请提供验证码")
		}
		return charge(ctx, tx, subject)
	})
	if err != nil {
		return until, err
	}
	method := "otp"
	wrong := fault.Bad(inCode, "this code is wrong or was used already; wait for the next one", "验证码错误或已被使用,请等待下一个验证码")
	var step int64
	var right bool
	if code != nil {
		var plain []byte
		if plain, err = s.TOTP.Open(known.totp, credentialRow(a.Corp, a.ID)); err == nil {
			step, right = secret.VerifyTOTP(plain, *code, s.DB.Now())
		}
	} else {
		method = "pwd"
		wrong = fault.Bad(inPassword, "the password is wrong", "密码错误")
		right, err = s.passwordIs(ctx, known, *password)
	}
	if err != nil {
		s.uncharge(ctx, subject)
		return until, err
	}
	if right {
		until, err = s.prove(ctx, known, method, step, subject)
		if !errors.Is(err, errUsed) {
			return until, err
		}
	}
	if err := s.failed(ctx, subject, known, method); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, wrong
}

// errUsed says that a code served before, or that the credential was changed meanwhile.
var errUsed = errors.New("identity: the proof was used already")

// prove marks the session. A code is taken by one conditional UPDATE, so of many
// uses at once one wins.
func (s *Service) prove(ctx context.Context, of account, method string, step int64, subject string) (until time.Time, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a := access.From(ctx)
		condition, args := `password_hash = $4 AND totp_secret IS NULL`, []any{tx.Corp(), a.ID, tx.Now(), of.password}
		set := ""
		if method == "otp" {
			condition, set = `totp_secret = $4 AND totp_last_step < $5`, `totp_last_step = $5, `
			args = []any{tx.Corp(), a.ID, tx.Now(), of.totp, step}
		}
		taken, err := tx.Change(ctx, "credentials", `UPDATE credentials SET `+set+`updated_at = $3
			WHERE corp_id = $1 AND member_id = $2 AND `+condition+` RETURNING member_id`, args...)
		if err != nil {
			return err
		}
		if len(taken) == 0 {
			return errUsed
		}
		// After the credential, as signing in and a new password lock them too.
		if _, err := confirm(ctx, tx, tx.DB().ForNoKeyUpdate("s")); err != nil {
			return err
		}
		until = tx.Now().Add(Proof)
		if _, err := tx.Keep(ctx, "sessions", `UPDATE sessions SET verified_until = $3 WHERE corp_id = $1 AND secret_hash = $2`, tx.Corp(), a.Session, until); err != nil {
			return err
		}
		if err := refund(ctx, tx, subject); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionVerify, Subject: a.ID, After: map[string]any{"method": method, "until": until}})
	})
	return until, err
}

// credentialRow ties an authenticator's secret to its member.
func credentialRow(corp, member nid.ID) []byte { return append(corp[:], member[:]...) }
