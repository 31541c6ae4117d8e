package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"crypto/rand"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/witness"
	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// sealer signs checkpoints. The key is made where none is named and there is none:
// a log that is signed with a key beside it is better than one that is not signed.
func (p *program) sealer(c *config.Config) (*audit.Sealer, error) {
	path, mayMake := c.CheckpointKey()
	keys, err := checkpoint.ReadKeys(path)
	if mayMake && errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("--checkpoint-key-file: %w", err)
		}
		keys, err = checkpoint.ReadKeys(path)
	}
	if err != nil {
		return nil, fmt.Errorf("--checkpoint-key-file: %w", err)
	}
	s := &audit.Sealer{DB: p.db, Log: p.log, Keys: keys, Folder: c.Checkpoints(p.demo)}
	if c.WitnessURL != "" {
		key, err := witness.ParseKey(c.WitnessKey)
		if err != nil {
			return nil, fmt.Errorf("--witness-key: %w", err)
		}
		s.Witness = &witness.Witness{URL: c.WitnessURL, Key: key, HTTP: witness.Client()}
	}
	if c.TimestampURL != "" {
		s.Stamper = &witness.Stamper{URL: c.TimestampURL, HTTP: witness.Client()}
	}
	return s, nil
}

// makeKey writes a new key that signs checkpoints.
func makeKey(path string) error {
	seed := make([]byte, checkpoint.KeyBytes)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	return keepNew(path, hex.EncodeToString(seed)+"\n")
}

// keepNew writes a secret to a file that only its owner reads. Where somebody else writes
// one at the same time, theirs stays.
func keepNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	made, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(made.Name())
	_, err = made.WriteString(text)
	if err = errors.Join(err, made.Sync(), made.Close()); err != nil {
		return err
	}
	if err = os.Link(made.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil
	}
	store.SyncFolder(filepath.Dir(path))
	return err
}

// longUnsealed is when entries count as left unsealed: a checkpoint is made every minute.
const longUnsealed = 5 * time.Minute

// sealed fails where entries of the log have waited too long for a checkpoint.
func (p *program) sealed(ctx context.Context) error {
	corps, err := p.db.Corps(ctx)
	if err != nil {
		return err
	}
	for _, corp := range corps[:min(len(corps), 20)] { // of many, these speak for all: one worker seals them
		var age time.Duration
		err := p.db.View(store.System(ctx, corp, "look for the last checkpoint"), func(ctx context.Context, q *store.Read) error {
			age, err = audit.Unsealed(ctx, q)
			return err
		})
		if err != nil {
			return err
		}
		if age > longUnsealed {
			return fmt.Errorf("entries of the audit log have been waiting for a checkpoint for %s", age.Round(time.Second))
		}
	}
	return nil
}

type auditCheckpointCmd struct {
	Corp string `help:"The corp's name (default: all)." placeholder:"NAME"`
	Demo bool   `help:"Of the demo's database."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run seals what there is, and prints the newest checkpoint of each corp with the
// key to check it by.
func (c *auditCheckpointCmd) Run(e *env) (err error) {
	p, err := e.openOrDemo(c.Demo)
	if err != nil {
		return err
	}
	defer p.close()
	s, err := p.sealer(e.config)
	if err != nil {
		return err
	}
	corps, err := corpsOf(e.ctx, p.db, c.Corp)
	if err != nil {
		return err
	}
	for _, corp := range corps {
		if _, err := s.Work(e.ctx, corp); err != nil {
			return err
		}
		if _, err := s.Show(e.ctx, corp); err != nil {
			fmt.Fprintf(e.stderr, "handover: signed, but not everybody has seen it: %v\n", err)
		}
		if err := c.print(e, p.db, corp, s.Keys); err != nil {
			return err
		}
	}
	return nil
}

func (c *auditCheckpointCmd) print(e *env, db *store.DB, corp nid.ID, keys checkpoint.Keys) error {
	return db.View(store.System(e.ctx, corp, "print the newest checkpoint"), func(ctx context.Context, q *store.Read) error {
		newest, ok, err := audit.Newest(ctx, q)
		if err != nil || !ok {
			return err
		}
		if c.JSON {
			return e.json(map[string]any{"corpId": corp.String(), "size": newest.Size, "rootHash": hex.EncodeToString(newest.Root), "note": newest.Note, "at": newest.At, "key": keys.Public(corp)})
		}
		_, err = fmt.Fprintf(e.stdout, "%s\nverifier key: %s\n", newest.Note, keys.Public(corp))
		return err
	})
}
