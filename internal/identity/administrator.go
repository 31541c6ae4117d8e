package identity

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// rootDepartment is the external id of a corp's root: WeCom gives every corp's root
// department the number 1, so that an import finds it and renames it.
const rootDepartment = "1"

// Administrator is who shall administer a corp.
type Administrator struct {
	// Corp is the corp's name; it is founded where there is none.
	Corp string
	// TimeZone is that of a corp to be founded; empty is Asia/Shanghai.
	TimeZone string
	// Login is what the administrator signs in with.
	Login string
	// UserID and Name are the member's; empty is the login. A member of this userid
	// is used, or else made.
	UserID, Name string
	Password     string
}

// Administrators is what AddAdministrator did.
type Administrators struct {
	Corp, Member, Grant nid.ID
	// Founded says that the corp is new.
	Founded bool
}

// AddAdministrator gives a member everything over the whole corp and the means to
// sign in, in one transaction: the corp with its root department, the member, the
// grant, the password, and the fallback member where the corp has none. It is the
// operator's way in. INVALID on corp, timeZone, login, userid, name or password;
// CONFLICT where the member is not at work or administers the corp already.
func (s *Service) AddAdministrator(ctx context.Context, in Administrator) (out Administrators, err error) {
	if in.UserID == "" {
		in.UserID = in.Login
	}
	if in.Name == "" {
		in.Name = in.Login
	}
	if in.TimeZone == "" {
		in.TimeZone = "Asia/Shanghai"
	}
	for _, f := range []struct{ field, value string }{{"corp", in.Corp}, {"userid", in.UserID}, {"name", in.Name}} {
		if problem, ok := name.Check(f.value); !ok {
			return out, fault.New(fault.Invalid, f.field, problem)
		}
	}
	hash, err := s.hash(ctx, in.Login, in.Password)
	if err != nil {
		return out, err
	}
	if out.Corp, err = s.DB.CorpNamed(ctx, in.Corp); err != nil {
		return out, err
	}
	if out.Founded = out.Corp.IsZero(); out.Founded {
		out.Corp = nid.New(nid.Corp)
	}
	err = s.DB.Tx(store.System(ctx, out.Corp, "admin create"), func(ctx context.Context, tx *store.Tx) error {
		a := &admission{ctx: ctx, tx: tx, s: s, in: in, out: &out}
		if err := a.found(); err != nil {
			return err
		}
		if err := a.member(); err != nil {
			return err
		}
		if err := a.grant(); err != nil {
			return err
		}
		set, err := setPassword(ctx, tx, out.Member, in.Login, hash)
		if err != nil {
			return err
		}
		if err := a.change("corps", `UPDATE corps SET fallback_id = $2, version = version + 1, updated_at = $3 WHERE corp_id = $1 AND fallback_id IS NULL RETURNING id`,
			tx.Corp(), out.Member, tx.Now()); err != nil {
			return err
		}
		// setPassword has ended their sessions, those of identity providers too.
		return s.Log.Append(ctx, tx,
			audit.Entry{Action: access.AdminCreate, Subject: out.Member, Covers: a.covers, After: map[string]any{"founded": out.Founded, "userid": audit.Personal{Subject: out.Member, Value: in.UserID}}},
			set, audit.Entry{Action: access.GrantCreate, Subject: out.Grant, After: map[string]any{"member": out.Member, "role": a.role}})
	})
	return out, err
}

// admission is one AddAdministrator under way.
type admission struct {
	ctx    context.Context
	tx     *store.Tx
	s      *Service
	in     Administrator
	out    *Administrators
	role   nid.ID
	root   nid.ID
	covers []nid.ID
}

func (a *admission) change(table, query string, args ...any) error {
	ids, err := a.tx.Change(a.ctx, table, query, args...)
	a.covers = append(a.covers, ids...)
	return err
}

// found makes the corp and its root department where there are none. Founding
// appends to the log by itself, ahead of our entries: nobody else can want the
// head of a corp that is not there yet.
func (a *admission) found() (err error) {
	one := func(id *nid.ID) []any { return []any{id} }
	if a.out.Founded {
		f, err := corp.Found(a.ctx, a.tx, a.s.Log, a.in.Corp, a.in.TimeZone)
		if err != nil {
			return err
		}
		a.role = f.Roles[access.Administrator.Name]
	} else if a.role, _, err = store.SelectOne(a.ctx, a.tx, one,
		`SELECT id FROM roles WHERE corp_id = $1 AND name = $2 AND built_in`+a.tx.DB().ForNoKeyUpdate(), a.tx.Corp(), access.Administrator.Name); err != nil {
		return err
	}
	a.root, _, err = store.SelectOne(a.ctx, a.tx, one,
		`SELECT id FROM departments WHERE corp_id = $1 AND parent_id IS NULL AND archived_at IS NULL ORDER BY id LIMIT 1`, a.tx.Corp())
	if err != nil || !a.root.IsZero() {
		return err
	}
	a.root = a.tx.NewID(nid.Department)
	if err := a.change("departments", `INSERT INTO departments (id, corp_id, created_at, updated_at, version, external_id, name) VALUES ($1, $2, $3, $3, 1, $4, $5) RETURNING id`,
		a.root, a.tx.Corp(), a.tx.Now(), rootDepartment, a.in.Corp); err != nil {
		return err
	}
	return a.change("department_closure", `INSERT INTO department_closure (corp_id, ancestor_id, descendant_id, depth) VALUES ($1, $2, $2, 0) RETURNING descendant_id`, a.tx.Corp(), a.root)
}

// member finds or makes the member.
func (a *admission) member() (err error) {
	a.out.Member, _, err = store.SelectOne(a.ctx, a.tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM members WHERE corp_id = $1 AND user_id = $2 AND archived_at IS NULL`, a.tx.Corp(), a.in.UserID)
	if err != nil {
		return err
	}
	if !a.out.Member.IsZero() {
		return atWork(a.ctx, a.tx, a.out.Member, a.tx.DB().ForNoKeyUpdate())
	}
	a.out.Member = a.tx.NewID(nid.Member)
	if err := a.change("members", `INSERT INTO members (id, corp_id, created_at, updated_at, version, user_id, name, name_key, status, answers, customer_contact_enabled, contact_limit, epoch)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, 'ACTIVE', true, false, 5000, 1) RETURNING id`,
		a.out.Member, a.tx.Corp(), a.tx.Now(), a.in.UserID, a.in.Name, name.Fold(a.in.Name)); err != nil {
		return err
	}
	if err := a.change("member_departments", `INSERT INTO member_departments (corp_id, member_id, department_id, position) VALUES ($1, $2, $3, 0) RETURNING member_id`,
		a.tx.Corp(), a.out.Member, a.root); err != nil {
		return err
	}
	_, err = a.tx.Keep(a.ctx, "member_counters", `INSERT INTO member_counters (corp_id, member_id) VALUES ($1, $2)`, a.tx.Corp(), a.out.Member)
	return err
}

// grant gives the role over the whole corp.
func (a *admission) grant() error {
	_, has, err := store.SelectOne(a.ctx, a.tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM grants WHERE corp_id = $1 AND member_id = $2 AND role_id = $3 AND department_id IS NULL AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4) LIMIT 1`,
		a.tx.Corp(), a.out.Member, a.role, a.tx.Now())
	if err != nil {
		return err
	}
	if has {
		return fault.Clash("login", "this member administers the corp already", "该成员已是企业管理员")
	}
	a.out.Grant = a.tx.NewID(nid.Grant)
	_, err = a.tx.Change(a.ctx, "grants", `INSERT INTO grants (id, corp_id, created_at, member_id, role_id) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		a.out.Grant, a.tx.Corp(), a.tx.Now(), a.out.Member, a.role)
	return err
}
