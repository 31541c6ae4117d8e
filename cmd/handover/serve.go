package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/openhandover/openhandover/graph"
	"github.com/openhandover/openhandover/internal/demo"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/web"
)

type serveCmd struct {
	Demo  bool `help:"Serve demo data from an SQLite file in the data folder, on this machine only."`
	Reset bool `help:"Make the demo data anew."`
}

// Run serves until it is told to stop, then drains.
func (s *serveCmd) Run(e *env) error {
	if s.Reset && !s.Demo {
		return fmt.Errorf("--reset goes with --demo")
	}
	log := slog.New(web.LogHandler(e.config.Logs(e.stderr)))
	slog.SetDefault(log)
	var p *program
	var err error
	if s.Demo {
		p, err = e.openDemo(s.Reset)
	} else {
		p, err = e.open()
	}
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.warn(e.ctx, log); err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() { <-e.ctx.Done(); close(stop) }()
	api, err := p.handler(e.config, stop)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	if err := metrics.Register(collectors.NewDBStatsCollector(p.db.Pool(), "handover")); err != nil {
		return err
	}
	server, err := web.New(web.Options{
		Listen: e.config.Listen, GraphQL: api, Authenticator: authenticator{p.use.Identity}, Schema: []byte(graph.SDL()),
		Checks: []web.Check{{Name: "database", Run: p.db.Ping}, {Name: "migrations", Run: p.db.Fits}},
		Build:  web.BuildFacts(), Log: log, Metrics: metrics, AllowOrigin: e.config.AllowOrigin, BehindProxy: e.config.BehindProxy,
		Ready: func(a net.Addr) {
			if s.Demo {
				e.greet(a)
				return
			}
			fmt.Fprintf(e.stdout, "serving on http://%s\n", a)
		},
	})
	if err != nil {
		return err
	}
	go p.sweep(e.ctx, log)
	return server.Run(e.ctx)
}

// warn says what is allowed but should not stay so.
func (p *program) warn(ctx context.Context, log *slog.Logger) error {
	role, err := p.db.Role(ctx)
	if err != nil {
		return err
	}
	if role.Loose() {
		log.Warn("the database role can go round row-level security; use one that owns nothing, see docs/operations.md", "role", role.Name)
	}
	return nil
}

// sweep forgets what has expired, hourly.
func (p *program) sweep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		corps, err := p.db.Corps(ctx)
		for _, c := range corps {
			if err == nil {
				err = p.use.Identity.Sweep(store.System(ctx, c, "sweep"))
			}
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("could not forget expired sessions; the next try is in an hour", "err", err)
		}
	}
}

// openDemo opens the demo's file, making it first where there is none. A file that
// was only half made is never left under the name that is looked for.
func (e *env) openDemo(reset bool) (*program, error) {
	host, _, err := net.SplitHostPort(e.config.Listen)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--listen: the demo's password is public, so it serves this machine only; %s is not loopback", host)
	}
	file := filepath.Join(e.config.Data, "demo.db")
	if reset {
		if err := removeDatabase(file); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(file); os.IsNotExist(err) {
		if err := e.makeDemo(file); err != nil {
			return nil, err
		}
	}
	p, err := e.join(setting{url: "sqlite:" + filepath.ToSlash(file), keys: []secret.Key{secret.DemoKey()}, demo: true})
	if err != nil {
		return nil, err
	}
	if err := p.fit(e.ctx, true); err != nil {
		p.close()
		return nil, fmt.Errorf("the demo's file is from another version (%w); make a new one with --reset", err)
	}
	return p, nil
}

func (e *env) makeDemo(file string) error {
	half := file + ".making"
	if err := removeDatabase(half); err != nil {
		return err
	}
	clock := demo.NewClock(nil)
	p, err := e.join(setting{url: "sqlite:" + filepath.ToSlash(half), keys: []secret.Key{secret.DemoKey()}, demo: true, clock: clock.Now})
	if err != nil {
		return err
	}
	defer p.close()
	fmt.Fprintln(e.stderr, "making the demo data (a few seconds, once) …")
	progress := newProgress(e.stderr)
	err = p.fit(e.ctx, true)
	if err == nil {
		err = demo.Seed(e.ctx, demo.Services{DB: p.db, Log: p.log, Identity: p.use.Identity, Members: p.use.Member, Handovers: p.use.Handover, Clock: clock, Progress: progress.step})
	}
	progress.end()
	if err == nil {
		err = p.db.Close() // folds the write-ahead log into the file
	}
	if err != nil {
		p.close()
		return fmt.Errorf("the demo data could not be made: %w", firstOf(err, removeDatabase(half)))
	}
	return os.Rename(half, file)
}

func firstOf(err, _ error) error { return err }

func removeDatabase(file string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// greet says what the demo is and how to begin.
func (e *env) greet(a net.Addr) {
	var b strings.Builder
	base := "http://" + a.String()
	fmt.Fprintf(&b, "\n  OpenHandover DEMO: invented people, public password. Not for real data.\n\n")
	fmt.Fprintf(&b, "  GraphiQL   %s/graphiql\n  API        %s/graphql\n  Health     %s/readyz\n\n", base, base, base)
	fmt.Fprintf(&b, "  Accounts (password %s, which also proves identity here):\n", demo.Password)
	for _, acc := range demo.Accounts {
		where := "the whole corp"
		if acc.Department == demo.East {
			where = "华东销售部 and below"
		}
		fmt.Fprintf(&b, "    %-12s %-11s %-14s %s\n", acc.Login, "in "+acc.Corp, acc.Role, where)
	}
	fmt.Fprintf(&b, "\n  Try it:\n\n    %s\n\n", curl(base))
	_, _ = e.stdout.Write([]byte(b.String()))
}

// curl is a command that signs in and shows who is signed in.
func curl(base string) string {
	return `curl -s ` + base + `/graphql -H 'Content-Type: application/json' -d '{"query":"mutation { signIn(input: {corp: \"` + demo.Main +
		`\", login: \"admin\", password: \"` + demo.Password + `\"}) { token viewer { member { name } permissions } } }"}'`
}
