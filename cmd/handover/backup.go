package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type backupCmd struct {
	Create backupCreateCmd `cmd:"" default:"withargs" help:"Make a backup of each corp now."`
	List   backupListCmd   `cmd:"" help:"List the backups that are there."`
	Key    backupKeyCmd    `cmd:"" help:"Make a pair of keys: the public one for --backup-recipient, the secret one for restore."`
}

type backupCreateCmd struct {
	Corp   string `help:"The corp's name (default: all)." placeholder:"NAME"`
	Output string `short:"o" placeholder:"FILE" help:"The file to write; it must not be there yet (default: in the folder of backups)."`
	Demo   bool   `help:"Of the demo's database."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

type backedUp struct {
	backup.Summary
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

// Run makes backups, while everything goes on.
func (c *backupCreateCmd) Run(e *env) (err error) {
	p, err := e.openOrDemo(c.Demo)
	if err != nil {
		return err
	}
	defer p.close()
	sealer, err := p.sealer(e.config)
	if err != nil && e.config.CheckpointKeyFile != "" {
		return err
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "handover: the backup is not signed: %v\n", err)
	}
	s, err := p.backups(e.config, sealer)
	if err != nil {
		return err
	}
	corps, err := corpsOf(e.ctx, p.db, c.Corp)
	if err != nil {
		return err
	}
	if c.Output != "" && len(corps) != 1 {
		return &misuse{errors.New("--output: a file holds one corp; name it with --corp")}
	}
	for _, corp := range corps {
		bar := newProgress(e.stderr)
		f, sum, err := s.Take(e.ctx, corp, c.Output, func(table string, rows int64) { bar.step(table, int(rows), 0) })
		bar.end()
		if err != nil {
			return err
		}
		if c.JSON {
			err = e.json(backedUp{sum, f.Path, f.Size})
		} else {
			_, err = fmt.Fprintf(e.stdout, "%s: %s, %d rows, %d entries of the log\n", f.Path, inUnits(f.Size), sum.Rows, sum.Entries)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// backups is what makes and keeps backups; sealer has the keys that sign them.
func (p *program) backups(c *config.Config, sealer *audit.Sealer) (*backup.Schedule, error) {
	to, err := backup.ParseRecipients(c.BackupRecipient)
	if err != nil {
		return nil, fmt.Errorf("--backup-recipient: %w", err)
	}
	if len(to) == 0 {
		if to, err = ownKey(c.BackupKey()); err != nil {
			return nil, fmt.Errorf("no key for backups could be made; name one with --backup-recipient: %w", err)
		}
	}
	every, keep, err := c.BackupPlan()
	return &backup.Schedule{DB: p.db, Log: p.log, Folder: c.Backups(), Recipients: to, Sealer: sealer, Every: every, Keep: keep}, err
}

// ownKey gives the recipients of the key at path, which is made where there is none.
func ownKey(path string) ([]age.Recipient, error) {
	ids, err := backup.ReadIdentities(path)
	if errors.Is(err, fs.ErrNotExist) {
		identity, recipient, made := backup.NewKey()
		if made == nil {
			made = keepNew(path, fmt.Sprintf("# opens the backups; keep a copy elsewhere. recipient: %s\n%s\n", recipient, identity))
		}
		if made != nil {
			return nil, made
		}
		ids, err = backup.ReadIdentities(path)
	}
	return backup.Recipients(ids), err
}

// wake sees to it that work of some kinds is looked for in every corp, new ones too.
func (p *program) wake(ctx context.Context, kinds ...string) error {
	corps, err := p.db.Corps(ctx)
	for _, corp := range corps {
		if err == nil {
			err = p.db.Tx(store.System(ctx, corp, "wake"), func(ctx context.Context, tx *store.Tx) error {
				for _, kind := range kinds {
					if err := tx.Wake(ctx, kind, tx.Now()); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	return err
}

// backedUp fails where a corp's newest backup is too old.
func (p *program) backedUp(s *backup.Schedule) func(context.Context) error {
	return func(ctx context.Context) error {
		if s == nil || s.Every == 0 {
			return nil
		}
		corps, err := p.db.Corps(ctx)
		if err != nil {
			return err
		}
		for _, corp := range corps[:min(len(corps), 20)] {
			since, err := p.since(ctx, corp)
			if err != nil {
				return err
			}
			all, err := s.List(corp)
			if err != nil {
				return err
			}
			if len(all) > 0 {
				since = all[0].At
			}
			if age := p.db.Now().Sub(since); age > 2*s.Every {
				return fmt.Errorf("the newest backup of a corp would be %s old", age.Round(time.Minute))
			}
		}
		return nil
	}
}

// since is when a corp was made.
func (p *program) since(ctx context.Context, corp nid.ID) (at time.Time, err error) {
	err = p.db.View(store.System(ctx, corp, "look for backups"), func(ctx context.Context, q *store.Read) error {
		at, _, err = store.SelectOne(ctx, q, func(t *time.Time) []any { return []any{t} }, `SELECT created_at FROM corps WHERE id = $1`, corp)
		return err
	})
	return at, err
}

type backupListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the backups of all corps that there are.
func (c *backupListCmd) Run(e *env) error {
	p, err := e.look()
	if err != nil {
		return err
	}
	defer p.close()
	s := &backup.Schedule{DB: p.db, Folder: e.config.Backups()}
	corps, err := p.db.Corps(e.ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, corp := range corps {
		name, err := corpName(e.ctx, p.db, corp)
		if err != nil {
			return err
		}
		all, err := s.List(corp)
		if err != nil {
			return err
		}
		for _, f := range all {
			n++
			if c.JSON {
				err = e.json(map[string]any{"corp": name, "corpId": corp, "file": f.Path, "at": f.At, "bytes": f.Size})
			} else {
				_, err = fmt.Fprintf(e.stdout, "%s  %s  %8s  %s\n", name, f.At.Format(time.DateTime), inUnits(f.Size), f.Path)
			}
			if err != nil {
				return err
			}
		}
	}
	if n == 0 && !c.JSON {
		fmt.Fprintf(e.stdout, "there is no backup in %s; `handover backup` makes one\n", e.config.Backups())
	}
	return nil
}

type backupKeyCmd struct{}

// Run prints a new pair.
func (c *backupKeyCmd) Run(e *env) error {
	identity, recipient, err := backup.NewKey()
	if err == nil {
		_, err = fmt.Fprintf(e.stdout, "# secret: keep it away from the server; it opens the backups\n%s\n# public: --backup-recipient %s\n", identity, recipient)
	}
	return err
}
