package identity

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Session is what somebody gets who has signed in.
type Session struct {
	// Token is shown this one time; see secret.NewToken.
	Token     string `json:"-"`
	ExpiresAt time.Time
	Actor     *access.Actor
}

// account is what is stored of somebody who can sign in; zero for nobody.
type account struct {
	member   nid.ID
	login    string
	password string // hash
	totp     []byte // sealed; nil where no authenticator is enrolled
}

func (a *account) dest() []any { return []any{&a.member, &a.login, &a.password, &a.totp} }

// nowhere is the corp under which attempts at corps that do not exist are counted.
var nowhere = nid.ID{15: byte(nid.Corp)}

// SignIn starts a session. corp is the corp's name; nil is the only corp there is,
// INVALID where there are several. A corp or login that does not exist, a wrong
// password and a member who has left cost the same and read the same
// (UNAUTHENTICATED). Five failures in 15 minutes lock the login for 15 minutes
// (RATE_LIMITED with RetryAfter), whether or not it exists.
func (s *Service) SignIn(ctx context.Context, corp *string, login, password string) (Session, error) {
	at, err := s.where(ctx, corp)
	if err != nil {
		return Session{}, err
	}
	key := name.Fold(login)
	counted := key
	if at == nowhere {
		counted = *corp + "\x00" + key
	}
	subject := "sign-in:" + digest(counted)
	ctx = as(ctx, at, nid.ID{}, "")
	var known account
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := charge(ctx, tx, subject); err != nil {
			return err
		}
		if _, ok := name.Check(key); !ok {
			known = account{} // nobody has such a login, and not every text may be asked for
			return nil
		}
		known, _, err = store.SelectOne(ctx, tx, (*account).dest,
			`SELECT member_id, login, password_hash, totp_secret FROM credentials WHERE corp_id = $1 AND login = $2`, tx.Corp(), key)
		return err
	})
	if err != nil {
		return Session{}, err
	}
	right, err := s.passwordIs(ctx, known, password)
	if err != nil {
		s.uncharge(ctx, subject)
		return Session{}, err
	}
	if right {
		session, ok, err := s.start(ctx, at, known, password, subject)
		if err != nil || ok {
			return session, err
		}
	}
	if at != nowhere {
		if err := s.failed(ctx, subject, known, "sign-in"); err != nil {
			return Session{}, err
		}
	}
	return Session{}, fault.New(fault.Unauthenticated, "", fault.T("corp, login or password is wrong", "企业、账号或密码错误"))
}

// where finds the corp that somebody wants to sign in to.
func (s *Service) where(ctx context.Context, corp *string) (nid.ID, error) {
	if corp == nil || *corp == "" {
		id, err := s.DB.CorpNamed(ctx, "")
		if err == nil && id.IsZero() {
			err = fault.Bad("input.corp", "say which corp", "请指定企业")
		}
		return id, err
	}
	if _, ok := name.Check(*corp); !ok {
		return nowhere, nil
	}
	id, err := s.DB.CorpNamed(ctx, *corp)
	if err == nil && id.IsZero() {
		id = nowhere
	}
	return id, err
}

// passwordIs compares, and takes as long for nobody as for somebody.
func (s *Service) passwordIs(ctx context.Context, of account, password string) (bool, error) {
	if of.password == "" {
		return false, secret.VerifyNobody(ctx, password, s.cost())
	}
	return secret.VerifyPassword(ctx, of.password, password)
}

// start makes the session. ok is false for who may not sign in after all: the
// member is not at work, or the password was changed while it was compared.
func (s *Service) start(ctx context.Context, corp nid.ID, of account, password, subject string) (out Session, ok bool, err error) {
	rehashed := ""
	if secret.NeedsRehash(of.password, s.cost()) {
		if rehashed, err = secret.HashPassword(ctx, password, s.cost()); err != nil {
			return out, false, err
		}
	}
	out.Token = secret.NewToken(secret.Session, corp)
	hash := secret.Hash(out.Token)
	ctx = as(ctx, corp, of.member, of.login)
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The lock on the credential puts this in order with a change of the
		// password, which ends all sessions, and with other sign-ins of the member.
		var epoch int
		epoch, ok, err = store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `
			SELECT m.epoch FROM credentials AS c JOIN members AS m ON m.corp_id = c.corp_id AND m.id = c.member_id
			WHERE c.corp_id = $1 AND c.member_id = $2 AND c.password_hash = $3 AND m.status IN ('ACTIVE', 'LEAVING')`+tx.DB().ForNoKeyUpdate("c"),
			tx.Corp(), of.member, of.password)
		if err != nil || !ok {
			return err
		}
		if _, err := tx.Keep(ctx, "sessions", `DELETE FROM sessions WHERE corp_id = $1 AND member_id = $2 AND secret_hash IN (
			SELECT o.secret_hash FROM sessions AS o WHERE o.corp_id = $1 AND o.member_id = $2
			ORDER BY o.created_at DESC, o.secret_hash LIMIT 1000000 OFFSET $3)`, tx.Corp(), of.member, maxSessions-1); err != nil {
			return err
		}
		out.ExpiresAt = tx.Now().Add(SessionLife)
		if _, err := tx.Keep(ctx, "sessions", `INSERT INTO sessions (secret_hash, corp_id, member_id, epoch, created_at, expires_at, last_seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, $5)`, hash, tx.Corp(), of.member, epoch, tx.Now(), out.ExpiresAt); err != nil {
			return err
		}
		if rehashed != "" {
			if _, err := tx.Change(ctx, "credentials", `UPDATE credentials SET password_hash = $3, updated_at = $4
				WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, tx.Corp(), of.member, rehashed, tx.Now()); err != nil {
				return err
			}
		}
		if err := refund(ctx, tx, subject); err != nil {
			return err
		}
		actor := *access.From(ctx)
		actor.Session = hash
		if actor.Grants, err = grants(ctx, tx, of.member, tx.Now(), ""); err != nil {
			return err
		}
		out.Actor = &actor
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionStart, Subject: of.member,
			After: map[string]any{"expiresAt": out.ExpiresAt, "rehashed": rehashed != ""}})
	})
	return out, ok && err == nil, err
}
