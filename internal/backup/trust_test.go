package backup_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// logged is a corp whose log knows every right: two grants, a password, a vote.
type logged struct {
	*testcorp.Corp
	approver nid.ID
	sealer   *audit.Sealer
}

func newLogged(t *testing.T, db *store.DB, clock *storetest.Clock) *logged {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	l := &logged{Corp: c, approver: c.Member("approver", c.Root), sealer: &audit.Sealer{DB: db, Log: c.Log, Keys: signing}}
	c.Grant(l.approver, access.Approver.Name, nid.ID{})
	type grant struct{ id, member, role nid.ID }
	ok(t, db.Tx(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		all, err := store.Select(ctx, tx, func(g *grant) []any { return []any{&g.id, &g.member, &g.role} }, `SELECT id, member_id, role_id FROM grants WHERE corp_id = $1`, c.ID)
		var entries []audit.Entry
		for _, g := range all {
			entries = append(entries, audit.Entry{Action: access.GrantCreate, Subject: g.id, After: map[string]any{"member": g.member, "role": g.role}})
		}
		if err != nil {
			return err
		}
		return c.Log.Append(ctx, tx, entries...)
	}))
	box, err := secret.NewBox(secret.ForTOTP, secret.DemoKey())
	ok(t, err)
	ok(t, (&identity.Service{DB: db, Log: c.Log, TOTP: box}).SetPassword(store.System(t.Context(), c.ID, "test"), c.Admin, "root", "correct horse battery"))
	lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
	c.Contact("important", "KEY", lina)
	c.Depart(lina)
	s, admin := &handover.Service{DB: db, Log: c.Log}, c.Verified(c.Admin)
	id, err := s.Create(admin, handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}}, nil, nil, "k")
	ok(t, err)
	ok(t, s.Submit(admin, id, 1))
	_, err = s.Approve(c.Verified(l.approver), id, testcorp.Value[string](c, `SELECT digest FROM handovers WHERE id = $1`, id), nil)
	ok(t, err)
	_, err = l.sealer.Work(t.Context(), c.ID)
	ok(t, err)
	return l
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// forge changes rows past the log, as somebody does who may do anything to the database.
func (l *logged) forge(t *testing.T, table, query string, args ...any) {
	t.Helper()
	ok(t, l.DB.Tx(store.System(t.Context(), l.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, table, query, args...)
		tx.Cover(ids...)
		return err
	}))
}

// token makes a service token as somebody does in the program.
func (l *logged) token(t *testing.T) {
	t.Helper()
	_, _, err := (&identity.Service{DB: l.DB, Log: l.Log}).CreateToken(l.Verified(l.Admin), "bot", []access.Permission{access.ViewStatistics}, nil, l.DB.Now().AddDate(0, 0, 1))
	ok(t, err)
	if found := l.unknown(t); len(found) > 0 {
		t.Fatalf("in order, and %q", found)
	}
}

func (l *logged) unknown(t *testing.T) (found []string) {
	t.Helper()
	ok(t, l.DB.View(store.System(t.Context(), l.ID, "test"), func(ctx context.Context, q *store.Read) (err error) {
		found, err = audit.Unknown(ctx, q)
		return err
	}))
	return found
}

func (l *logged) backup(t *testing.T, keys checkpoint.Keys, to age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := backup.Write(t.Context(), l.DB, l.ID, &b, []age.Recipient{to}, keys, nil)
	ok(t, err)
	return b.Bytes()
}

func otherKeys(b byte) checkpoint.Keys {
	return checkpoint.Keys{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))}
}

func TestBackupsAreSigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		l := newLogged(t, db, clock)
		k := newKey(t)
		back := empty[map[bool]string{true: "postgres", false: "sqlite"}[db.Postgres()]]
		put := func(file []byte, trust ...string) (backup.Summary, error) {
			return backup.Restore(t.Context(), back(t, clock), bytes.NewReader(file), backup.Options{Identities: []age.Identity{k}, Log: l.Log, Trust: trust})
		}
		file := l.backup(t, signing, k.Recipient())
		key := signing.Public(l.ID)
		if got, err := put(file, key); err != nil || !got.Trusted || got.SignedBy != key || len(got.Unknown) > 0 {
			t.Errorf("signed: %+v, %v", got, err)
		}
		if got, err := put(file); err != nil || got.Trusted || got.SignedBy != key {
			t.Errorf("without a trusted key: %+v, %v", got, err)
		}
		if _, err := put(file, otherKeys(9).Public(l.ID)); err == nil {
			t.Error("restored with a key that did not sign it")
		}
		// Not signed, signed by somebody else, or signed and then changed.
		all := lines(t, file, k)
		moved := slices.Clone(all)
		header := strings.Replace(moved[0], `"at":"2026`, `"at":"2025`, 1)
		if header == moved[0] {
			t.Fatal(moved[0])
		}
		moved[0] = header
		bare := append(slices.Clone(all[:len(all)-1]), `{"note":""}`+"\n")
		for name, file := range map[string][]byte{"not signed": forge(t, bare, k), "of somebody else": l.backup(t, otherKeys(9), k.Recipient()), "changed": forge(t, moved, k)} {
			if got, err := put(file); err != nil || got.SignedBy != "" || got.Trusted {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if _, err := put(file, key); !errors.Is(err, backup.ErrUntrusted) {
				t.Errorf("%s, with a trusted key: %v", name, err)
			}
		}
		// Whoever knows the first key knows the one that it introduced.
		l.sealer.Keys = append(otherKeys(2), signing...)
		_, err := l.sealer.Work(t.Context(), l.ID)
		ok(t, err)
		if got, err := put(l.backup(t, otherKeys(2), k.Recipient()), key); err != nil || !got.Trusted || got.SignedBy != otherKeys(2).Public(l.ID) {
			t.Errorf("a newer key: %+v, %v", got, err)
		}
	})
}

// Rows that give rights and that the log does not know are named, and a trusted backup of
// them is refused.
func TestForgedRightsAreNamed(t *testing.T) {
	for name, forge := range map[string]struct {
		do   func(t *testing.T, l *logged)
		says string
	}{
		"a grant": {func(t *testing.T, l *logged) {
			l.Grant(l.Member("mallory", l.Root), access.Administrator.Name, nid.ID{})
		}, "the log does not know it"},
		"a grant of another role": {func(t *testing.T, l *logged) {
			l.forge(t, "grants", `UPDATE grants SET role_id = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, l.ID, l.approver, l.Roles[access.Administrator.Name])
		}, "another grant"},
		"a grant of another member": {func(t *testing.T, l *logged) {
			l.forge(t, "grants", `UPDATE grants SET member_id = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, l.ID, l.approver, l.Member("mallory", l.Root))
		}, "another grant"},
		"a longer grant": {func(t *testing.T, l *logged) {
			l.forge(t, "grants", `UPDATE grants SET expires_at = $3 WHERE corp_id = $1 AND member_id = $2 RETURNING id`, l.ID, l.approver, l.DB.Now())
		}, "another grant"},
		"a revoked grant": {func(t *testing.T, l *logged) {
			id := testcorp.Value[nid.ID](l.Corp, `SELECT id FROM grants WHERE corp_id = $1 AND member_id = $2`, l.ID, l.approver)
			ok(t, l.DB.Tx(store.System(t.Context(), l.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				return l.Log.Append(ctx, tx, audit.Entry{Action: access.GrantRevoke, Subject: id})
			}))
		}, "it has been revoked"},
		"a grant of somebody who was deactivated": {func(t *testing.T, l *logged) {
			ok(t, l.DB.Tx(store.System(t.Context(), l.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
				return l.Log.Append(ctx, tx, audit.Entry{Action: access.MemberDeactivate, Subject: l.approver})
			}))
		}, "it has been revoked"},
		"a built-in role with more": {func(t *testing.T, l *logged) {
			l.forge(t, "roles", `UPDATE roles SET permissions = $3 WHERE corp_id = $1 AND id = $2 RETURNING id`, l.ID, l.Roles[access.Approver.Name], `["APPROVE_HANDOVER","MANAGE_ROLES"]`)
		}, "other permissions"},
		"a removed role with more": {func(t *testing.T, l *logged) {
			l.forge(t, "roles", `UPDATE roles SET permissions = $3, archived_at = $4 WHERE corp_id = $1 AND id = $2 RETURNING id`, l.ID, l.Roles[access.Approver.Name],
				`["APPROVE_HANDOVER","MANAGE_ROLES"]`, l.DB.Now())
		}, "other permissions"},
		"another built-in role": {func(t *testing.T, l *logged) {
			l.forge(t, "roles", `DELETE FROM roles WHERE corp_id = $1 AND id = $2 RETURNING id`, l.ID, l.Roles[access.Reporter.Name])
			l.forge(t, "roles", `UPDATE roles SET name = 'reporter', permissions = '["VIEW_STATISTICS"]' WHERE corp_id = $1 AND id = $2 RETURNING id`, l.ID, l.Roles[access.Staff.Name])
		}, "role rol_"},
		"a service token": {func(t *testing.T, l *logged) {
			l.forge(t, "service_tokens", `INSERT INTO service_tokens (id, corp_id, created_at, name, permissions, expires_at, secret_hash)
				VALUES ($2, $1, $3, 'x', '["READ_MESSAGES"]', $3, $4) RETURNING id`, l.ID, nid.New(nid.Token), l.DB.Now().AddDate(1, 0, 0), []byte("01234567890123456789012345678901"))
		}, "the log does not know it"},
		"a service token that may more": {func(t *testing.T, l *logged) {
			l.token(t)
			l.forge(t, "service_tokens", `UPDATE service_tokens SET permissions = '["READ_MESSAGES"]' WHERE corp_id = $1 RETURNING id`, l.ID)
		}, "another token"},
		"a service token without its maker": {func(t *testing.T, l *logged) {
			l.token(t)
			l.forge(t, "service_tokens", `UPDATE service_tokens SET created_by_id = NULL WHERE corp_id = $1 RETURNING id`, l.ID)
		}, "another token"},
		"a role": {func(t *testing.T, l *logged) { l.Role("mine", access.ManageRoles) }, "role rol_"},
		"a password": {func(t *testing.T, l *logged) {
			l.forge(t, "credentials", `UPDATE credentials SET password_hash = 'x' WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, l.ID, l.Admin)
		}, "by the log they are others"},
		"a login": {func(t *testing.T, l *logged) {
			l.forge(t, "credentials", `UPDATE credentials SET login = 'x' WHERE corp_id = $1 AND member_id = $2 RETURNING member_id`, l.ID, l.Admin)
		}, "by the log they are others"},
		"a password of nobody": {func(t *testing.T, l *logged) {
			l.forge(t, "credentials", `INSERT INTO credentials (corp_id, member_id, login, password_hash, updated_at) VALUES ($1, $2, 'mallory', 'x', $3) RETURNING member_id`, l.ID, l.approver, l.DB.Now())
		}, "the log does not know them"},
		"a passkey": {func(t *testing.T, l *logged) {
			l.forge(t, "passkeys", `INSERT INTO passkeys (corp_id, id, member_id, credential_id, public_key, flags, sign_count, name, created_at)
				VALUES ($1, $2, $3, $4, $4, 0, 0, 'x', $5) RETURNING member_id`, l.ID, nid.New(nid.Passkey), l.Admin, []byte("key"), l.DB.Now())
		}, "by the log they are others"},
		"a vote for another plan": {func(t *testing.T, l *logged) {
			l.forge(t, "approvals", `UPDATE approvals SET digest = 'x' WHERE corp_id = $1 RETURNING id`, l.ID)
		}, "vote apr_"},
		"a vote of somebody else": {func(t *testing.T, l *logged) {
			l.forge(t, "approvals", `UPDATE approvals SET approver_id = $2 WHERE corp_id = $1 RETURNING id`, l.ID, l.Admin)
		}, "vote apr_"},
		"a vote turned": {func(t *testing.T, l *logged) {
			l.forge(t, "approvals", `UPDATE approvals SET decision = 'REJECTED' WHERE corp_id = $1 RETURNING id`, l.ID)
		}, "vote apr_"},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
				l := newLogged(t, db, clock)
				if found := l.unknown(t); len(found) > 0 {
					t.Fatalf("in order, and %q", found)
				}
				forge.do(t, l)
				if found := l.unknown(t); len(found) != 1 || !strings.Contains(found[0], forge.says) {
					t.Errorf("want one with %q, got %q", forge.says, found)
				}
				if db.Postgres() {
					return // a backup says nothing of the engine
				}
				k := newKey(t)
				file := l.backup(t, signing, k.Recipient())
				for _, trust := range [][]string{nil, {signing.Public(l.ID)}} {
					got, err := backup.Restore(t.Context(), storetest.SQLite(t, clock), bytes.NewReader(file), backup.Options{Identities: []age.Identity{k}, Log: l.Log, Trust: trust})
					if errors.Is(err, backup.ErrUntrusted) != (trust != nil) || len(got.Unknown) != 1 {
						t.Errorf("restored with %q: %q, %v", trust, got.Unknown, err)
					}
				}
			})
		})
	}
}

// Another secret key, or another key of the backup, is refused, and nothing is left.
func TestOtherKeysLeaveNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		l := newLogged(t, db, clock)
		k := newKey(t)
		file := l.backup(t, signing, k.Recipient())
		key, err := secret.ParseKeys("secret-key", secret.NewKey())
		ok(t, err)
		other, err := secret.NewBox(secret.ForSubjects, key...)
		ok(t, err)
		if _, err := backup.Inspect(bytes.NewReader(file), []age.Identity{k}, other); !errors.Is(err, backup.ErrSecret) {
			t.Errorf("another secret key: %v", err)
		}
		if _, err := backup.Inspect(bytes.NewReader(file), []age.Identity{newKey(t)}, other); !errors.Is(err, backup.ErrKey) {
			t.Errorf("another key: %v", err)
		}
		back := empty[map[bool]string{true: "postgres", false: "sqlite"}[db.Postgres()]](t, clock)
		// A header that hides which secret key it was does not help.
		all := lines(t, file, k)
		at := strings.Index(all[0], `,"sealed"`)
		all[0] = all[0][:at] + "}\n"
		if _, err := backup.Restore(t.Context(), back, bytes.NewReader(forge(t, all, k)), backup.Options{Identities: []age.Identity{k}, Log: audit.New(other)}); !errors.Is(err, backup.ErrSecret) {
			t.Errorf("another secret key: %v", err)
		}
		if corps, err := back.Corps(t.Context()); err != nil || len(corps) != 0 {
			t.Errorf("left behind: %v, %v", corps, err)
		}
	})
}
