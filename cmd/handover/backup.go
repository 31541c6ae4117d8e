package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/identity/secret"
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
	s, err := p.backups(e.config)
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

// backups is what makes and keeps backups.
func (p *program) backups(c *config.Config) (*backup.Schedule, error) {
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
	return &backup.Schedule{DB: p.db, Log: p.log, Folder: c.Backups(), Recipients: to, Every: every, Keep: keep}, err
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
	p, err := e.open()
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

type restoreCmd struct {
	File     string `arg:"" help:"The backup."`
	Identity string `placeholder:"FILE" help:"File with the secret key that opens it (default: backup.key in the data folder)."`
	Erased   string `placeholder:"FOLDER" help:"Folder of checkpoints that knows who was erased since (default: checkpoints in the data folder)."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Run puts a backup into a database that does not have its corp.
func (c *restoreCmd) Run(e *env) error {
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
	p, err := e.join(setting{url: unhurried(e.config.MigrationDatabase().Reveal()), keys: keys})
	if err != nil {
		return err
	}
	defer p.close()
	if err := e.migrate(p.db, func(name string) { fmt.Fprintln(e.stderr, "migrated", name) }); err != nil {
		return err
	}
	var kinds []string
	for kind := range p.works(&audit.Sealer{}, &backup.Schedule{}) {
		kinds = append(kinds, kind)
	}
	bar := newProgress(e.stderr)
	sum, err := backup.Restore(e.ctx, p.db, f, backup.Options{Identities: ids, Log: p.log, Wake: kinds,
		Told: func(table string, rows int64) { bar.step(table, int(rows), 0) },
		Forget: func(ctx context.Context, tx *store.Tx) ([]nid.ID, error) {
			return erasure.Again(ctx, tx, p.log, noted)
		}})
	bar.end()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
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
	return c.warn(e, p, sum, keys)
}

// warn says what does not fit together: the secret key, and the copies of checkpoints.
func (c *restoreCmd) warn(e *env, p *program, sum backup.Summary, keys []secret.Key) error {
	d := &doctor{env: e, db: p.db, keys: keys}
	err := p.db.View(store.System(e.ctx, sum.Corp, "restore"), func(ctx context.Context, r *store.Read) error { return d.opens(ctx, r, sum.Name) })
	if err != nil {
		return err
	}
	for _, f := range d.list {
		fmt.Fprintf(e.stderr, "handover: %s; %s\n", f.Text, f.Cure)
	}
	_, err = audit.Verify(e.ctx, p.db, sum.Corp, audit.Trust{Folder: e.config.Checkpoints(false)}, nil)
	if _, broken := errors.AsType[*leaf.Broken](err); broken { // the log itself has just been verified without them
		err = nil
		fmt.Fprintf(e.stderr, "handover: checkpoints in %s know of entries that this backup does not have: what happened after it is lost.\n"+
			"Nothing is sealed until you have put %s away, as evidence of what there was.\n", e.config.Checkpoints(false), audit.File(e.config.Checkpoints(false), sum.Corp))
	}
	return err
}
