package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/store"
)

type auditKeyCmd struct {
	New    auditKeyNewCmd    `cmd:"" help:"Make a key file where there is none."`
	Rotate auditKeyRotateCmd `cmd:"" help:"Put a new key before those in the key file."`
}

type auditKeyNewCmd struct {
	File string `arg:"" help:"File to make; readable by its owner only."`
}

// Run makes a key. It never overwrites one: what was signed could not be continued.
func (c *auditKeyNewCmd) Run(e *env) error {
	if _, err := os.Lstat(c.File); err == nil {
		return fmt.Errorf("%s is there already; audit key rotate puts a new key before those in it", c.File)
	}
	if err := makeKey(c.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "made %s; name it by --checkpoint-key-file and keep it where the database's administrators cannot read\n", c.File)
	return err
}

type auditKeyRotateCmd struct{}

// Run rotates the key. The former stays behind the new one, to sign for it; replicas
// take the new one when they start again.
func (auditKeyRotateCmd) Run(e *env) error {
	path, _ := e.config.CheckpointKey()
	if err := rotateKey(path); err != nil {
		return fmt.Errorf("--checkpoint-key-file: %w", err)
	}
	_, err := fmt.Fprintf(e.stdout, "%s begins with a new key; start every replica again with it. Once audit checkpoint has signed for every corp, the lines behind the first can go.\n", path)
	return err
}

// rotateKey writes the file anew beside the old one and moves it there: whatever
// breaks it off, no key is lost.
func rotateKey(path string) error {
	if _, err := checkpoint.ReadKeys(path); err != nil {
		return err
	}
	if at, err := filepath.EvalSymlinks(path); err == nil {
		path = at // the link stays one
	}
	former, err := os.ReadFile(path) // #nosec G304 -- the operator's file
	if err != nil {
		return err
	}
	seed := make([]byte, checkpoint.KeyBytes)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	made, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(made.Name())
	_, err = made.Write(append([]byte(hex.EncodeToString(seed)+"\n"), bytes.TrimLeft(former, "\n")...))
	if info, bad := os.Stat(path); err == nil && bad == nil {
		err = made.Chmod(info.Mode().Perm())
	}
	if err = errors.Join(err, made.Sync(), made.Close()); err != nil {
		return err
	}
	if err = os.Rename(made.Name(), path); err == nil {
		store.SyncFolder(filepath.Dir(path))
	}
	return err
}
