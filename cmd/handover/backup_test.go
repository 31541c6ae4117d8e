package main

import (
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/backup"
)

// Without a setting the key of backups is made once, for its owner alone.
func TestTheBackupKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "backup.key")
	first, err := ownKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ownKey(path)
	if err != nil || len(first) != 1 || len(again) != 1 || first[0].(*age.X25519Recipient).String() != again[0].(*age.X25519Recipient).String() {
		t.Errorf("%v, %v, %v", first, again, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := backup.ParseRecipients([]string{"age1nonsense"}); err == nil {
		t.Error("nonsense is no recipient")
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if to, err := ownKey(path); err == nil {
		t.Error("a spoiled key is no key: ", to)
	}
}
