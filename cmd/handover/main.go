// Command handover is the whole product in one binary: the server, and what an
// operator does on the command line. Only this package reads configuration and
// joins the others.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/fault"
)

// The exit codes of operator.md.
const (
	done   = 0
	failed = 1
	usage  = 2
)

// cli is the command line. Every setting of an installation is a flag of every
// command, so that one environment serves them all.
type cli struct {
	config.Config `embed:"" group:"Settings:"`

	Serve      serveCmd      `cmd:"" help:"Serve the API. With --demo: on demo data, nothing to install."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database's schema up to date, or show where it stands."`
	Import     importCmd     `cmd:"" help:"Load or update a corp from a folder of CSV files."`
	Admin      adminCmd      `cmd:"" help:"Create the first administrator, set passwords, enrol authenticators."`
	Token      tokenCmd      `cmd:"" help:"Make service tokens for programs."`
	Audit      auditCmd      `cmd:"" help:"Check the audit log."`
	Schema     schemaCmd     `cmd:"" help:"Print the API's schema."`
	ConfigCmd  configCmd     `cmd:"" name:"config" help:"Show the settings in force."`
	Doctor     doctorCmd     `cmd:"" help:"Say what is wrong with this installation, and what to do."`
	Version    versionCmd    `cmd:"" help:"Print what was built."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

// env is what a command runs in; tests bring their own.
type env struct {
	ctx    context.Context
	config *config.Config
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	lang   string
	model  *kong.Application
}

func main() { os.Exit(Main()) }

// Main runs the program as the shell called it and gives its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("handover"), kong.UsageOnError(),
		kong.Description("OpenHandover hands a leaver's customers over, checks permission and keeps the record."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: false}))
	if err != nil {
		fmt.Fprintln(stderr, "handover:", err)
		return failed
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintln(stderr, "handover:", err)
		return usage
	}
	e := &env{ctx: ctx, config: &c.Config, stdin: stdin, stdout: stdout, stderr: stderr, lang: os.Getenv("LANG"), model: parser.Model}
	if err := parsed.Run(e); err != nil {
		if _, silent := errors.AsType[*said](err); !silent {
			fmt.Fprintln(stderr, "handover:", e.sentence(err))
		}
		return failed
	}
	return done
}

// said is a failure that the command has already told.
type said struct{ error }

// sentence is an error for people: one line, in their language where it has one.
func (e *env) sentence(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		s := f.Text.In(e.lang)
		if f.Field != "" {
			s = f.Field + ": " + s
		}
		return s
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}
