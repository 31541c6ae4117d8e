package pgtest

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const asChild = "HANDOVER_PGTEST_CHILD"

// TestMain lets TestServerEndsWithItsProcess run this binary as the process that dies.
func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	s, err := Start(context.Background(), func(string, ...any) {})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s\n%s\n", s.URL, s.dir)
	select {}
}

func answers(address string) error {
	db, err := sql.Open("postgres", address)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping()
}

// until waits for a condition that another process brings about.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	limit := time.After(stopTimeout)
	for !met() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still not after %s: %s", stopTimeout, what)
		}
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func TestStartAndStop(t *testing.T) {
	s, err := Start(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	if s.Version == "" {
		t.Error("the server's version is unknown")
	}
	db, err := sql.Open("postgres", s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for setting, want := range map[string]string{
		"fsync": "off", "synchronous_commit": "on", "max_connections": "200",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8",
	} {
		var got string
		if err := db.QueryRow("SELECT current_setting($1)", setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", setting, got, err, want)
		}
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("postgres", "guess")
	if err := answers(u.String()); err == nil {
		t.Error("the server lets anybody on this machine in as superuser")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := answers(s.URL); err == nil {
		t.Error("the server answers after Stop")
	}
	if !gone(s.dir) {
		t.Error("Stop left the server's files")
	}
	if err := s.Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestServerEndsWithItsProcess(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), asChild+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	lines := bufio.NewScanner(out)
	var said []string
	for len(said) < 2 && lines.Scan() {
		said = append(said, lines.Text())
	}
	if len(said) != 2 {
		t.Fatalf("the child said %q", said)
	}
	address, dir := said[0], said[1]
	if err := answers(address); err != nil {
		t.Fatalf("the child's server: %v", err)
	}
	if err := child.Process.Kill(); err != nil { // SIGKILL: it cannot clean up
		t.Fatal(err)
	}
	_ = child.Wait()
	until(t, "the server of a killed process stops", func() bool { return answers(address) != nil })
	until(t, "the files of a killed process go", func() bool { return gone(dir) })
}

func TestServerOutlivesTheCollector(t *testing.T) {
	started := func() string {
		s, err := Start(t.Context(), t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		return s.URL
	}
	address := started()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 3 { // finalizers run one collection later
		runtime.GC()
		if _, err := db.Exec("SELECT pg_sleep(0.1)"); err != nil {
			t.Fatalf("the server went away with nobody stopping it: %v", err)
		}
	}
}

func TestStartStopsWaitingWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := Start(ctx, t.Logf); err == nil {
		_ = s.Stop()
		t.Fatal("started although cancelled")
	}
}

func TestFindTakesTheNewest(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"9", "15", "16"} {
		bin := filepath.Join(root, dir, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"initdb", "postgres"} {
			if dir == "16" && program == "postgres" {
				continue // only the client programs' package is there
			}
			if err := os.WriteFile(filepath.Join(bin, program), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := findIn([]string{filepath.Join(root, "none", "*"), filepath.Join(root, "*", "bin")})
	if want := filepath.Join(root, "15", "bin"); err != nil || got != want {
		t.Errorf("found %q, %v; want %q", got, err, want)
	}
	_, err = findIn([]string{filepath.Join(root, "none", "*")})
	if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), EnvURL) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without programs: %v", err)
	}
}

func TestMajor(t *testing.T) {
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/15/bin":              15,
		"/usr/pgsql-17/bin":                       17,
		"/opt/homebrew/opt/postgresql@16/bin":     16,
		"/opt/homebrew/opt/postgresql/bin":        0,
		"/usr/libexec/postgresql18":               18,
		"/Applications/Postgres.app/Versions/9.6": 9,
	} {
		if got := major(dir); got != want {
			t.Errorf("major(%q) = %d, want %d", dir, got, want)
		}
	}
}
