package identity

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Find gives the member who signs in with a login, or else has it as userid, for
// the operator's commands. NOT_FOUND on login. ctx is that of the system.
func (s *Service) Find(ctx context.Context, login string) (member nid.ID, err error) {
	if err := systemOnly(ctx); err != nil {
		return member, err
	}
	if problem, ok := name.Check(login); !ok {
		return member, fault.New(fault.Invalid, "login", problem)
	}
	err = s.DB.View(ctx, func(ctx context.Context, r *store.Read) (err error) {
		member, err = find(ctx, r, login)
		if err == nil && member.IsZero() {
			err = fault.Missing("login")
		}
		return err
	})
	return member, err
}

// find is Find inside a transaction; zero where there is nobody.
func find(ctx context.Context, q store.Querier, login string) (nid.ID, error) {
	id, _, err := store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} }, `
		SELECT m.id FROM members AS m LEFT JOIN credentials AS c ON c.corp_id = m.corp_id AND c.member_id = m.id
		WHERE m.corp_id = $1 AND m.archived_at IS NULL AND (c.login = $2 OR m.user_id = $3)
		ORDER BY CASE WHEN c.login = $2 THEN 0 ELSE 1 END LIMIT 1`, access.From(ctx).Corp, name.Fold(login), login)
	return id, err
}

// SetPassword lets a member sign in with a login and password, which replaces what
// there was and ends the member's sessions and lock. Logins differ by more than
// case. INVALID on login or password, NOT_FOUND, CONFLICT where the member is not
// at work or the login is somebody else's. ctx is that of the system.
func (s *Service) SetPassword(ctx context.Context, member nid.ID, login, password string) error {
	if err := systemOnly(ctx); err != nil {
		return err
	}
	hash, err := s.hash(ctx, login, password)
	if err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := atWork(ctx, tx, member, ""); err != nil {
			return err
		}
		entry, err := setPassword(ctx, tx, member, login, hash)
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, entry)
	})
}

// hash checks what somebody wants to sign in with and gives what is stored.
func (s *Service) hash(ctx context.Context, login, password string) (string, error) {
	if problem, ok := name.Check(login); !ok {
		return "", fault.New(fault.Invalid, "login", problem)
	}
	if err := secret.CheckPassword("password", login, password, s.Demo); err != nil {
		return "", err
	}
	return secret.HashPassword(ctx, password, s.cost())
}

// atWork demands that a member could sign in.
func atWork(ctx context.Context, tx *store.Tx, member nid.ID, lock string) error {
	answers, ok, err := store.SelectOne(ctx, tx, func(b *bool) []any { return []any{b} },
		`SELECT answers FROM members WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+lock, tx.Corp(), member)
	switch {
	case err != nil:
		return err
	case !ok:
		return fault.Missing("login")
	case !answers:
		return fault.Clash("login", "this member is not at work", "该成员不在职")
	}
	return nil
}

// setPassword writes a credential. Sign-ins hold its row, so none that compared the
// old password is left over.
func setPassword(ctx context.Context, tx *store.Tx, member nid.ID, login, hash string) (audit.Entry, error) {
	key := name.Fold(login)
	_, err := tx.Change(ctx, "credentials", `INSERT INTO credentials (corp_id, member_id, login, password_hash, updated_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (corp_id, member_id) DO UPDATE SET login = excluded.login, password_hash = excluded.password_hash,
			must_change = false, reset_until = NULL, updated_at = excluded.updated_at
		RETURNING member_id`, tx.Corp(), member, key, hash, tx.Now())
	if store.Duplicate(err) {
		return audit.Entry{}, fault.Clash("login", "somebody else signs in with this", "该账号已被他人使用")
	}
	if err != nil {
		return audit.Entry{}, err
	}
	ended, err := endSessions(ctx, tx, member, access.From(ctx))
	if err != nil {
		return audit.Entry{}, err
	}
	return audit.Entry{Action: access.CredentialSet, Subject: member, After: map[string]any{
		"login": audit.Personal{Subject: member, Value: key}, "sessionsEnded": ended,
	}}, forgive(ctx, tx, member, key)
}

// Enrolled is what is shown once of a new authenticator.
type Enrolled struct {
	// URI is what authenticator apps enrol from (otpauth://totp/…).
	URI string
	// RecoveryCodes serve once each in the authenticator's place.
	RecoveryCodes []string
}

// Enrol gives a member a new authenticator in place of any before, with new recovery
// codes, and ends the member's sessions. CONFLICT on login for a member who has no
// password yet. ctx is that of the system.
func (s *Service) Enrol(ctx context.Context, member nid.ID) (out Enrolled, err error) {
	if err := systemOnly(ctx); err != nil {
		return out, err
	}
	key := secret.NewTOTPSecret()
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := atWork(ctx, tx, member, ""); err != nil {
			return err
		}
		type row struct {
			member nid.ID
			login  string
		}
		rows, err := store.ChangeInto(ctx, tx, func(r *row) []any { return []any{&r.member, &r.login} }, func(r *row) nid.ID { return r.member }, "credentials",
			`UPDATE credentials SET totp_secret = $3, totp_last_step = 0, totp_pending = NULL, totp_pending_until = NULL, updated_at = $4
			WHERE corp_id = $1 AND member_id = $2 RETURNING member_id, login`,
			tx.Corp(), member, s.TOTP.Seal(key, credentialRow(tx.Corp(), member)), tx.Now())
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fault.Clash("login", "set a password first", "请先设置密码")
		}
		out.URI = secret.TOTPURI(s.issuer(), rows[0].login, key)
		if out.RecoveryCodes, err = replaceRecoveryCodes(ctx, tx, member); err != nil {
			return err
		}
		ended, err := endSessions(ctx, tx, member, access.From(ctx))
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.CredentialEnrol, Subject: member, After: map[string]any{"method": "otp", "sessionsEnded": ended}})
	})
	return out, err
}
