package main

import (
	"path/filepath"
	"testing"

	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/identity/secret"
)

// What users name is called on this machine and in its network where the operator said so,
// and in the demo no sooner.
func TestCallsStayAwayFromThisMachine(t *testing.T) {
	for _, demo := range []bool{true, false} {
		for _, asked := range []bool{true, false} {
			e := &env{ctx: t.Context(), config: &config.Config{PrivateWebhooks: asked, PrivateProviders: asked}}
			p, err := e.join(setting{url: sqlite(filepath.Join(t.TempDir(), "a.db")), keys: []secret.Key{secret.DemoKey()}, demo: demo})
			if err != nil {
				t.Fatal(err)
			}
			if p.use.Webhook.AllowPrivate != asked || p.use.SSO.AllowPrivate != asked {
				t.Errorf("demo %v, asked for %v: webhooks %v, providers %v", demo, asked, p.use.Webhook.AllowPrivate, p.use.SSO.AllowPrivate)
			}
			p.close()
		}
	}
}

func TestMigrationsTakeTheirTime(t *testing.T) {
	for raw, want := range map[string]string{
		"sqlite:data/handover.db":                   "sqlite:data/handover.db",
		"postgres://o:p%40ss@db/h?sslmode=require":  "postgres://o:p%40ss@db/h?sslmode=require&statement_timeout=0",
		"postgres://o@db/h?statement_timeout=60000": "postgres://o@db/h?statement_timeout=60000",
	} {
		if got := unhurried(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
