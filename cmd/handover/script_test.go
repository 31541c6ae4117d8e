package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store/pgtest"
)

// TestMain is the program itself, or the tests' curl, where it is called by that
// name: scripts run both as a shell would.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"handover":        func() { os.Exit(Main()) },
		"handover-verify": func() { os.Exit(offline.Main(os.Args[1:], os.Stdout, os.Stderr)) },
		"curl":            curlMain,
	})
}

// commands are what the scripts need beside what testscript has.
//
//	exits N CMD…   runs a command, which must end with the exit code N
//	serve ARG…     starts handover serve on a free port and waits until it answers; URL is where
//	printed        runs the curl that the demo has printed
//	terminate      sends SIGTERM to the server, which must end with 0
//	past handover  sets PAST to a handover of the demo that is COMPLETED
//	sqlite FILE Q… changes a database behind the program's back
//	soon           sets SOON to a time in a few seconds, for startAt
//	verifierkey V  sets V to the verifier key that the last command printed
//	contactid V FILE NAME  sets V to the id of the contact of that name
//	nowhere DIR W  W stands in no file below DIR, whatever the file is; with !W, in some
//	mode FILE M    FILE must have the permissions M, octal
//	jsonlines F K… F must have lines, each a JSON object that has the keys
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"exits": exits, "serve": serve, "printed": printed, "terminate": terminate, "sqlite": behindItsBack, "past": past,
	"soon": soon, "jsonlines": jsonLines,
	"verifierkey": verifierKey, "mode": mode, "contactid": contactID, "nowhere": nowhere,
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: settings, Cmds: commands, RequireExplicitExec: true, RequireUniqueNames: true})
}

// Each script of this folder has an empty PostgreSQL database, and the URLs of its
// owner, of the application's role and of a superuser.
func TestPostgresScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/postgres", Cmds: commands, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			tb := e.T().(testing.TB)
			owner, app := pgtest.Database(tb)
			e.Setenv("OWNER_URL", owner)
			e.Setenv("APP_URL", app)
			e.Setenv("SUPER_URL", pgtest.As(tb, owner, ""))
			return settings(e)
		}})
}

// settings are those of a new installation: a key of its own, and nothing else.
func settings(e *testscript.Env) error {
	e.Setenv("HANDOVER_SECRET_KEY", secret.NewKey())
	e.Setenv("HANDOVER_DATA", filepath.Join(e.WorkDir, "data"))
	e.Setenv("LANG", "C.UTF-8")
	e.Values[server{}] = new(server)
	return nil
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// server is the one server of a script.
type server struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan error
}

var ready = regexp.MustCompile(`(?m)^(?:serving on|  API  ) +(http://[^\s/]+)`)

func serve(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(server{}).(*server)
	if s.cmd != nil {
		ts.Fatalf("there is a server already")
	}
	*s = server{stdout: newOutput(), stderr: newOutput(), ended: make(chan error, 1)}
	s.cmd = exec.Command("handover", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...) // #nosec G204 -- the script's words
	s.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "HANDOVER_DATA", "HANDOVER_SECRET_KEY", "HANDOVER_DATABASE_URL", "HANDOVER_MIGRATE_DATABASE_URL"} {
		s.cmd.Env = append(s.cmd.Env, name+"="+ts.Getenv(name))
	}
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, s.stderr
	ts.Check(s.cmd.Start())
	go func() { s.ended <- s.cmd.Wait() }()
	ts.Defer(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
			<-s.ended
			s.cmd = nil // a script that serves twice ends it once
		}
	})
	for {
		if at := ready.FindStringSubmatch(s.stdout.String()); at != nil {
			ts.Setenv("URL", at[1])
			return
		}
		select {
		case err := <-s.ended:
			s.cmd = nil
			ts.Fatalf("the server ended: %v\n%s", err, s.stderr)
		case <-s.stdout.more:
		}
	}
}

func printed(ts *testscript.TestScript, _ bool, _ []string) {
	line := regexp.MustCompile(`(?m)^ +(curl .*)$`).FindStringSubmatch(ts.Value(server{}).(*server).stdout.String())
	if line == nil {
		ts.Fatalf("no curl is printed")
	}
	ts.Check(ts.Exec("sh", "-c", line[1]))
}

// terminate leaves what the server has said for stdout and stderr.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	s := ts.Value(server{}).(*server)
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	err := <-s.ended
	s.cmd = nil
	_, _ = ts.Stdout().Write([]byte(s.stdout.String()))
	_, _ = ts.Stderr().Write([]byte(s.stderr.String()))
	ts.Check(err)
}

func past(ts *testscript.TestScript, _ bool, _ []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs("data/demo.db"))
	ts.Check(err)
	defer db.Close()
	var id nid.ID
	ts.Check(db.QueryRow(`SELECT id FROM handovers WHERE state = 'COMPLETED' ORDER BY id LIMIT 1`).Scan(&id))
	ts.Setenv("PAST", id.String())
}

func behindItsBack(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	c, err := db.Conn(context.Background())
	ts.Check(err)
	defer c.Close()
	for _, q := range args[1:] {
		if _, err := c.ExecContext(context.Background(), q); err != nil {
			ts.Fatalf("%s: %v", strings.TrimSpace(q), err)
		}
	}
}

func soon(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv("SOON", time.Now().UTC().Add(10*time.Second).Format(time.RFC3339))
}

func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jsonlines FILE KEY…")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		for _, key := range args[1:] {
			if _, has := object[key]; !has {
				ts.Fatalf("%q has no %s", line, key)
			}
		}
	}
}

func verifierKey(ts *testscript.TestScript, _ bool, args []string) {
	_, key, ok := strings.Cut(ts.ReadFile("stdout"), "verifier key: ")
	if !ok || len(args) != 1 {
		ts.Fatalf("usage: verifierkey NAME, after audit checkpoint")
	}
	ts.Setenv(args[0], strings.TrimSpace(key))
}

func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has the permissions %s, want %s", args[0], got, args[1])
	}
}

func contactID(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[1]))
	ts.Check(err)
	defer db.Close()
	var id nid.ID
	ts.Check(db.QueryRow(`SELECT id FROM contacts WHERE name = $1`, args[2]).Scan(&id))
	ts.Setenv(args[0], id.String())
}

func nowhere(ts *testscript.TestScript, _ bool, args []string) {
	word, there := strings.CutPrefix(args[1], "!")
	var found []string
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.Contains(ts.ReadFile(path), word) {
			found = append(found, path)
		}
		return nil
	}))
	if there != (len(found) > 0) {
		ts.Fatalf("%q stands in %v", word, found)
	}
}
