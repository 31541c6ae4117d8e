// Package pgtest brings up a PostgreSQL that is thrown away after the tests.
//
// A test asks for a database of its own:
//
//	owner, app := pgtest.Database(t)
//
// The first test of a process starts the server, unless HANDOVER_TEST_POSTGRES
// names one already (cmd/check sets it, so that all packages share one). Where no
// server can be had the test fails and says how to get one; nothing is skipped.
// The server ends with the process that started it, however that ends.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	poll         = 20 * time.Millisecond
)

var errPortTaken = errors.New("the port was taken meanwhile")

// Server is a running throw-away PostgreSQL.
type Server struct {
	// URL signs a superuser in. It holds a password made for this server.
	URL string
	// Version is what the server calls itself, e.g. "15.18 (Debian 15.18-0+deb12u1)".
	Version string

	dir    string
	alive  io.Closer // the server stops when this closes, or when we die
	exited chan error
}

// Start makes and starts a server on a free port of 127.0.0.1; as root it runs as
// an unprivileged user, because PostgreSQL refuses to run as root. Missing
// programs are installed where we are root on Debian or one of its children, else
// the error is ErrNoServer. ctx bounds the start only. logf hears of slow steps.
//
// Data does not outlive a crash of the machine (fsync is off). Everything that a
// client can observe of a transaction is as in production.
func Start(ctx context.Context, logf func(format string, args ...any)) (*Server, error) {
	bin, err := find()
	if errors.Is(err, ErrNoServer) {
		bin, err = install(ctx, logf)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for try := 1; ; try++ {
		s, err := start(ctx, bin)
		// Between looking for a free port and listening on it somebody else may take it.
		if errors.Is(err, errPortTaken) && try < 5 {
			continue
		}
		return s, err
	}
}

func start(ctx context.Context, bin string) (_ *Server, err error) {
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := as.makeDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	password := rand.Text()
	if err := initialise(ctx, as, bin, dir, password); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	alive, exited, err := as.supervise(dir, log, append([]string{filepath.Join(bin, "postgres")}, settings(dir, port)...))
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, alive: alive, exited: exited, URL: (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()}
	if err := s.await(ctx); err != nil {
		_ = s.Stop()
		said := tail(log)
		if strings.Contains(said, "could not bind") || strings.Contains(said, "could not create any TCP/IP sockets") {
			return nil, errPortTaken
		}
		return nil, fmt.Errorf("the throw-away PostgreSQL did not start: %w\n%s", err, said)
	}
	return s, nil
}

// initialise makes the data folder. The password matters even though the server
// listens on loopback only: a superuser may run programs, and other people on this
// machine must not do so as us.
func initialise(ctx context.Context, as account, bin, dir, password string) error {
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	if err := as.own(file); err != nil {
		return err
	}
	var said []byte
	var err error
	// The order of text should not depend on the machine's language, but older
	// systems do not know C.UTF-8, and in plain C no letter but ASCII is a letter.
	for _, locale := range []string{"C.UTF-8", "en_US.UTF-8"} {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"),
			"-U", "postgres", "-A", "password", "--pwfile="+file, "--no-sync", "-E", "UTF8", "--locale="+locale)
		as.apply(cmd, dir)
		if said, err = cmd.CombinedOutput(); err == nil {
			return nil
		}
		if !strings.Contains(string(said), "locale") {
			break
		}
	}
	return fmt.Errorf("initdb: %w\n%s", err, said)
}

func settings(dir string, port int) []string {
	args := []string{"-D", filepath.Join(dir, "data")}
	for _, s := range []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port),
		// No local socket: its path has a length limit that temporary folders can exceed.
		"unix_socket_directories=",
		"max_connections=200",
		"fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
		// What runs beside a test must not change its plans or its timing.
		"autovacuum=off", "jit=off",
		"lc_messages=C",
	} {
		args = append(args, "-c", s)
	}
	return args
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// await returns when the server answers; with an error when it ends before.
func (s *Server) await(ctx context.Context) error {
	db, err := sql.Open("postgres", s.URL)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if err = db.QueryRowContext(ctx, "SHOW server_version").Scan(&s.Version); err == nil {
			return nil
		}
		select {
		case status := <-s.exited:
			s.exited <- status // Stop asks again
			return fmt.Errorf("it ended (%s)", fmt.Sprint(status))
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Stop ends the server and removes its files. It may be called twice.
func (s *Server) Stop() error {
	_ = s.alive.Close() // closed before: the server is ending already
	select {
	case status := <-s.exited:
		s.exited <- status
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the throw-away PostgreSQL in %s did not end within %s", s.dir, stopTimeout)
	}
}

func tail(log *os.File) string {
	const most = 4 << 10
	info, err := log.Stat()
	if err != nil {
		return ""
	}
	from := max(0, info.Size()-most)
	text, _ := io.ReadAll(io.NewSectionReader(log, from, most))
	return strings.TrimSpace(string(text))
}
