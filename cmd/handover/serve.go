package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/openhandover/openhandover/graph"
	"github.com/openhandover/openhandover/graph/reports"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/job"
	"github.com/openhandover/openhandover/internal/provision"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/scim"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/web"
)

type serveCmd struct {
	Demo  bool `help:"Serve demo data from an SQLite file in the data folder, on this machine only."`
	Reset bool `help:"Make the demo data anew."`

	NoWorkers   bool `help:"Answer requests only; another replica does the work in the background." xor:"workers"`
	WorkersOnly bool `help:"Do the work in the background only; health and metrics are still served." xor:"workers"`
}

// Run serves until it is told to stop, then drains.
func (s *serveCmd) Run(e *env) error {
	if s.Reset && !s.Demo {
		return &misuse{errors.New("--reset goes with --demo")}
	}
	log := slog.New(web.LogHandler(e.config.Logs(e.stderr)))
	slog.SetDefault(log)
	file, err := e.served(s.Demo)
	if err != nil {
		return err
	}
	defer file.release()
	var p *program
	if s.Demo {
		p, err = e.openDemo(s.Reset)
	} else {
		p, err = e.open()
	}
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.bound(e.ctx, e.config.LooseRole, log); err != nil {
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
	var sealer *audit.Sealer
	if !s.NoWorkers {
		if sealer, err = p.sealer(e.config); err != nil {
			if e.config.CheckpointKeyFile != "" || e.config.WitnessURL != "" { // who names a witness wants it asked
				return err
			}
			// Such as in a container that may write nowhere. /readyz says so as well, in a while.
			log.Warn("the audit log is not sealed: no key could be made; name one with --checkpoint-key-file", "err", err)
			sealer = &audit.Sealer{DB: p.db, Log: p.log}
		}
	}
	backups := &backup.Schedule{}
	if every, _, _ := e.config.BackupPlan(); !s.NoWorkers && !s.Demo && every > 0 { // its settings were checked
		if backups, err = p.backups(e.config, sealer); err != nil {
			if len(e.config.BackupRecipient) > 0 {
				return err
			}
			log.Warn("there will be no backups; name a key with --backup-recipient, or switch them off with --backup-every 0", "err", err)
			backups = &backup.Schedule{}
		}
	}
	var answers http.Handler = api
	if s.WorkersOnly {
		answers = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "this replica works in the background only; ask another", http.StatusServiceUnavailable)
		})
	}
	var limits web.Limits
	if limits.Rate, limits.AccountRate, limits.CorpRate, err = e.config.Rates(); err != nil {
		return err
	}
	schema := []byte(graph.SDL())
	if e.config.Introspection == config.Nobody { // there is none, for whoever asks
		schema = nil
	}
	metricsAt, yields := e.config.Metrics()
	server, err := web.New(web.Options{
		Listen: e.config.Listen, Operator: metricsAt, OperatorYields: yields,
		GraphQL: answers, Authenticator: authenticator{p.use.Identity}, Schema: schema, ReadsSchema: p.readsSchema(e.config),
		Reports: reports.New(api, p.db.Now), Exports: p.use.Export, SSO: p.use.SSO, SCIM: p.scim(log), OpenAPI: reports.OpenAPI(),
		Checks: []web.Check{{Name: "database", Run: p.db.Beat}, {Name: "migrations", Run: p.db.Fits}, {Name: "queue", Run: p.attended, Warns: true},
			{Name: "checkpoints", Run: p.sealed, Warns: true}, {Name: "backups", Run: p.backedUp(backups), Warns: true}},
		Build: web.BuildFacts(), Log: log, Metrics: metrics, PublicURL: e.config.PublicURL,
		LoopbackOnly: s.Demo, AllowOrigin: e.config.AllowOrigin, BehindProxy: e.config.BehindProxy,
		Limits: limits, Shared: p.shared(),
		Ready: func(a, operator net.Addr) {
			if s.Demo {
				e.greet(a, operator)
				return
			}
			text := "serving on " + base(a) + "\n"
			if operator != nil {
				text += "metrics on " + base(operator) + "/metrics\n"
			}
			_, _ = e.stdout.Write([]byte(text))
		},
	})
	if err != nil {
		return err
	}
	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(e.ctx)
	defer func() { // before the database is closed
		cancel()
		workers.Wait()
		p.seal(e.ctx, sealer, log)
	}()
	var unasked []string
	if backups.Every > 0 {
		unasked = append(unasked, backup.WorkBackups)
	}
	if !s.NoWorkers && !s.Demo { // nobody reviews the demo, and silence would end it
		unasked = append(unasked, review.WorkReviews)
	}
	go p.sweep(ctx, log, unasked)
	go p.listen(ctx, log)
	if !s.NoWorkers {
		workers.Go(func() { (&job.Runner{DB: p.db, Kinds: p.works(sealer, backups), Log: log}).Run(ctx) })
	}
	return server.Run(ctx)
}

// scim serves identity providers over the use cases.
func (p *program) scim(log *slog.Logger) http.Handler {
	return scim.New(&provision.Service{DB: p.db, Log: p.log, Member: p.use.Member}, log)
}

// base is a URL that a browser on this machine can open.
func base(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("localhost", port)
	}
	return "http://" + a.String()
}

// bound refuses to serve as a role that row-level security does not bind, unless
// --loose-role accepts it. The owner of the tables may serve one corp; that is logged.
func (p *program) bound(ctx context.Context, loose bool, log *slog.Logger) error {
	role, err := p.db.Role(ctx)
	if err != nil {
		return err
	}
	corps, err := p.db.Corps(ctx)
	if err != nil {
		return err
	}
	if role.Risky(len(corps)) && !loose {
		return fmt.Errorf("the database role %s can go round row-level security, which keeps corps apart; "+
			"connect as one that owns nothing (docs/operations.md), or accept it with --loose-role", role.Name)
	}
	if role.Loose() {
		log.Warn("the database role can go round row-level security; use one that owns nothing, see docs/operations.md", "role", role.Name)
	}
	return nil
}

// sweep forgets what has expired, hourly, and sees to it that new corps have the work
// done that nobody asks for.
func (p *program) sweep(ctx context.Context, log *slog.Logger, kinds []string) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := p.wake(ctx, kinds...); err != nil && ctx.Err() == nil {
			log.Warn("could not look for work that is due; the next try is in an hour", "kinds", kinds, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		corps, err := p.db.Corps(ctx)
		for _, c := range append(corps, identity.Nowhere) {
			if err == nil {
				err = p.use.Identity.Sweep(store.System(ctx, c, "sweep"))
			}
			if err == nil {
				_, err = p.use.Webhook.Sweep(store.System(ctx, c, "sweep"))
			}
			if err == nil {
				err = p.use.Export.Sweep(store.System(ctx, c, "sweep"))
			}
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("could not forget what has expired; the next try is in an hour", "err", err)
		}
	}
}
