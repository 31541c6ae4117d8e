package identity

import (
	"context"
	"database/sql"
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
	ID     nid.ID
	Method Method
	// Token is shown this one time; see secret.NewToken.
	Token     string `json:"-"`
	ExpiresAt time.Time
	// Device is for the browser to keep and show when it signs in again; see devices.
	Device string `json:"-"`
	Actor  *access.Actor
}

// account is what is stored of somebody who can sign in; zero for nobody.
type account struct {
	member     nid.ID
	login      string
	password   string // hash; empty for who has none
	mustChange bool
	resetUntil sql.NullTime // until when a password that must be changed serves
	totp       []byte       // sealed; nil where no authenticator is enrolled
	pending    []byte       // sealed; of an enrolment that is not confirmed yet
	pendingTo  sql.NullTime
}

const accountColumns = `member_id, login, password_hash, must_change, reset_until, totp_secret, totp_pending, totp_pending_until`

func (a *account) dest() []any {
	return []any{&a.member, &a.login, &a.password, &a.mustChange, &a.resetUntil, &a.totp, &a.pending, &a.pendingTo}
}

const inNewPassword = "input.newPassword"

// Nowhere is the corp under which attempts at corps that do not exist are counted.
var Nowhere = nid.ID{15: byte(nid.Corp)}

// SignIn starts a session. corp is the corp's name; nil is the only corp there is,
// INVALID where there are several. A corp or login that does not exist, one without
// a password, a wrong password and a member who has left cost the same and read the
// same (UNAUTHENTICATED). Five failures in 15 minutes lock the login for 15 minutes
// (RATE_LIMITED with RetryAfter), whether or not it exists; so do many from one
// address or in one corp. A browser in which the member has signed in before (access.Cookie)
// has a count of its own. RATE_LIMITED too where more sign in at once than the room has
// places for.
func (s *Service) SignIn(ctx context.Context, corp *string, login, password string) (Session, error) {
	return s.SignInReplacing(ctx, corp, login, password, nil)
}

// SignInReplacing is SignIn for who has a password that an administrator gave. It
// serves once, together with the one that shall replace it: INVALID on
// input.newPassword where that is missing, too weak, or not asked for.
func (s *Service) SignInReplacing(ctx context.Context, corp *string, login, password string, replacement *string) (Session, error) {
	if replacement != nil {
		if err := secret.CheckPassword(inNewPassword, login, *replacement, s.Demo); err != nil {
			return Session{}, err
		}
		if *replacement == password {
			return Session{}, fault.Bad(inNewPassword, "choose another password than the one you were given", "新密码不能与当前密码相同")
		}
	}
	at, err := s.where(ctx, corp)
	if err != nil {
		return Session{}, err
	}
	key, named := name.Fold(login), ""
	if at == Nowhere {
		named = *corp + "\x00"
	}
	ctx = as(ctx, at, nid.ID{}, "")
	device := s.known(ctx, at, key)
	leave, err := s.enter(ctx, at, device)
	if err != nil {
		return Session{}, err
	}
	defer leave()
	counts := doorsOf(ctx, named, key, device)
	var known account
	find := func(ctx context.Context, tx *store.Tx) (err error) {
		known = account{}
		if _, ok := name.Check(key); !ok {
			return nil // nobody has such a login, and not every text may be asked for
		}
		known, _, err = store.SelectOne(ctx, tx, (*account).dest,
			`SELECT `+accountColumns+` FROM credentials WHERE corp_id = $1 AND login = $2`, tx.Corp(), key)
		return err
	}
	err = s.try(ctx, counts, find)
	if device != "" && fault.CodeOf(err) == fault.RateLimited { // somebody guesses at this device: it is one like any
		counts = doorsOf(ctx, named, key, "")
		err = s.try(ctx, counts, find)
	}
	if err != nil {
		return Session{}, err
	}
	right, err := s.passwordIs(ctx, known, password)
	if err != nil {
		s.untry(ctx, counts)
		return Session{}, err
	}
	if right && (!known.mustChange || s.DB.Now().Before(known.resetUntil.Time)) {
		if known.mustChange != (replacement != nil) {
			s.untry(ctx, counts)
			if replacement == nil {
				return Session{}, fault.Bad(inNewPassword, "this password serves once; choose your own", "该密码为一次性密码,请设置您自己的新密码")
			}
			return Session{}, fault.Bad(inNewPassword, "sign in first; then changePassword gives you another password", "请先登录,再通过 changePassword 修改密码")
		}
		session, ok, err := s.start(ctx, at, known, password, replacement, counts)
		if err != nil || ok {
			return session, err
		}
	}
	if at != Nowhere {
		if err := s.failed(ctx, counts.here[0].subject, known, "sign-in"); err != nil {
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
		return Nowhere, nil
	}
	id, err := s.DB.CorpNamed(ctx, *corp)
	if err == nil && id.IsZero() {
		id = Nowhere
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
func (s *Service) start(ctx context.Context, corp nid.ID, of account, password string, replacement *string, counts doors) (out Session, ok bool, err error) {
	stored := ""
	if replacement != nil {
		password = *replacement
	}
	if replacement != nil || secret.NeedsRehash(of.password, s.cost()) {
		if stored, err = secret.HashPassword(ctx, password, s.cost()); err != nil {
			s.untry(ctx, counts)
			return out, false, err
		}
	}
	ctx = as(ctx, corp, of.member, of.login)
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The lock on the credential puts this in order with a change of the
		// password, which ends all sessions, and with other sign-ins of the member.
		_, ok, err = store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT member_id FROM credentials
			WHERE corp_id = $1 AND member_id = $2 AND password_hash = $3`+tx.DB().ForNoKeyUpdate(), tx.Corp(), of.member, of.password)
		if err != nil || !ok {
			return err
		}
		if out, ok, err = open(ctx, tx, of.member, ByPassword, time.Time{}); err != nil || !ok {
			return err
		}
		if stored != "" {
			if _, err := tx.Change(ctx, "credentials", `UPDATE credentials SET password_hash = $3, must_change = false, reset_until = NULL, updated_at = $4
				WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, tx.Corp(), of.member, stored, tx.Now()); err != nil {
				return err
			}
		}
		if err := refund(ctx, tx, counts.here...); err != nil {
			return err
		}
		after := out.told()
		after["rehashed"] = stored != "" && replacement == nil
		entries := []audit.Entry{{Action: access.SessionStart, Subject: of.member, After: after}}
		if replacement != nil {
			entries = append(entries, audit.Entry{Action: access.CredentialSet, Subject: of.member, After: map[string]any{"replaced": "one-time password"}})
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	if err != nil || !ok {
		return out, false, err
	}
	s.uncharge(as(ctx, Nowhere, nid.ID{}, ""), counts.everywhere...)
	out.Device = s.remember(corp, of.login)
	return out, true, nil
}
