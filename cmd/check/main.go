// Command check is the one command that says whether this tree is sound:
//
//	go run ./cmd/check [-run regexp] [-bench regexp] [-short] [-v] [-race auto|on|off] [packages]
//
// It starts a throw-away PostgreSQL, sees that go.mod is tidy, vets, and runs all tests
// on both databases. It needs Go and nothing else. Its exit code is not 0 if anything
// failed, and where no PostgreSQL can be had that is a failure too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/openhandover/openhandover/internal/store/pgtest"
)

// The limits are per package, and far above what any needs on two shared cores.
const (
	limit     = 15 * time.Minute
	limitRace = 30 * time.Minute
	grace     = 20 * time.Second // for what was interrupted to clean up
)

const interrupted = 130 // as a shell has it for Ctrl-C

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	c := &check{options: o, stdout: stdout, stderr: stderr, env: os.Environ()}
	if err := c.all(ctx); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(stderr, "check: interrupted")
			return interrupted
		}
		fmt.Fprintf(stderr, "check: %v\n", err)
		if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.ExitCode() > 0 {
			return failed.ExitCode()
		}
		return 1
	}
	fmt.Fprintln(stdout, "check: all is well")
	return 0
}

type check struct {
	options
	stdout, stderr io.Writer
	env            []string
}

func (c *check) say(format string, args ...any) {
	fmt.Fprintf(c.stdout, "check: "+format+"\n", args...)
}

func (c *check) all(ctx context.Context) error {
	c.say("%s %s/%s, %d processors", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	stop, err := c.postgres(ctx)
	if err != nil {
		return err
	}
	defer stop()
	race, why, err := c.race(ctx)
	if err != nil {
		return err
	}
	c.say("race detector %s", why)
	if err := c.step(ctx, "mod", "tidy", "-diff"); err != nil {
		return err
	}
	if err := c.step(ctx, append([]string{"vet"}, c.packages...)...); err != nil {
		return err
	}
	return c.step(ctx, c.testArgs(race)...)
}

// postgres gives all packages one server: the one that the environment names, or
// one of our own.
func (c *check) postgres(ctx context.Context) (stop func(), err error) {
	if address := os.Getenv(pgtest.EnvURL); address != "" {
		version, err := pgtest.Probe(ctx, address)
		if err != nil {
			return nil, err
		}
		c.say("PostgreSQL %s, the one that %s names", version, pgtest.EnvURL)
		return func() {}, nil
	}
	began := time.Now()
	s, err := pgtest.Start(ctx, c.say)
	if err != nil {
		return nil, err
	}
	c.say("PostgreSQL %s, started for this run in %s", s.Version, time.Since(began).Round(10*time.Millisecond))
	c.env = append(c.env, pgtest.EnvURL+"="+s.URL)
	return func() {
		if err := s.Stop(); err != nil {
			fmt.Fprintf(c.stderr, "check: %v\n", err)
		}
	}, nil
}

// step runs a go command and streams what it says.
func (c *check) step(ctx context.Context, args ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.say("go %s", join(args))
	began := time.Now()
	cmd := c.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			killGroup(cmd)
		}
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	c.say("go %s passed in %s", args[0], time.Since(began).Round(100*time.Millisecond))
	return nil
}

// command makes a go command whose whole process group ends with ctx: politely
// first, so that tests can clean up.
func (c *check) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = c.env
	cmd.WaitDelay = grace
	group(cmd)
	return cmd
}
