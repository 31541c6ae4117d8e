// Command handover is the whole product in one binary: the server, and what an
// operator does on the command line. Only this package reads configuration and
// joins the others.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/openhandover/openhandover/internal/config"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/fault"
)

// The exit codes of operator.md.
const (
	done      = 0
	failed    = 1
	usage     = 2
	untrusted = 3 // an evidence package that is in order, signed with an unknown key
)

// cli is the command line. Every setting of an installation is a flag of every
// command, so that one environment serves them all.
type cli struct {
	config.Config `embed:"" group:"Settings:"`

	Serve      serveCmd      `cmd:"" help:"Serve the API. With --demo: on demo data, nothing to install."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database's schema up to date, or show where it stands."`
	Import     importCmd     `cmd:"" help:"Load or update a corp from a folder of CSV files."`
	Admin      adminCmd      `cmd:"" help:"Create the first administrator, set passwords, enrol authenticators."`
	Secrets    secretsCmd    `cmd:"" help:"Rotate the secret key."`
	Token      tokenCmd      `cmd:"" help:"Make service tokens for programs."`
	BI         biCmd         `cmd:"" name:"bi" help:"Say which PostgreSQL roles read which corp's rows for reports."`
	Watch      watchCmd      `cmd:"" help:"Watch a handover until it has ended; 0 if it is COMPLETED."`
	Audit      auditCmd      `cmd:"" help:"Check the audit log."`
	Backup     backupCmd     `cmd:"" help:"Back corps up, encrypted; list the backups; make keys."`
	Restore    restoreCmd    `cmd:"" help:"Put a backup into a database that does not have its corp."`
	Erase      eraseCmd      `cmd:"" help:"Forget a contact, or a member who has departed."`
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
	flags  []*kong.Flag // of the command that runs
}

func main() { os.Exit(Main()) }

// Main runs the program as the shell called it and gives its exit code. The first
// signal asks it to finish, the second ends it at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("handover"),
		kong.Description("OpenHandover hands a leaver's customers over, checks permission and keeps the record."),
		kong.Vars{"permissions": tokenPermissions()},
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: false}))
	if err != nil {
		fmt.Fprintln(stderr, "handover:", err)
		return failed
	}
	e := &env{ctx: ctx, config: &c.Config, stdin: stdin, stdout: stdout, stderr: stderr, lang: language(), model: parser.Model}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "handover: %s%s\n", e.sentence(err), hint(err))
		return usage
	}
	e.flags = parsed.Flags()
	if err := parsed.Run(e); err != nil {
		if _, silent := errors.AsType[*said](err); !silent {
			fmt.Fprintln(stderr, "handover:", e.sentence(err))
		}
		if _, wrong := errors.AsType[*misuse](err); wrong {
			return usage
		}
		if errors.Is(err, offline.ErrUntrusted) {
			return untrusted
		}
		return failed
	}
	return done
}

// said is a failure that the command has already told.
type said struct{ error }

func (s *said) Unwrap() error { return s.error }

// misuse is a command line that reads well and makes no sense.
type misuse struct{ error }

// hint says where to look when the command line itself cannot be read.
func hint(err error) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if !ok || wrong.Context == nil {
		return ""
	}
	// A setting's own sentence says what to write.
	if strings.HasPrefix(err.Error(), "--") {
		return ""
	}
	command := "handover"
	if c := wrong.Context.Selected(); c != nil {
		command = c.FullPath()
	}
	return "; see `" + command + " --help`"
}

// language is the one of the messages, as POSIX looks it up.
func language() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// sentence is an error for people: one line, in their language where it has one.
func (e *env) sentence(err error) string {
	if e.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fault.T("interrupted", "已中断").In(e.lang)
	}
	if all, ok := errors.AsType[fault.List](err); ok {
		var lines []string
		for _, f := range all {
			lines = append(lines, e.about(f))
		}
		return strings.Join(lines, "; ")
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return e.about(f)
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// about is a fault's sentence, and the flag it is about in place of the API's field.
func (e *env) about(f *fault.Error) string {
	field := f.Field[strings.LastIndexByte(f.Field, '.')+1:]
	if flag, ok := map[string]string{"permissions": "permission", "expiresAt": "expires", "timeZone": "time-zone"}[field]; ok {
		field = flag
	}
	for _, flag := range e.flags {
		if flag.Name == field {
			field = "--" + field
			break
		}
	}
	s := f.Text.In(e.lang)
	if field != "" {
		s = field + ": " + s
	}
	return s
}

// json prints a value on a line of its own.
func (e *env) json(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false) // a URI stays one that can be copied
	return enc.Encode(v)
}
