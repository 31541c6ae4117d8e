package identity

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	inOldPassword = "input.oldPassword"
	// resetTime is how long a password that an administrator gave serves.
	resetTime = 24 * time.Hour
	// resetDigits of five bits each.
	resetDigits = 20
)

// ChangePassword gives the actor another password and ends their other sessions. It
// needs the old one. INVALID on input.oldPassword or input.newPassword; RATE_LIMITED
// as for signing in, with which its failures count; CONFLICT for who has none.
func (s *Service) ChangePassword(ctx context.Context, old, replacement string) (ended int, err error) {
	a, err := signedInPerson(ctx)
	if err != nil {
		return 0, err
	}
	var known account
	var counts []counter
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := confirm(ctx, tx, ""); err != nil {
			return err
		}
		if known, err = ownAccount(ctx, tx, a.ID); err != nil {
			return err
		}
		if known.password == "" {
			return fault.Clash("", "you have no password here", "您在本系统没有密码")
		}
		if err := secret.CheckPassword(inNewPassword, known.login, replacement, s.Demo); err != nil {
			return err
		}
		if replacement == old {
			return fault.Bad(inNewPassword, "choose another password than the old one", "新密码不能与旧密码相同")
		}
		counts = doorsOf(ctx, "", known.login, "").here
		return charge(ctx, tx, counts...)
	})
	if err != nil {
		return 0, err
	}
	if err := s.ownPassword(ctx, known, old, inOldPassword, counts); err != nil {
		return 0, err
	}
	hash, err := secret.HashPassword(ctx, replacement, s.cost())
	if err != nil {
		s.uncharge(ctx, counts...)
		return 0, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "credentials", `UPDATE credentials SET password_hash = $4, must_change = false, reset_until = NULL, updated_at = $5
			WHERE corp_id = $1 AND member_id = $2 AND password_hash = $3 RETURNING member_id`, tx.Corp(), a.ID, known.password, hash, tx.Now())
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return fault.Clash(inOldPassword, "the password was changed meanwhile", "密码已被更改")
		}
		if _, err := confirm(ctx, tx, tx.DB().ForNoKeyUpdate("s")); err != nil {
			return err
		}
		if ended, err = endSessions(ctx, tx, a.ID, a); err != nil {
			return err
		}
		if err := refund(ctx, tx, counts...); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialSet, Subject: a.ID, After: map[string]any{"sessionsEnded": ended, "by": "oneself"}})
	})
	return ended, err
}

// OneTime is a password that an administrator gave, shown this one time.
type OneTime struct {
	Login, Password string
	ExpiresAt       time.Time
}

// ResetPassword gives a member a password that serves once, within a day, to sign in
// and choose another (SignInReplacing). Whatever they are signed in to ends, what
// locked them out is forgotten; authenticator and passkeys stay. login is for who
// does not have one yet; nil is the one they have, or else their userid.
//
// The actor manages roles over the member, may do everything that the member may
// (nobody becomes somebody who may more) and has proven who they are. NOT_FOUND,
// FORBIDDEN, INVALID on input.memberId for oneself and on input.login, CONFLICT where
// the member is not at work or the login is somebody else's.
func (s *Service) ResetPassword(ctx context.Context, member nid.ID, login *string) (out OneTime, err error) {
	const inLogin = "input.login"
	if login != nil {
		if problem, ok := name.Check(*login); !ok {
			return out, fault.New(fault.Invalid, inLogin, problem)
		}
	}
	// Before the hash, which is dear: only who may do this makes anybody wait for it.
	if err := s.Log.Tx(ctx, s.DB, access.CredentialReset, func(ctx context.Context, tx *store.Tx) error {
		_, err := s.overMember(ctx, tx, member)
		return err
	}); err != nil {
		return out, err
	}
	out.Password = newCode(resetDigits)
	hash, err := secret.HashPassword(ctx, out.Password, s.cost())
	if err != nil {
		return out, err
	}
	err = s.Log.Tx(ctx, s.DB, access.CredentialReset, func(ctx context.Context, tx *store.Tx) error {
		user, err := s.overMember(ctx, tx, member)
		if err != nil {
			return err
		}
		known, err := ownAccount(ctx, tx, member)
		if err != nil {
			return err
		}
		switch key := known.login; {
		case login != nil:
			out.Login = name.Fold(*login)
		case key != "":
			out.Login = key
		default:
			out.Login = name.Fold(user)
		}
		out.ExpiresAt = tx.Now().Add(resetTime)
		_, err = tx.Change(ctx, "credentials", `INSERT INTO credentials (corp_id, member_id, login, password_hash, must_change, reset_until, updated_at)
			VALUES ($1, $2, $3, $4, true, $5, $6)
			ON CONFLICT (corp_id, member_id) DO UPDATE SET login = excluded.login, password_hash = excluded.password_hash,
				must_change = true, reset_until = excluded.reset_until, updated_at = excluded.updated_at
			RETURNING member_id`, tx.Corp(), member, out.Login, hash, out.ExpiresAt, tx.Now())
		if store.Duplicate(err) {
			return fault.Clash(inLogin, "somebody else signs in with this", "该账号已被他人使用")
		}
		if err != nil {
			return err
		}
		if err := forgive(ctx, tx, member, out.Login); err != nil {
			return err
		}
		return s.reset(ctx, tx, member, map[string]any{
			"method": "pwd", "until": out.ExpiresAt, "login": audit.Personal{Subject: member, Value: out.Login},
		})
	})
	if err != nil {
		return OneTime{}, err
	}
	return out, nil
}

// ResetAuthenticators takes a member's authenticator, passkeys and recovery codes
// away, for who has lost them all, and ends their sessions. The member signs in with
// their password and enrols again. Needs what ResetPassword needs; CONFLICT where
// there is nothing to take away.
func (s *Service) ResetAuthenticators(ctx context.Context, member nid.ID) error {
	return s.Log.Tx(ctx, s.DB, access.CredentialReset, func(ctx context.Context, tx *store.Tx) error {
		if _, err := s.overMember(ctx, tx, member); err != nil {
			return err
		}
		codes, err := tx.Change(ctx, "credentials", `UPDATE credentials SET totp_secret = NULL, totp_pending = NULL, totp_pending_until = NULL, updated_at = $3
			WHERE corp_id = $1 AND member_id = $2 AND (totp_secret IS NOT NULL OR totp_pending IS NOT NULL) RETURNING member_id`, tx.Corp(), member, tx.Now())
		if err != nil {
			return err
		}
		keys, err := tx.Change(ctx, "passkeys", `DELETE FROM passkeys WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, tx.Corp(), member)
		if err != nil {
			return err
		}
		// Whoever they are at a provider is found anew, as on the first day.
		linked, err := tx.Change(ctx, "member_identities", `DELETE FROM member_identities WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, tx.Corp(), member)
		if err != nil {
			return err
		}
		if len(codes)+len(keys)+len(linked) == 0 {
			return fault.Clash(inMember, "this member has neither authenticator nor passkey, and is known at no identity provider", "该成员没有绑定身份验证器或通行密钥,也未关联身份提供方")
		}
		if err := dropRecoveryCodes(ctx, tx, member); err != nil {
			return err
		}
		return s.reset(ctx, tx, member, map[string]any{"method": "otp", "authenticator": len(codes), "passkeys": len(keys), "identities": len(linked)})
	})
}

// overMember demands that the actor may act on another's credentials, and keeps it so
// until the end of the transaction. It gives the member's userid.
func (s *Service) overMember(ctx context.Context, tx *store.Tx, member nid.ID) (user string, err error) {
	actor, err := Confirm(ctx, tx)
	if err != nil {
		return "", err
	}
	if err := reaches(ctx, tx, actor, member); err != nil {
		return "", err
	}
	theirs, err := grants(ctx, tx, member, tx.Now(), tx.DB().ForShare("g"))
	if err != nil {
		return "", err
	}
	for _, g := range theirs {
		lacking, err := Lacking(ctx, tx, actor, g.Department, g.ExpiresAt, g.Permissions...)
		if err != nil {
			return "", err
		}
		if len(lacking) > 0 {
			return "", fault.Denied("this member may do what you may not: %s", "该成员拥有您没有的权限:%s", lacking[0]).With("permissions", texts(slices.Clone(lacking)))
		}
	}
	if actor.Kind == access.Person && actor.ID == member {
		return "", fault.Bad(inMember, "this is for others; change your own password and authenticators yourself", "不能重置自己的登录凭据,请自行修改")
	}
	if err := Fresh(actor, tx.Now()); err != nil {
		return "", err
	}
	type row struct {
		user    string
		answers bool
	}
	m, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.user, &r.answers} },
		`SELECT user_id, answers FROM members WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+tx.DB().ForNoKeyUpdate(), tx.Corp(), member)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", fault.Missing(inMember)
	case !m.answers:
		return "", fault.Clash(inMember, "this member is not at work", "该成员不在职")
	}
	return m.user, nil
}

// reset voids all of a member's sessions, those that begin just now too, and writes down why.
func (s *Service) reset(ctx context.Context, tx *store.Tx, member nid.ID, after map[string]any) error {
	if _, err := tx.Change(ctx, "members", `UPDATE members SET epoch = epoch + 1, version = version + 1, updated_at = $3
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), member, tx.Now()); err != nil {
		return err
	}
	ended, err := endSessions(ctx, tx, member, &access.Actor{})
	if err != nil {
		return err
	}
	after["sessionsEnded"] = ended
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialReset, Subject: member, After: after})
}
