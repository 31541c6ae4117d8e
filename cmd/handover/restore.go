package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type restoreCmd struct {
	File     string   `arg:"" help:"The backup."`
	Identity string   `placeholder:"FILE" help:"File with the secret key that opens it (default: backup.key in the data folder)."`
	Trust    []string `placeholder:"KEY" help:"Verifier key that must have signed it, or introduced the one that did, as audit checkpoint prints it; repeatable. Without one an unsigned backup is restored with a warning."`
	Erased   string   `placeholder:"FOLDER" help:"Folder of checkpoints that knows who was erased since (default: checkpoints in the data folder)."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

// Run puts a backup into a database that does not have its corp. Where it fails, nothing
// is left: the keys are tried before a database is made.
func (c *restoreCmd) Run(e *env) (err error) {
	ids, err := backup.ReadIdentities(cmp.Or(c.Identity, e.config.BackupKey()))
	if err != nil {
		return fmt.Errorf("--identity: %w", err)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	noted := cmp.Or(c.Erased, e.config.Checkpoints(false))
	if _, err := os.Stat(noted); err != nil {
		if c.Erased != "" {
			return fmt.Errorf("--erased: %w", err)
		}
		fmt.Fprintf(e.stderr, "handover: there is no folder %s, so people who were erased after the backup was made come back; "+
			"name the folder of checkpoints with --erased\n", noted)
	}
	keys, err := e.keys()
	if err != nil {
		return err
	}
	box, err := secret.NewBox(secret.ForSubjects, keys...)
	if err != nil {
		return err
	}
	if _, err := backup.Inspect(f, ids, box); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	url := unhurried(e.config.MigrationDatabase().Reveal())
	clean := leftovers(url)
	p, err := e.join(setting{url: url, keys: keys})
	if err != nil {
		return err
	}
	sum, err := c.restore(e, p, f, ids, noted)
	if err != nil {
		p.close()
		return errors.Join(err, clean())
	}
	defer p.close()
	if len(sum.Erased) > 0 {
		fmt.Fprintf(e.stderr, "handover: people erased after the backup was made, and erased again now: %d\n", len(sum.Erased))
		if err := p.db.Scrub(e.ctx); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := e.json(sum); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.stdout, "%s is back as it was at %s: %d rows, each as it was; its log of %d entries verifies\n",
			sum.Name, sum.At.Local().Format(time.DateTime), sum.Rows, sum.Entries)
	}
	return c.warn(e, p, sum)
}

func (c *restoreCmd) restore(e *env, p *program, f io.Reader, ids []age.Identity, noted string) (backup.Summary, error) {
	if err := e.migrate(p.db, func(name string) { fmt.Fprintln(e.stderr, "migrated", name) }); err != nil {
		return backup.Summary{}, err
	}
	var kinds []string
	for kind := range p.works(&audit.Sealer{}, &backup.Schedule{}) {
		kinds = append(kinds, kind)
	}
	bar := newProgress(e.stderr)
	sum, err := backup.Restore(e.ctx, p.db, f, backup.Options{Identities: ids, Log: p.log, Trust: c.Trust, Wake: kinds,
		Told: func(table string, rows int64) { bar.step(table, int(rows), 0) },
		Forget: func(ctx context.Context, tx *store.Tx) ([]nid.ID, error) {
			return erasure.Again(ctx, tx, p.log, noted)
		}})
	bar.end()
	if err != nil {
		err = fmt.Errorf("%s: %w", c.File, err)
	}
	return sum, err
}

// leftovers gives what removes an SQLite file that is not there yet.
func leftovers(url string) func() error {
	path, ok := strings.CutPrefix(url, "sqlite:")
	path = filepath.FromSlash(path)
	if _, err := os.Stat(path); !ok || !errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }
	}
	return func() (err error) {
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			if gone := os.Remove(name); gone != nil && !errors.Is(gone, os.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
		return err
	}
}

// warn says which key signed the backup, which of its rows the log does not know, and which
// later entries the copies of checkpoints know.
func (c *restoreCmd) warn(e *env, p *program, sum backup.Summary) error {
	switch {
	case sum.SignedBy == "":
		fmt.Fprintln(e.stderr, "handover: the backup is not signed with a key that its log names: anybody who knows the recipient can have made it")
	case !sum.Trusted:
		fmt.Fprintf(e.stderr, "handover: the backup is signed with a key that only itself names: %s; name the key with --trust to be sure whose it is\n",
			sum.SignedBy)
	}
	for _, found := range sum.Unknown {
		fmt.Fprintf(e.stderr, "handover: not as the log knows it: %s\n", found)
	}
	folder := e.config.Checkpoints(false)
	err := audit.Continues(e.ctx, p.db, folder, sum.Corp)
	if errors.Is(err, audit.ErrForked) {
		err = nil
		fmt.Fprintf(e.stderr, "handover: checkpoints in %s know of entries that this database does not have: what happened after the backup is lost.\n"+
			"Nothing writes to it until `handover audit accept-rollback --corp %s` has put them aside, as evidence of what there was.\n", folder, sum.Name)
	}
	return err
}
