package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/demo"
	"github.com/openhandover/openhandover/internal/identity/secret"
)

// openDemo opens the demo's file, making it first where there is none.
func (e *env) openDemo(reset bool) (*program, error) {
	if err := e.demoAddress(); err != nil {
		return nil, err
	}
	if e.config.DatabaseURL != "" {
		fmt.Fprintln(e.stderr, "the demo has a file of its own; the database that is configured is left alone")
	}
	file := e.demoFile()
	if _, err := os.Stat(file); reset || os.IsNotExist(err) {
		if err := e.makeDemo(file); err != nil {
			return nil, err
		}
	}
	return e.joinDemo()
}

// openOrDemo opens the demo's database, or the configured one.
func (e *env) openOrDemo(demo bool) (*program, error) {
	if demo {
		return e.joinDemo()
	}
	return e.open()
}

// joinDemo opens the demo's file, which is there.
func (e *env) joinDemo() (*program, error) {
	p, err := e.join(setting{url: sqlite(e.demoFile()), keys: []secret.Key{secret.DemoKey()}, demo: true})
	if err != nil {
		return nil, err
	}
	if err := e.fit(p.db); err != nil {
		p.close()
		return nil, fmt.Errorf("the demo's file is from another version (%w); make a new one with --reset", err)
	}
	return e.willing(p, nil)
}

// demoAddress refuses an address that others could reach, and one that is taken:
// better now than after making data, or throwing away what another demo serves.
func (e *env) demoAddress() error {
	host, _, err := net.SplitHostPort(e.config.Listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--listen: the demo's password is public, so it serves this machine only; %s is not loopback", e.config.Listen)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(e.ctx, "tcp", e.config.Listen)
	if err != nil {
		return err
	}
	return l.Close()
}

// makeDemo makes the data in a folder beside the file and moves it there at the
// end: whatever breaks it off, nothing half made is ever found under the name that
// is looked for, and what was there before stays until then.
func (e *env) makeDemo(file string) error {
	if err := os.MkdirAll(e.config.Data, 0o700); err != nil {
		return err
	}
	abandoned(e.config.Data)
	folder, err := os.MkdirTemp(e.config.Data, making)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	half := filepath.Join(folder, filepath.Base(file))
	fmt.Fprintln(e.stderr, "making the demo data (a few seconds, once) …")
	if err := e.seed(half); err != nil {
		return fmt.Errorf("the demo data could not be made: %w", err)
	}
	if err := os.RemoveAll(e.config.Checkpoints(true)); err != nil { // they are of what goes now
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(file + suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return os.Rename(half, file)
}

func (e *env) seed(file string) error {
	clock := demo.NewClock(nil)
	p, err := e.join(setting{url: sqlite(file), keys: []secret.Key{secret.DemoKey()}, demo: true, clock: clock.Now})
	if err != nil {
		return err
	}
	progress := newProgress(e.stderr)
	if err = e.fit(p.db); err == nil {
		err = demo.Seed(e.ctx, demo.Services{DB: p.db, Log: p.log, Identity: p.use.Identity, Members: p.use.Member, Handovers: p.use.Handover, Clock: clock, Progress: progress.step})
	}
	progress.end()
	return errors.Join(err, p.db.Close()) // closing folds the write-ahead log into the file
}

// making is how folders of unfinished demos begin.
const making = "demo-making-"

// abandoned removes what a killed process left. Another may be at work just now.
func abandoned(data string) {
	old, _ := filepath.Glob(filepath.Join(data, making+"*")) // fails on a malformed pattern only
	for _, folder := range old {
		if info, err := os.Stat(folder); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(folder)
		}
	}
}

// greet says what the demo is and how to begin.
func (e *env) greet(a, operator net.Addr) {
	var b strings.Builder
	at := base(a)
	fmt.Fprintf(&b, "\n  OpenHandover DEMO: invented people, public password. Not for real data.\n\n")
	fmt.Fprintf(&b, "  GraphiQL   %s/graphiql\n  API        %s/graphql\n  Health     %s/readyz\n", at, at, at)
	if operator != nil {
		fmt.Fprintf(&b, "  Metrics    %s/metrics\n", base(operator))
	}
	b.WriteString("\n")
	fmt.Fprintf(&b, "  Accounts (password %s, which also proves identity here):\n", demo.Password)
	for _, acc := range demo.Accounts {
		where := "the whole corp"
		if acc.Department == demo.East {
			where = "华东销售部 and below"
		}
		fmt.Fprintf(&b, "    %-12s %-13s %-14s %s\n", acc.Login, "in "+acc.Corp, acc.Role, where)
	}
	fmt.Fprintf(&b, "\n  Try it:\n\n    %s\n\n", curl(at))
	_, _ = e.stdout.Write([]byte(b.String()))
}

// curl is a command that signs in and shows who is signed in.
func curl(base string) string {
	return `curl -s ` + base + `/graphql -H 'Content-Type: application/json' -d '{"query":"mutation { signIn(input: {corp: \"` + demo.Main +
		`\", login: \"admin\", password: \"` + demo.Password + `\"}) { token viewer { member { name } permissions } } }"}'`
}
