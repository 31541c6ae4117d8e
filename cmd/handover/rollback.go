package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
)

// cure is what to do about a database that is older than what was signed.
const cure = "`handover audit verify` says what is missing, and `handover audit accept-rollback --corp NAME` accepts the database as it is"

// continues refuses a database that is older than what was signed.
func (p *program) continues(ctx context.Context, folder string) error {
	err := audit.Continues(ctx, p.db, folder)
	if errors.Is(err, audit.ErrForked) {
		err = fmt.Errorf("refusing to write: %w; %s", err, cure)
	}
	return err
}

// willing is a program that has been opened, for a command that writes: an older database
// is refused, which a person has to accept first.
func (e *env) willing(p *program, err error) (*program, error) {
	if err != nil {
		return nil, err
	}
	if err := p.continues(e.ctx, e.config.Checkpoints(p.demo)); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

type auditAcceptCmd struct {
	Corp string `required:"" placeholder:"NAME" help:"The corp's name; its id (crp_…) where the database does not know it."`
}

// Run accepts a log that does not go on from what was signed, and keeps the evidence.
func (c *auditAcceptCmd) Run(e *env) error {
	p, err := e.look()
	if err != nil {
		return err
	}
	defer p.close()
	corp, err := nid.Parse(c.Corp)
	if err != nil || corp.Kind() != nid.Corp {
		if _, corp, err = p.corp(e.ctx, c.Corp); err != nil {
			return err
		}
	}
	aside, err := p.log.Accept(e.ctx, p.db, e.config.Checkpoints(false), corp)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "accepted; the checkpoints that were signed are kept as evidence of what there was:\n%s\n", strings.Join(aside, "\n"))
	return err
}

// lastSeal is the longest time that an orderly stop takes to seal.
const lastSeal = 5 * time.Second

// seal signs the entries that are left when the server stops, so that none stays unsealed
// while no server runs.
func (p *program) seal(ctx context.Context, s *audit.Sealer, log *slog.Logger) {
	if s == nil || len(s.Keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSeal)
	defer cancel()
	corps, err := p.db.Corps(ctx)
	for _, corp := range corps {
		if _, failed := s.Work(ctx, corp); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		log.Warn("the newest entries of the audit log could not be sealed before the stop; the next start seals them", "err", err)
	}
}
