package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/evidence"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type auditExportCmd struct {
	Handover string `required:"" placeholder:"ID" help:"The handover (hov_…)."`
	Output   string `short:"o" required:"" placeholder:"FILE" help:"The package to write; it must not be there yet."`
	Demo     bool   `help:"Of the demo's database."`
}

// Run writes the evidence package of a handover. The export itself is recorded.
func (c *auditExportCmd) Run(e *env) (err error) {
	id, err := nid.Parse(c.Handover)
	if err != nil || id.Kind() != nid.Handover {
		return &misuse{fmt.Errorf("--handover: %q is no handover's id, which begins with hov_", c.Handover)}
	}
	p, err := e.openOrDemo(c.Demo)
	if err != nil {
		return err
	}
	defer p.close()
	corp, err := p.corpWith(e.ctx, id)
	if err != nil {
		return err
	}
	s, err := p.sealer(e.config)
	if err != nil {
		return err
	}
	if _, err := s.Work(e.ctx, corp); err != nil { // so that a checkpoint covers the case
		return err
	}
	ctx := store.System(e.ctx, corp, "export evidence on the command line")
	if err := p.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return p.log.Append(ctx, tx, audit.Entry{Action: access.EvidenceExport, Subject: id})
	}); err != nil {
		return err
	}
	f, err := os.OpenFile(c.Output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- the operator's file
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	err = p.db.View(ctx, func(ctx context.Context, q *store.Read) error { return evidence.Write(ctx, q, p.reader, id, f) })
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.Output))
	}
	info, err := os.Stat(c.Output)
	if err == nil {
		fmt.Fprintf(e.stdout, "%s: %s; check it with `handover audit verify %s`\n", c.Output, inUnits(info.Size()), filepath.Base(c.Output))
	}
	return err
}

// inUnits is a size for people.
func inUnits(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// corpWith finds the corp of a handover.
func (p *program) corpWith(ctx context.Context, handover nid.ID) (nid.ID, error) {
	corps, err := p.db.Corps(ctx)
	if err != nil {
		return nid.ID{}, err
	}
	for _, corp := range corps {
		there := false
		err := p.db.View(store.System(ctx, corp, "find a handover"), func(ctx context.Context, q *store.Read) error {
			_, there, err = store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM handovers WHERE corp_id = $1 AND id = $2`, corp, handover)
			return err
		})
		if err != nil || there {
			return corp, err
		}
	}
	return nid.ID{}, fmt.Errorf("--handover: there is no handover %s", handover)
}

// verifyPackage checks an evidence package. It reads nothing else.
func (c *auditVerifyCmd) verifyPackage(e *env) error {
	f, err := os.Open(c.Package)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, err := offline.Verify(f, info.Size(), c.Keys...)
	if err != nil {
		fmt.Fprintf(e.stderr, "handover: %s: BROKEN: %v\n", c.Package, err)
		return &said{err}
	}
	if c.JSON {
		err = e.json(s)
	} else {
		err = s.Print(e.stdout, c.Package)
	}
	if err == nil && !s.Trusted {
		fmt.Fprintf(e.stderr, "handover: %s: %v; name it with --key\n", c.Package, offline.ErrUntrusted)
		err = &said{offline.ErrUntrusted}
	}
	return err
}
