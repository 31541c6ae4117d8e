package provision

import (
	"context"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/roster"
	"github.com/openhandover/openhandover/internal/store"
)

// maxText is how long user names, addresses and the provider's ids may be.
const maxText = 255

// CreateUser makes a member at work, or one who is not active yet, in the token's
// department, else the root. Name is the user name where it is not given.
//
// Fails with INVALID on userName and the other parts, and CONFLICT on userName where
// it is taken, whatever the case of its letters: also by somebody who has departed,
// whom a person reinstates.
func (s *Service) CreateUser(ctx context.Context, in roster.UserChange) (out roster.User, err error) {
	if err := check(in); err != nil {
		return out, err
	}
	if in.UserName == nil {
		return out, missing("userName")
	}
	title := *in.UserName
	if in.Name != nil {
		title = *in.Name
	}
	err = s.Log.Tx(ctx, s.DB, access.MemberCreate, func(ctx context.Context, tx *store.Tx) error {
		scope, err := confirm(ctx, tx)
		if err != nil {
			return err
		}
		root, err := top(ctx, tx, scope)
		if err != nil {
			return err
		}
		if err := free(ctx, tx, *in.UserName, nid.ID{}); err != nil {
			return err
		}
		id, status := tx.NewID(nid.Member), "ACTIVE"
		if in.Active != nil && !*in.Active {
			status = "INACTIVE"
		}
		for _, c := range []struct {
			table, query string
			args         []any
		}{
			{"members", `INSERT INTO members (id, corp_id, created_at, updated_at, version, user_id, name, name_key, status, answers, customer_contact_enabled, contact_limit, epoch)
				VALUES ($2, $1, $3, $3, 1, $4, $5, $6, $7, $8, true, 5000, 1) RETURNING id`, []any{tx.Now(), *in.UserName, title, name.Fold(title), status, status == "ACTIVE"}},
			{"member_departments", `INSERT INTO member_departments (corp_id, member_id, department_id, position) VALUES ($1, $2, $3, 0) RETURNING member_id`, []any{root}},
		} {
			if _, err := tx.Change(ctx, c.table, c.query, append([]any{tx.Corp(), id}, c.args...)...); err != nil {
				return err
			}
		}
		if _, err := tx.Keep(ctx, "member_counters", `INSERT INTO member_counters (corp_id, member_id) VALUES ($1, $2)`, tx.Corp(), id); err != nil {
			return err
		}
		is := roster.User{GivenName: text(in.GivenName), FamilyName: text(in.FamilyName), Email: text(in.Email), ExternalID: text(in.ExternalID)}
		if err := save(ctx, tx, id, is, true); err != nil {
			return err
		}
		after := map[string]any{"status": status, "department": root}
		for what, v := range map[string]string{"userName": *in.UserName, "name": title, "givenName": is.GivenName, "familyName": is.FamilyName, "email": is.Email, "externalId": is.ExternalID} {
			if v != "" {
				after[what] = audit.Personal{Subject: id, Value: v}
			}
		}
		if out, err = firstOf(users(ctx, tx, scope, byID(id))); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.MemberCreate, Subject: id, After: after})
	})
	return out, err
}

// UpdateUser makes a member what the provider says. Active false is a departure
// (member.Service.Leave): where it is held back the answer still says Active, and the
// same request changes nothing more. Active true of somebody who has left is
// FORBIDDEN: reinstating needs a person who proves who they are.
//
// Fails with NOT_FOUND on id, INVALID, and CONFLICT on version and userName.
func (s *Service) UpdateUser(ctx context.Context, id nid.ID, in roster.UserChange) (out roster.User, err error) {
	if err := check(in); err != nil {
		return out, err
	}
	if out, err = s.User(ctx, id); err != nil {
		return out, err
	}
	leaves := in.Active != nil && !*in.Active && out.Active
	err = s.Log.Tx(ctx, s.DB, access.MemberUpdate, func(ctx context.Context, tx *store.Tx) error {
		out, err = s.update(ctx, tx, id, in)
		return err
	})
	if err != nil || !leaves {
		return out, err
	}
	// Last, for it is not taken back: what else is wrong with the request has been said.
	if _, err := s.Member.Leave(ctx, leave(id, roster.Versions{UserVersion(out.Version)}, false)); err != nil {
		return out, err
	}
	return s.User(ctx, id)
}

func leave(id nid.ID, versions roster.Versions, forGood bool) member.LeaveInput {
	in := member.LeaveInput{MemberID: id, ForGood: forGood}
	if versions != nil {
		in.Fits = func(version int) bool { return versions.Fit(UserVersion(version)) }
	}
	return in
}

func (s *Service) update(ctx context.Context, tx *store.Tx, id nid.ID, in roster.UserChange) (roster.User, error) {
	scope, err := confirm(ctx, tx)
	if err != nil {
		return roster.User{}, err
	}
	if in.UserName != nil {
		if err := free(ctx, tx, *in.UserName, id); err != nil {
			return roster.User{}, err
		}
	}
	status, _, err := store.SelectOne(ctx, tx, func(s *string) []any { return []any{s} },
		`SELECT status FROM members WHERE corp_id = $1 AND id = $2`+tx.DB().ForNoKeyUpdate(), tx.Corp(), id)
	if err != nil {
		return roster.User{}, err
	}
	was, err := firstOf(users(ctx, tx, scope, byID(id)))
	switch {
	case err != nil:
		return was, err
	case !in.If.Fit(UserVersion(was.Version)):
		return was, fault.Stale("version", was.Version)
	case in.Active != nil && *in.Active && (status == "DEPARTED" || status == "DISABLED"):
		return was, fault.Denied("this member has been deactivated; somebody with DEACTIVATE_MEMBER reinstates them in OpenHandover with a proof of identity, which no token has", "该成员已被停用;恢复需由拥有 DEACTIVATE_MEMBER 权限的人员在 OpenHandover 中验证身份后操作,令牌无法代替")
	}
	is, before, after := was, map[string]any{}, map[string]any{}
	for _, part := range []struct {
		name string
		to   *string
		at   *string
	}{
		{"userName", in.UserName, &is.UserName}, {"name", in.Name, &is.Name}, {"givenName", in.GivenName, &is.GivenName},
		{"familyName", in.FamilyName, &is.FamilyName}, {"email", in.Email, &is.Email}, {"externalId", in.ExternalID, &is.ExternalID},
	} {
		if part.to == nil || *part.to == *part.at {
			continue
		}
		before[part.name], after[part.name] = audit.Personal{Subject: id, Value: *part.at}, audit.Personal{Subject: id, Value: *part.to}
		*part.at = *part.to
	}
	if in.Active != nil && *in.Active && status == "INACTIVE" {
		before["status"], after["status"] = status, "ACTIVE"
		status, is.Active = "ACTIVE", true
	}
	if len(after) == 0 {
		return was, nil
	}
	if _, err := tx.Change(ctx, "members", `UPDATE members SET user_id = $3, name = $4, name_key = $5, status = $6, answers = $7, version = version + 1, updated_at = $8
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, is.UserName, is.Name, name.Fold(is.Name), status, is.Active, tx.Now()); err != nil {
		return was, err
	}
	if err := save(ctx, tx, id, is, is.Active && !was.Active); err != nil {
		return was, err
	}
	is.Version, is.Modified = was.Version+1, tx.Now()
	return is, s.Log.Append(ctx, tx, audit.Entry{Action: access.MemberUpdate, Subject: id, Before: before, After: after})
}

// DeleteUser is a departure for good, after which the user is gone for the provider:
// NOT_FOUND, as long as the member stays DEPARTED. Nothing is deleted, for what
// happened names the member. A departure that is held back succeeds and the user
// stays until a person decides.
//
// Fails with NOT_FOUND on id and CONFLICT on version.
func (s *Service) DeleteUser(ctx context.Context, id nid.ID, versions roster.Versions) error {
	if _, err := s.User(ctx, id); err != nil {
		return err
	}
	if held, err := s.Member.Leave(ctx, leave(id, versions, true)); err != nil || held {
		return err
	}
	return s.Log.Tx(ctx, s.DB, access.MemberUpdate, func(ctx context.Context, tx *store.Tx) error {
		scope, err := confirm(ctx, tx)
		if err != nil {
			return err
		}
		if found, err := users(ctx, tx, scope, byID(id)); err != nil || len(found) == 0 {
			return err // the same request was here before
		}
		if _, err := tx.Change(ctx, "scim_users", `INSERT INTO scim_users (corp_id, member_id, deleted_at)
			SELECT m.corp_id, m.id, $3 FROM members AS m WHERE m.corp_id = $1 AND m.id = $2 AND m.status = 'DEPARTED'
			ON CONFLICT (corp_id, member_id) DO UPDATE SET deleted_at = excluded.deleted_at RETURNING member_id`, tx.Corp(), id, tx.Now()); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.MemberUpdate, Subject: id, After: map[string]any{"deletedByProvider": true}})
	})
}

func byID(id nid.ID) roster.Query { return roster.Query{Where: is(id), Count: 1} }

// newcomer is for how long somebody whom a token has made or called to work does not count
// among those at work, when departures are held against their number.
const newcomer = 30 * 24 * time.Hour

// save keeps what the provider says beyond the member's own columns. There is a row for
// everybody of whom a token has said something.
func save(ctx context.Context, tx *store.Tx, id nid.ID, u roster.User, begins bool) error {
	var counts any
	if begins {
		counts = tx.Now().Add(newcomer)
	}
	_, err := tx.Change(ctx, "scim_users", `INSERT INTO scim_users (corp_id, member_id, external_id, given_name, family_name, email, counts_from) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (corp_id, member_id) DO UPDATE SET external_id = excluded.external_id, given_name = excluded.given_name, family_name = excluded.family_name,
		email = excluded.email, counts_from = COALESCE(excluded.counts_from, scim_users.counts_from), deleted_at = NULL RETURNING member_id`,
		tx.Corp(), id, orNull(u.ExternalID), orNull(u.GivenName), orNull(u.FamilyName), orNull(u.Email), counts)
	return err
}

// free demands that nobody else has a user name. The corp's lock keeps two from taking
// it at once.
func free(ctx context.Context, tx *store.Tx, userName string, but nid.ID) error {
	if _, _, err := store.SelectOne(ctx, tx, one, `SELECT id FROM corps WHERE corp_id = $1`+tx.DB().ForNoKeyUpdate(), tx.Corp()); err != nil {
		return err
	}
	_, taken, err := store.SelectOne(ctx, tx, one, `SELECT id FROM members WHERE corp_id = $1 AND archived_at IS NULL AND id IS DISTINCT FROM $2 AND lower(user_id) = lower(CAST($3 AS text)) LIMIT 1`,
		tx.Corp(), but, userName)
	if err == nil && taken {
		err = fault.Clash("userName", "this userName is taken; of somebody who has left it stays, and a person reinstates them", "该 userName 已被使用;已离职成员的 userName 予以保留,须由人员恢复")
	}
	return err
}

// check looks at what the provider says.
func check(in roster.UserChange) error {
	if in.UserName != nil {
		if strings.TrimSpace(*in.UserName) != *in.UserName || *in.UserName == "" {
			return missing("userName")
		}
	}
	if in.Name != nil {
		if problem, ok := name.Check(*in.Name); !ok {
			return fault.New(fault.Invalid, "displayName", problem)
		}
	}
	for field, v := range map[string]*string{"userName": in.UserName, "externalId": in.ExternalID, "emails.value": in.Email, "name.givenName": in.GivenName, "name.familyName": in.FamilyName} {
		if v == nil {
			continue
		}
		if problem, ok := name.CheckText(*v, maxText); !ok {
			return fault.New(fault.Invalid, field, problem)
		}
		if strings.ContainsAny(*v, "\n\t") {
			return fault.Bad(field, "has a line feed or tab", "包含换行或制表符")
		}
	}
	return nil
}

func missing(field string) error {
	return fault.Bad(field, "is required, without spaces around it", "为必填项,且首尾不能有空格")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
