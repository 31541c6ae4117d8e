package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// One SQLite file has one server; who comes second learns which file, under whatever name.
func TestAnSQLiteFileHasOneServer(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "handover.db")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := lockServing(file)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, link} {
		var stderr bytes.Buffer
		args := []string{"serve", "--listen", "127.0.0.1:0", "--data", folder, "--database-url", "sqlite:" + name}
		code := run(t.Context(), args, strings.NewReader(""), &bytes.Buffer{}, &stderr)
		if code != failed || !strings.Contains(stderr.String(), "another server already serves "+file) {
			t.Errorf("%d: %s", code, stderr.String())
		}
	}
	first.release()
	again, err := lockServing(file)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again.release()

	// A second name for the file would go round the lock and the journal.
	if err := os.Link(file, filepath.Join(folder, "second.db")); err != nil {
		t.Fatal(err)
	}
	if _, err := lockServing(file); runtime.GOOS != "windows" && (err == nil || !strings.Contains(err.Error(), "hard links")) {
		t.Errorf("a file with two names: %v", err)
	}
}
