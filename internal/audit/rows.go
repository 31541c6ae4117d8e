package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// This file compares rows that give rights with the newest entries about them. A grant, a
// password or a vote that somebody wrote into the database or a backup past the program is
// one that the log does not know.

// credentialActions change what somebody signs in with. Their entries hold the fingerprint
// of what it came to.
var credentialActions = []access.Action{access.CredentialSet, access.CredentialReset, access.CredentialEnrol, access.CredentialRemove}

// fingerprints puts after.credentials into the entries that change credentials.
func fingerprints(ctx context.Context, tx *store.Tx, entries []Entry) ([]Entry, error) {
	out := slices.Clone(entries)
	for i, e := range out {
		if !slices.Contains(credentialActions, e.Action) || e.Subject.Kind() != nid.Member {
			continue
		}
		all, err := credentials(ctx, tx, tx.Corp(), e.Subject)
		if err != nil {
			return nil, err
		}
		out[i].After = with(e.After, "credentials", all[e.Subject])
	}
	return out, nil
}

// credentials are the fingerprints of what members sign in with, by member; the zero id is
// all members: SHA-256 over login, password hash, and the ids and public keys of passkeys,
// a line each. The password hash is salted, so that nobody can guess by the fingerprint.
func credentials(ctx context.Context, q store.Querier, corp, member nid.ID) (map[nid.ID]string, error) {
	type row struct {
		member, id nid.ID
		text       string
		key        []byte
	}
	of, args := "", []any{corp}
	if !member.IsZero() {
		of, args = ` AND member_id = $2`, append(args, member)
	}
	passwords, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.member, &r.text} },
		`SELECT member_id, login || '`+"\n"+`' || password_hash FROM credentials WHERE corp_id = $1`+of, args...)
	if err != nil {
		return nil, err
	}
	keys, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.member, &r.id, &r.key} },
		`SELECT member_id, id, public_key FROM passkeys WHERE corp_id = $1`+of+` ORDER BY member_id, id`, args...)
	if err != nil {
		return nil, err
	}
	texts := map[nid.ID]*strings.Builder{}
	for _, r := range append(passwords, keys...) {
		if texts[r.member] == nil {
			texts[r.member] = &strings.Builder{}
		}
		if r.id.IsZero() {
			fmt.Fprintln(texts[r.member], r.text)
		} else {
			fmt.Fprintln(texts[r.member], r.id, hex.EncodeToString(r.key))
		}
	}
	out := map[nid.ID]string{}
	for m, text := range texts {
		sum := sha256.Sum256([]byte(text.String()))
		out[m] = hex.EncodeToString(sum[:])
	}
	return out, nil
}

// Unknown are the rows of the actor's corp that give rights and that the log does not
// know, or knows otherwise: grants in force, roles, service tokens, credentials and votes;
// a sentence each.
// The log itself must have been verified.
func Unknown(ctx context.Context, q store.Querier) (found []string, err error) {
	corp := access.From(ctx).Corp
	for _, look := range []func(context.Context, store.Querier, nid.ID) ([]string, error){unknownGrants, unknownRoles, unknownTokens, unknownCredentials, unknownVotes} {
		more, err := look(ctx, q, corp)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// said is an entry about a row.
type said struct {
	index   int64
	action  access.Action
	subject nid.ID
	leaf    []byte
}

// about gives the entries of some actions, oldest first.
func about(ctx context.Context, q store.Querier, corp nid.ID, actions ...access.Action) ([]said, error) {
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = string(a)
	}
	db := store.EngineOf(q)
	return store.Select(ctx, q, func(s *said) []any { return []any{&s.index, &s.action, &s.subject, &s.leaf} },
		`SELECT "index", action, subject_id, leaf FROM audit_entries WHERE corp_id = $1 AND action `+db.InText(2)+` ORDER BY "index"`, corp, db.Texts(texts))
}

func unknownGrants(ctx context.Context, q store.Querier, corp nid.ID) (found []string, err error) {
	entries, err := about(ctx, q, corp, access.GrantCreate, access.GrantRevoke, access.MemberDeactivate)
	if err != nil {
		return nil, err
	}
	newest := map[nid.ID]said{} // by grant, and by member for departures
	for _, e := range entries {
		newest[e.subject] = e
	}
	type grant struct {
		id, member, role, department nid.ID
		expires                      *time.Time
	}
	grants, err := store.Select(ctx, q, func(g *grant) []any { return []any{&g.id, &g.member, &g.role, &g.department, &g.expires} },
		`SELECT id, member_id, role_id, department_id, expires_at FROM grants WHERE corp_id = $1 AND revoked_at IS NULL ORDER BY id`, corp)
	for _, g := range grants {
		var said struct {
			After struct{ Member, Role, Department, ExpiresAt string }
		}
		e, known := newest[g.id]
		if known && json.Unmarshal(e.leaf, &said) != nil {
			known = false
		}
		is := said.After
		expires, department := "", ""
		if g.expires != nil {
			expires = g.expires.UTC().Format(leaf.TimeFormat)
		}
		if !g.department.IsZero() {
			department = g.department.String()
		}
		left, gone := newest[g.member]
		switch {
		case !known:
			found = append(found, fmt.Sprintf("grant %s to %s: the log does not know it", g.id, g.member))
		case e.action == access.GrantRevoke || gone && left.action == access.MemberDeactivate && left.index > e.index:
			found = append(found, fmt.Sprintf("grant %s to %s: by the log it has been revoked", g.id, g.member))
		case is.Member != g.member.String() || is.Role != g.role.String() || is.Department != department || is.ExpiresAt != expires:
			found = append(found, fmt.Sprintf("grant %s to %s: by the log it is another grant (entry %d)", g.id, g.member, e.index))
		}
	}
	return found, err
}

// unknownRoles finds roles with other permissions than were saved, and built-in ones with
// more than this program gives them; one of an older version may have fewer. Those that
// were removed count too, since a grant of one is still a grant. Which role is which
// built-in one, the corp's first entry says.
func unknownRoles(ctx context.Context, q store.Querier, corp nid.ID) (found []string, err error) {
	entries, err := about(ctx, q, corp, access.RoleSave, access.CorpCreate)
	if err != nil {
		return nil, err
	}
	saved, founded := map[nid.ID][]access.Permission{}, map[string]nid.ID{}
	for _, e := range entries {
		var said struct {
			After struct {
				Permissions []access.Permission
				Roles       map[string]nid.ID
			}
		}
		switch {
		case json.Unmarshal(e.leaf, &said) != nil:
		case e.action == access.CorpCreate:
			founded = said.After.Roles
		default:
			saved[e.subject] = said.After.Permissions
		}
	}
	type role struct {
		id          nid.ID
		name        string
		permissions []byte
		builtIn     bool
	}
	roles, err := store.Select(ctx, q, func(r *role) []any { return []any{&r.id, &r.name, &r.permissions, &r.builtIn} },
		`SELECT id, name, permissions, built_in FROM roles WHERE corp_id = $1 ORDER BY id`, corp)
	for _, r := range roles {
		may, known := saved[r.id]
		if r.builtIn {
			for _, b := range access.BuiltInRoles {
				if b.Name == r.name {
					first, said := founded[b.Name]
					may, known = b.Permissions, !said || first == r.id
				}
			}
		}
		var is []access.Permission
		if json.Unmarshal(r.permissions, &is) != nil {
			known = false
		}
		more := slices.ContainsFunc(is, func(p access.Permission) bool { return !slices.Contains(may, p) })
		switch {
		case !known:
			found = append(found, fmt.Sprintf("role %s: the log does not know it", r.id))
		case more || !r.builtIn && len(is) != len(may):
			found = append(found, fmt.Sprintf("role %s: by the log it has other permissions", r.id))
		}
	}
	return found, err
}

// unknownTokens finds service tokens that nobody made, or that may do something else, or
// longer, than they were made for.
func unknownTokens(ctx context.Context, q store.Querier, corp nid.ID) (found []string, err error) {
	entries, err := about(ctx, q, corp, access.TokenCreate, access.TokenRevoke)
	if err != nil {
		return nil, err
	}
	newest := map[nid.ID]said{}
	for _, e := range entries {
		newest[e.subject] = e
	}
	type token struct {
		id, department, maker nid.ID
		permissions           []byte
		expires               time.Time
	}
	tokens, err := store.Select(ctx, q, func(t *token) []any { return []any{&t.id, &t.department, &t.maker, &t.permissions, &t.expires} },
		`SELECT id, department_id, created_by_id, permissions, expires_at FROM service_tokens WHERE corp_id = $1 AND revoked_at IS NULL ORDER BY id`, corp)
	for _, t := range tokens {
		var said struct {
			Actor struct{ Kind string }
			After struct {
				Permissions []string
				ExpiresAt   string
				Department  string
			}
		}
		var may []string
		department := ""
		if !t.department.IsZero() {
			department = t.department.String()
		}
		e, known := newest[t.id]
		if known && (json.Unmarshal(e.leaf, &said) != nil || json.Unmarshal(t.permissions, &may) != nil) {
			known = false
		}
		slices.Sort(may)
		slices.Sort(said.After.Permissions)
		switch {
		case !known:
			found = append(found, fmt.Sprintf("service token %s: the log does not know it", t.id))
		case e.action == access.TokenRevoke:
			found = append(found, fmt.Sprintf("service token %s: by the log it has been revoked", t.id))
		case !slices.Equal(may, said.After.Permissions) || said.After.Department != department || said.After.ExpiresAt != t.expires.UTC().Format(leaf.TimeFormat) ||
			t.maker.IsZero() && said.Actor.Kind == "MEMBER": // without a maker it keeps its permissions whatever becomes of them
			found = append(found, fmt.Sprintf("service token %s: by the log it is another token (entry %d)", t.id, e.index))
		}
	}
	return found, err
}

func unknownCredentials(ctx context.Context, q store.Querier, corp nid.ID) (found []string, err error) {
	entries, err := about(ctx, q, corp, credentialActions...)
	if err != nil {
		return nil, err
	}
	newest := map[nid.ID]said{}
	for _, e := range entries {
		newest[e.subject] = e
	}
	all, err := credentials(ctx, q, corp, nid.ID{})
	for member, is := range all {
		var said struct{ After struct{ Credentials string } }
		e, known := newest[member]
		switch {
		case !known || json.Unmarshal(e.leaf, &said) != nil:
			found = append(found, fmt.Sprintf("password and passkeys of %s: the log does not know them", member))
		case said.After.Credentials != is:
			found = append(found, fmt.Sprintf("password and passkeys of %s: by the log they are others (entry %d)", member, e.index))
		}
	}
	slices.Sort(found)
	return found, err
}

func unknownVotes(ctx context.Context, q store.Querier, corp nid.ID) (found []string, err error) {
	type vote struct {
		id, voter, handover nid.ID
		decision, digest    string
		leaf                []byte
	}
	votes, err := store.Select(ctx, q, func(v *vote) []any { return []any{&v.id, &v.voter, &v.handover, &v.decision, &v.digest, &v.leaf} }, `
		SELECT a.id, a.approver_id, a.handover_id, a.decision, a.digest, e.leaf FROM approvals AS a
		LEFT JOIN audit_entries AS e ON e.corp_id = $1 AND e.handover_id = a.handover_id AND e.actor_id = a.approver_id AND e.at = a.decided_at
			AND e.action IN ('`+string(access.HandoverApprove)+`', '`+string(access.HandoverReject)+`')
		WHERE a.corp_id = $1 ORDER BY a.id`, corp)
	known := map[nid.ID]bool{}
	for _, v := range votes {
		var said struct {
			After struct{ Decision, Digest string }
		}
		if v.leaf != nil && json.Unmarshal(v.leaf, &said) == nil && said.After.Decision == v.decision && said.After.Digest == v.digest {
			known[v.id] = true
		}
	}
	for _, v := range votes {
		if !known[v.id] {
			known[v.id] = true // once
			found = append(found, fmt.Sprintf("vote %s of %s on %s: the log does not know it", v.id, v.voter, v.handover))
		}
	}
	return found, err
}
