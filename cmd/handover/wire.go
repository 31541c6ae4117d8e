package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/openhandover/openhandover/graph"
	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/datapolicy"
	"github.com/openhandover/openhandover/internal/department"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/rule"
	corpsetting "github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/web"
	"github.com/openhandover/openhandover/internal/webhook"
)

// program is everything, joined.
type program struct {
	db     *store.DB
	log    *audit.Log
	reader *audit.Reader
	use    graph.Cases
	demo   bool
}

// setting is what join needs beside the configuration.
type setting struct {
	url   string
	keys  []secret.Key
	demo  bool
	clock func() time.Time
}

// keys are the configured secret keys.
func (e *env) keys() ([]secret.Key, error) {
	key, err := e.config.Key()
	if err != nil {
		return nil, err
	}
	return secret.ParseKeys("secret-key", string(key))
}

// open joins the program over the configured database, which must fit and go on from what
// was signed.
func (e *env) open() (*program, error) { return e.willing(e.look()) }

// look is open for what writes nothing, and for what decides about an older database.
func (e *env) look() (*program, error) {
	keys, err := e.keys()
	if err != nil {
		return nil, err
	}
	p, err := e.join(setting{url: e.config.Database().Reveal(), keys: keys})
	if err != nil {
		return nil, err
	}
	if err := e.fit(p.db); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (e *env) join(s setting) (*program, error) {
	subjects, err := secret.NewBox(secret.ForSubjects, s.keys...)
	if err != nil {
		return nil, err
	}
	totp, err := secret.NewBox(secret.ForTOTP, s.keys...)
	if err != nil {
		return nil, err
	}
	hooks, err := secret.NewBox(secret.ForWebhooks, s.keys...)
	if err != nil {
		return nil, err
	}
	clients, err := secret.NewBox(secret.ForProviders, s.keys...)
	if err != nil {
		return nil, err
	}
	links, err := secret.NewSigner(secret.ForDownloads, s.keys...)
	if err != nil {
		return nil, err
	}
	devices, err := secret.NewSigner(secret.ForDevices, s.keys...)
	if err != nil {
		return nil, err
	}
	ceremonies, err := secret.NewBox(secret.ForCeremonies, s.keys...)
	if err != nil {
		return nil, err
	}
	var passkeys *webauthn.WebAuthn
	if domain, origins := e.config.Passkeys(s.demo); domain != "" {
		if passkeys, err = identity.RelyingParty("OpenHandover", domain, origins); err != nil {
			return nil, fmt.Errorf("--passkey-domain: %w", err)
		}
	}
	if err := private(s.url); err != nil {
		return nil, err
	}
	db, err := store.Open(e.ctx, store.Options{URL: s.url, StatementCache: e.config.StatementCache, Clock: s.clock})
	if err != nil {
		return nil, err
	}
	log := audit.New(subjects)
	near := e.config.PrivateWebhooks
	reader := audit.NewReader(subjects)
	who := &identity.Service{DB: db, Log: log, TOTP: totp, Demo: s.demo, Passkeys: passkeys, Ceremonies: ceremonies, Devices: devices}
	nearby := e.config.PrivateProviders
	return &program{db: db, log: log, reader: reader, demo: s.demo, use: graph.Cases{
		Identity: who,
		SSO: &sso.Service{DB: db, Log: log, Identity: who, Box: clients, Ceremonies: ceremonies, Client: outbound.NewClient(nearby), AllowPrivate: nearby,
			Public: e.public(s.demo), Origins: e.config.AllowOrigin},
		Grant:      &grant.Service{DB: db, Log: log},
		Rule:       &rule.Service{DB: db, Log: log},
		Member:     &member.Service{DB: db, Log: log},
		Contact:    &contact.Service{DB: db, Log: log},
		Group:      &group.Service{DB: db, Log: log},
		Handover:   &handover.Service{DB: db, Log: log},
		Webhook:    &webhook.Service{DB: db, Log: log, Box: hooks, Client: outbound.NewClient(near), AllowPrivate: near},
		Approval:   &approval.Service{DB: db, Log: log},
		Setting:    &corpsetting.Service{DB: db, Log: log},
		Leak:       &leak.Service{DB: db, Log: log},
		Notice:     &notice.Service{DB: db, Log: log},
		Department: &department.Service{DB: db, Log: log},
		Export:     &export.Service{DB: db, Log: log, Reader: reader, Links: links, Folder: filepath.Join(e.config.Data, "exports")},
		Review:     &review.Service{DB: db, Log: log},
		DataPolicy: &datapolicy.Service{DB: db, Log: log},
	}}, nil
}

// public is where browsers reach the server; the demo's are on this machine.
func (e *env) public(demo bool) string {
	if demo && e.config.PublicURL == "" {
		return "http://" + e.config.Listen
	}
	return e.config.PublicURL
}

func (p *program) close() { _ = p.db.Close() }

// private makes an SQLite file that is not there yet one that only its owner reads.
func private(url string) error {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return nil
	}
	path = filepath.FromSlash(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names it
	if err != nil {
		return err
	}
	store.SyncFolder(filepath.Dir(path)) // SQLite syncs what is in the file, not that it is there
	return f.Close()
}

// fit makes sure of the schema: an SQLite file is migrated at once, PostgreSQL
// only where that is asked for, and as its owner.
func (e *env) fit(db *store.DB) error {
	if !db.Postgres() {
		return e.migrate(db, nil)
	}
	if e.config.Migrate {
		owner, err := store.Open(e.ctx, store.Options{URL: unhurried(e.config.MigrationDatabase().Reveal())})
		if err != nil {
			return err
		}
		if err = errors.Join(e.migrate(owner, func(name string) { slog.InfoContext(e.ctx, "migrated", "step", name) }), owner.Close()); err != nil {
			return err
		}
	}
	if err := db.Ahead(e.ctx); err != nil {
		return err
	}
	return db.Fits(e.ctx)
}

// unhurried gives a migration the time it needs: building an index on a large table
// takes longer than any statement of a request may. It still waits for locks only as
// long as they do, so that nobody queues behind it.
func unhurried(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "sqlite" || u.Query().Has("statement_timeout") {
		return raw
	}
	q := u.Query()
	q.Set("statement_timeout", "0")
	u.RawQuery = q.Encode()
	return u.String()
}

// migrate brings a database up to date, unless a newer program has been there. told
// hears of each step that was taken; nil hears nothing.
func (e *env) migrate(db *store.DB, told func(name string)) error {
	if err := db.Ahead(e.ctx); err != nil {
		return err
	}
	steps, err := db.Migrate(e.ctx)
	for _, s := range steps {
		if told != nil {
			told(s.Name)
		}
	}
	return err
}

// existing opens a database, and never makes an SQLite file that is not there.
func (e *env) existing(url string) (*store.DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if _, err := os.Stat(filepath.FromSlash(path)); err != nil {
			return nil, fmt.Errorf("there is no database at %s", path)
		}
	}
	return store.Open(e.ctx, store.Options{URL: url})
}

// demoFile is where the demo's data is.
func (e *env) demoFile() string { return filepath.Join(e.config.Data, "demo.db") }

// sqlite is the URL of a file.
func sqlite(file string) string { return "sqlite:" + filepath.ToSlash(file) }

// corp finds the corp a command is about; an empty name is the only one there is.
func (p *program) corp(ctx context.Context, name string) (context.Context, nid.ID, error) {
	id, err := p.db.CorpNamed(ctx, name)
	if err != nil {
		return ctx, id, err
	}
	if id.IsZero() && name == "" {
		return ctx, id, &misuse{errors.New("--corp: say which corp; there is none, or more than one")}
	}
	if id.IsZero() {
		return ctx, id, fmt.Errorf("--corp: there is no corp named %q", name)
	}
	return store.System(ctx, id, "command line"), id, nil
}

// handler serves the API over the program.
func (p *program) handler(c *config.Config, stop <-chan struct{}) (*edge.Handler, error) {
	o := graph.Options{Stop: stop, TrustedOnly: c.TrustedDocumentsOnly, Introspection: p.readsSchema(c)}
	if c.TrustedDocuments != "" {
		b, err := os.ReadFile(c.TrustedDocuments)
		if err != nil {
			return nil, fmt.Errorf("--trusted-documents: %w", err)
		}
		docs, err := edge.ParseDocuments(b)
		if err != nil {
			return nil, fmt.Errorf("--trusted-documents: %w", err)
		}
		o.Documents = docs.Find
	}
	return graph.Handler(&graph.Resolver{DB: p.db, Audit: p.reader, Use: p.use}, o), nil
}

// readsSchema says who may read the schema, by introspection and as a file. Whoever
// reaches the demo can sign in: its password is public.
func (p *program) readsSchema(c *config.Config) func(context.Context) bool {
	switch {
	case c.Introspection == config.Nobody:
		return func(context.Context) bool { return false }
	case c.Introspection == config.Everyone || p.demo:
		return func(context.Context) bool { return true }
	}
	return func(ctx context.Context) bool { return access.From(ctx).SignedIn() }
}

// authenticator lets web ask who holds a credential.
type authenticator struct{ *identity.Service }

// Authenticate is web.Authenticator. A browser's cookie is a session and a
// reporting tool's password is a service token, never the other way round.
func (a authenticator) Authenticate(ctx context.Context, c web.Credential) (*access.Actor, error) {
	kind, ok := secret.KindOf(c.Secret)
	if !ok || c.Kind == web.Basic && kind != secret.Service || c.Kind == web.Cookie && kind != secret.Session {
		return nil, fault.New(fault.Unauthenticated, "", fault.T("sign in first", "请先登录"))
	}
	return a.Service.Authenticate(ctx, c.Secret)
}

// shared is where replicas add up rates: PostgreSQL. An SQLite file has one process.
func (p *program) shared() web.Shared {
	if !p.db.Postgres() {
		return nil
	}
	return levels{p.db}
}

type levels struct{ db *store.DB }

// Levels implements web.Shared.
func (l levels) Levels(ctx context.Context, in []web.Pour) ([]float64, error) {
	poured := make([]store.Pour, len(in))
	for i, p := range in {
		poured[i] = store.Pour(p)
	}
	return l.db.Pour(ctx, poured)
}
