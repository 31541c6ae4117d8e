package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// existing opens a database, and never makes an SQLite file that is not there.
func (e *env) existing(url string) (*store.DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if _, err := os.Stat(filepath.FromSlash(path)); err != nil {
			return nil, fmt.Errorf("there is no database at %s", path)
		}
	}
	return store.Open(e.ctx, store.Options{URL: url})
}

type doctorCmd struct{}

// finding is one line of the doctor's.
type finding struct {
	grade string // ok, warn or FAIL
	text  string
	cure  string
}

// Run looks at everything it can and says what to do. Its exit code is 1 where
// something is broken; a warning alone is 0.
func (*doctorCmd) Run(e *env) error {
	var list []finding
	add := func(grade, text, cure string) { list = append(list, finding{grade, text, cure}) }
	if _, err := e.config.Key(); err != nil {
		add("FAIL", "secret key: "+e.sentence(err), "give it with --secret-key-file or HANDOVER_SECRET_KEY")
	} else {
		add("ok", "secret key: present and long enough", "")
	}
	url := e.config.Database()
	db, err := e.existing(url.Reveal())
	if err != nil {
		add("FAIL", fmt.Sprintf("database %s: %s", url, e.sentence(err)), "check --database-url; `handover migrate up` makes an SQLite file")
	} else {
		defer func() { _ = db.Close() }()
		examine(e.ctx, db, add)
	}
	if info, err := os.Stat(e.config.Data); err == nil && info.Mode().Perm()&0o077 != 0 {
		add("warn", "data folder: others on this machine may look into it", "chmod 700 "+e.config.Data)
	}
	broken := false
	for _, f := range list {
		fmt.Fprintf(e.stdout, "%-4s  %s\n", f.grade, f.text)
		if f.cure != "" {
			fmt.Fprintf(e.stdout, "      → %s\n", f.cure)
		}
		broken = broken || f.grade == "FAIL"
	}
	if broken {
		return &said{errors.New("something is broken")}
	}
	return nil
}

func examine(ctx context.Context, db *store.DB, add func(grade, text, cure string)) {
	facts, err := db.Facts(ctx)
	if err != nil {
		add("FAIL", "database: "+err.Error(), "check that it is up and that the role may connect")
		return
	}
	add("ok", "database: "+facts.Version, "")
	if db.Postgres() {
		if facts.Encoding != "UTF8" {
			add("FAIL", fmt.Sprintf("database: encoding %s; names cannot be cut into characters and searched", facts.Encoding),
				"make the database with ENCODING 'UTF8' LOCALE 'C.UTF-8' (docs/operations.md) and restore into it")
		}
		if s := facts.Skew; s > time.Minute || s < -time.Minute {
			add("warn", fmt.Sprintf("clock: the database's differs by %s", s.Round(time.Second)), "run a time service on both machines")
		}
		role, err := db.Role(ctx)
		switch {
		case err != nil:
			add("FAIL", "role: "+err.Error(), "")
		case role.Super || role.Bypass:
			add("warn", "role "+role.Name+": row-level security does not bind it", "run as a role with NOSUPERUSER NOBYPASSRLS that owns nothing")
		case role.Owner:
			add("warn", "role "+role.Name+": it owns the tables and could switch row-level security off", "run as another role; keep this one for --migrate-database-url")
		default:
			add("ok", "role "+role.Name+": bound by row-level security", "")
		}
	}
	if err := db.Fits(ctx); err != nil {
		add("FAIL", "schema: migrations are missing", "handover migrate up")
		return
	}
	add("ok", "schema: up to date", "")
	corps, err := db.Corps(ctx)
	if err != nil {
		add("FAIL", "corps: "+err.Error(), "")
		return
	}
	if len(corps) == 0 {
		add("warn", "there is no corp yet", "handover admin create --corp NAME --login L")
	}
	if len(corps) > 1 && !db.Postgres() {
		add("warn", "several corps in one SQLite file: nothing but the program keeps them apart", "use PostgreSQL")
	}
	for _, c := range corps {
		if err := examineCorp(ctx, db, c, add); err != nil {
			add("FAIL", "corp "+c.String()+": "+err.Error(), "")
		}
	}
}

func examineCorp(ctx context.Context, db *store.DB, corp nid.ID, add func(grade, text, cure string)) error {
	return db.View(store.System(ctx, corp, "doctor"), func(ctx context.Context, r *store.Read) error {
		type facts struct {
			name     string
			fallback nid.ID
		}
		f, _, err := store.SelectOne(ctx, r, func(f *facts) []any { return []any{&f.name, &f.fallback} }, `SELECT name, fallback_id FROM corps WHERE id = $1`, corp)
		if err != nil {
			return err
		}
		if f.fallback.IsZero() {
			add("warn", "corp "+f.name+": nobody answers for what has nobody else", "handover admin create --corp "+f.name+" --login L")
		}
		roles, err := r.Ent().Role.Query().All(ctx)
		if err != nil {
			return err
		}
		var ids []nid.ID
		for _, role := range roles {
			for _, p := range role.Permissions {
				if p == access.ApproveHandover {
					ids = append(ids, role.ID)
				}
			}
		}
		n, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} }, `SELECT count(DISTINCT g.member_id) FROM grants AS g
			JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id AND m.answers
			JOIN credentials AS c ON c.corp_id = g.corp_id AND c.member_id = g.member_id
			WHERE g.corp_id = $1 AND g.revoked_at IS NULL AND g.role_id `+db.In(2), corp, db.IDs(ids))
		if err != nil {
			return err
		}
		if n < 2 {
			add("warn", fmt.Sprintf("corp %s: %d people could approve a handover; the requester never counts", f.name, n), "give the role approver to somebody else who can sign in")
		} else {
			add("ok", fmt.Sprintf("corp %s: %d people could approve a handover", f.name, n), "")
		}
		return nil
	})
}
