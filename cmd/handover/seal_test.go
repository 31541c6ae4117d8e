package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/config"
)

// Without a setting the key is made once, for its owner alone; a key that is named
// must be there.
func TestTheCheckpointKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := &config.Config{Data: data}
	p := &program{}
	first, err := p.sealer(c)
	if err != nil || len(first.Keys) != 1 {
		t.Fatal(first, err)
	}
	info, err := os.Stat(filepath.Join(data, "checkpoint.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, err := p.sealer(c)
	if err != nil || !again.Keys[0].Equal(first.Keys[0]) {
		t.Errorf("another key: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(data, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	c.CheckpointKeyFile = filepath.Join(data, "none")
	if _, err := p.sealer(c); err == nil || !strings.Contains(err.Error(), "--checkpoint-key-file") {
		t.Errorf("a key that is not there: %v", err)
	}
	// Where nothing can be written, that is said, and no key is in use.
	file := filepath.Join(data, "checkpoint.key")
	if _, err := p.sealer(&config.Config{Data: file}); err == nil {
		t.Error("a folder that is a file")
	}
	if _, err := checkpoint.ReadKeys(file); err != nil {
		t.Error(err)
	}
}
