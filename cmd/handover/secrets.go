package main

import (
	"fmt"

	"github.com/openhandover/openhandover/internal/store"
)

type secretsCmd struct {
	Rotate secretsRotateCmd `cmd:"" help:"Seal everything that a former secret key seals under the first one, so that the former can go."`
}

type secretsRotateCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run seals anew, corp by corp. It may be broken off anywhere and begun again.
func (c *secretsRotateCmd) Run(e *env) error {
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	corps, err := p.db.Corps(e.ctx)
	if err != nil {
		return err
	}
	var authenticators, webhooks, providers, subjects int
	for _, corp := range corps {
		ctx := store.System(e.ctx, corp, "command line")
		for _, step := range []struct {
			n  *int
			do func() (int, error)
		}{
			{&authenticators, func() (int, error) { return p.use.Identity.Reseal(ctx) }},
			{&webhooks, func() (int, error) { return p.use.Webhook.Reseal(ctx) }},
			{&providers, func() (int, error) { return p.use.SSO.Reseal(ctx) }},
			{&subjects, func() (int, error) { return p.log.Reseal(ctx, p.db) }},
		} {
			n, err := step.do()
			if err != nil {
				return fmt.Errorf("corp %s: %w", corp, err)
			}
			*step.n += n
		}
	}
	if c.JSON {
		return e.json(map[string]any{"corps": len(corps), "authenticators": authenticators, "webhooks": webhooks, "providers": providers, "subjectKeys": subjects})
	}
	_, err = fmt.Fprintf(e.stdout, "sealed anew: %d authenticators, %d webhooks, %d identity providers, %d subjects' keys; once every replica runs with the new key first, former keys can go from the file\n",
		authenticators, webhooks, providers, subjects)
	return err
}
