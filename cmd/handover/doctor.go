package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
)

type doctorCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// The doctor's grades.
const (
	well   = "ok"
	warn   = "warn"
	broken = "FAIL"
)

// finding is one thing the doctor looked at.
type finding struct {
	Grade string `json:"grade"`
	Text  string `json:"text"`
	// Cure is what to do; empty where nothing needs to be done.
	Cure string `json:"cure,omitempty"`
}

// doctor looks at an installation and never changes it.
type doctor struct {
	*env
	db   *store.DB
	keys []secret.Key // none where there is no usable key
	list []finding
}

func (d *doctor) find(grade, cure, text string, args ...any) {
	d.list = append(d.list, finding{grade, fmt.Sprintf(text, args...), cure})
}

// Run looks at everything it can and says what to do. Its exit code is 1 where
// something is broken; a warning alone is 0.
func (c *doctorCmd) Run(e *env) error {
	d := &doctor{env: e}
	d.secretKey()
	d.folders()
	url := e.config.Database()
	db, err := e.existing(url.Reveal())
	if err != nil {
		d.find(broken, "check --database-url, and that the server is up; `handover migrate up` makes an SQLite file", "database %s: %s", url, e.sentence(err))
	} else {
		defer func() { _ = db.Close() }()
		d.db = db
		d.database()
	}
	sick := false
	for _, f := range d.list {
		sick = sick || f.Grade == broken
	}
	if c.JSON {
		err = e.json(map[string]any{"ok": !sick, "findings": d.list})
	} else {
		err = d.print()
	}
	if err == nil && sick {
		err = errors.New("something is broken; the lines above say what to do")
	}
	return err
}

func (d *doctor) print() error {
	var b strings.Builder
	for _, f := range d.list {
		fmt.Fprintf(&b, "%-4s  %s\n", f.Grade, f.Text)
		if f.Cure != "" {
			fmt.Fprintf(&b, "      → %s\n", f.Cure)
		}
	}
	_, err := fmt.Fprint(d.stdout, b.String())
	return err
}

// secretKey is about the key alone. A key that the settings refuse has stopped the
// program before this.
func (d *doctor) secretKey() {
	key, err := d.config.Key()
	if err == nil {
		d.keys, err = secret.ParseKeys("secret-key", string(key))
	}
	if err != nil {
		d.find(broken, "give one with --secret-key-file or HANDOVER_SECRET_KEY, and keep a copy elsewhere", "secret key: %s", d.sentence(err))
		return
	}
	d.find(well, "", "secret key: present and long enough")
}

// Below these a disk is about to be full, or is for our purposes.
const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
)

// folders are the data folder's and the SQLite file's permissions and space.
func (d *doctor) folders() {
	folder := d.config.Data
	if file, ok := strings.CutPrefix(d.config.Database().Reveal(), "sqlite:"); ok {
		folder = filepath.Dir(filepath.FromSlash(file))
		if info, err := os.Stat(filepath.FromSlash(file)); err == nil && info.Mode().Perm()&0o077 != 0 {
			d.find(warn, "chmod 600 "+file, "database file: others on this machine may read it")
		}
	}
	if info, err := os.Stat(folder); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.find(warn, "chmod 700 "+folder, "data folder: others on this machine may look into it")
	}
	if bytes, known := free(folder); known { // else not there yet, or a system that we do not ask
		d.space(folder, bytes)
	}
}

func (d *doctor) space(folder string, bytes uint64) {
	switch {
	case bytes < noSpace:
		d.find(broken, "make room: nothing can be written once the disk is full", "disk: %d MB left in %s", bytes>>20, folder)
	case bytes < littleSpace:
		d.find(warn, "make room before it is full", "disk: %d MB left in %s", bytes>>20, folder)
	default:
		d.find(well, "", "disk: %d GB left", bytes>>30)
	}
}

func (d *doctor) database() {
	facts, err := d.db.Facts(d.ctx)
	if err != nil {
		d.find(broken, "check that it is up and that the role may connect", "database: %s", d.sentence(err))
		return
	}
	d.find(well, "", "database: %s", facts.Version)
	if d.db.Postgres() {
		d.postgres(facts)
	}
	if d.schema() {
		d.corps()
	}
}

// schema reports whether there is anything to look at.
func (d *doctor) schema() bool {
	if err := d.db.Ahead(d.ctx); errors.Is(err, store.ErrAhead) {
		d.find(broken, "install the version that was here last", "schema: %s", err)
		return false
	}
	steps, err := d.db.Migrations(d.ctx)
	if err != nil {
		d.find(broken, "handover migrate up", "schema: there is none, or this role cannot tell")
		return false
	}
	missing := 0
	for _, s := range steps {
		if !s.Applied {
			missing++
		}
	}
	if missing > 0 {
		d.find(broken, "handover migrate up", "schema: migrations missing: %d", missing)
		return false
	}
	d.find(well, "", "schema: up to date")
	return true
}

// postgres is what only a server can have wrong.
func (d *doctor) postgres(facts store.Facts) {
	if facts.Encoding != "UTF8" {
		d.find(broken, "make the database with ENCODING 'UTF8' LOCALE 'C.UTF-8' (docs/operations.md) and restore into it",
			"database: encoding %s; names cannot be cut into characters and searched", facts.Encoding)
	}
	if u, err := url.Parse(d.config.Database().Reveal()); err == nil {
		d.encryption(u)
	}
	if s := facts.Skew; s.Abs() > time.Minute {
		d.find(warn, "run a time service on both machines", "clock: the database's differs by %s", s.Round(time.Second))
	} else {
		d.find(well, "", "clock: with the database's")
	}
	d.durable()
	role, err := d.db.Role(d.ctx)
	switch {
	case err != nil:
		d.find(broken, "look into the server's log", "role: %s", d.sentence(err))
	case role.Super || role.Bypass:
		d.find(d.loose(), "run as a role with NOSUPERUSER NOBYPASSRLS that owns nothing (docs/operations.md)",
			"role %s: row-level security does not bind it", role.Name)
	case role.Owner:
		grade := warn
		if corps, err := d.db.Corps(d.ctx); err == nil && role.Risky(len(corps)) { // before the first migration there are none
			grade = d.loose()
		}
		d.find(grade, "run as another role; keep this one for --migrate-database-url",
			"role %s: it owns the tables and could switch row-level security off", role.Name)
	default:
		d.find(well, "", "role %s: bound by row-level security", role.Name)
	}
}

// loose is the grade of a role as which serve starts with --loose-role only.
func (d *doctor) loose() string {
	if d.config.LooseRole {
		return warn
	}
	return broken
}

// encryption is about the way to a server on another machine.
func (d *doctor) encryption(u *url.URL) {
	host := u.Hostname()
	if host == "" {
		host = u.Query().Get("host")
	}
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback() {
		return
	}
	const cure = "write sslmode=verify-full into the URL, and sslrootcert=FILE where the certificate is of an authority of your own"
	switch mode := u.Query().Get("sslmode"); mode {
	case "verify-full":
		d.find(well, "", "connection: encrypted, and the server proves its name")
	case "verify-ca", "require":
		d.find(warn, cure, "connection: encrypted, but sslmode=%s does not check the server's name", mode)
	default:
		d.find(warn, cure, "connection: sslmode=%s lets customers' names and passwords cross the network in clear", mode)
	}
}
