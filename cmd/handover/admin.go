package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
)

type adminCmd struct {
	Create      adminCreateCmd      `cmd:"" help:"Make a corp's first administrator; the corp too, where there is none. Reads the password from the terminal or standard input."`
	SetPassword adminSetPasswordCmd `cmd:"" help:"Give a member a login and password; ends their sessions."`
	Enrol       adminEnrolCmd       `cmd:"" help:"Give a member a new authenticator; ends their sessions."`
}

type adminCreateCmd struct {
	Corp     string `required:"" help:"The corp's name." placeholder:"NAME"`
	Login    string `required:"" help:"What the administrator signs in with."`
	Name     string `help:"The administrator's name (default: the login)."`
	UserID   string `name:"userid" help:"The member's userid (default: the login)."`
	TimeZone string `name:"time-zone" default:"Asia/Shanghai" help:"The corp's time zone (${default})." placeholder:"ZONE"`
	JSON     bool   `name:"json" help:"Print JSON."`
}

// Run makes the administrator and enrols an authenticator.
func (c *adminCreateCmd) Run(e *env) error {
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	password, err := e.password()
	if err != nil {
		return err
	}
	made, err := p.use.Identity.AddAdministrator(e.ctx, identity.Administrator{
		Corp: c.Corp, TimeZone: c.TimeZone, Login: c.Login, UserID: c.UserID, Name: c.Name, Password: password,
	})
	if err != nil {
		return err
	}
	if !c.JSON {
		if made.Founded {
			fmt.Fprintf(e.stdout, "founded the corp %s\n", c.Corp)
		}
		fmt.Fprintf(e.stdout, "%s administers %s\n", c.Login, c.Corp)
	}
	enrolled, err := p.use.Identity.Enrol(store.System(e.ctx, made.Corp, "command line"), made.Member)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.json(map[string]any{"corp": c.Corp, "founded": made.Founded, "login": c.Login, "memberId": made.Member.String(), "authenticator": enrolled.URI, "recoveryCodes": enrolled.RecoveryCodes})
	}
	return e.showAuthenticator(enrolled)
}

type adminSetPasswordCmd struct {
	Corp   string `help:"The corp's name; not needed where there is one." placeholder:"NAME"`
	Login  string `required:"" help:"What the member signs in with."`
	UserID string `name:"userid" help:"The member's userid (default: whoever has the login, or the login as userid)."`
}

// Run sets the password.
func (c *adminSetPasswordCmd) Run(e *env) error {
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	ctx, _, err := p.corp(e.ctx, c.Corp)
	if err != nil {
		return err
	}
	who := c.UserID
	if who == "" {
		who = c.Login
	}
	id, err := p.use.Identity.Find(ctx, who)
	if err != nil {
		return err
	}
	password, err := e.password()
	if err != nil {
		return err
	}
	if err := p.use.Identity.SetPassword(ctx, id, c.Login, password); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s has a new password\n", c.Login)
	return nil
}

type adminEnrolCmd struct {
	Corp  string `help:"The corp's name; not needed where there is one." placeholder:"NAME"`
	Login string `required:"" help:"What the member signs in with."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Run enrols an authenticator and shows it once.
func (c *adminEnrolCmd) Run(e *env) error {
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	ctx, _, err := p.corp(e.ctx, c.Corp)
	if err != nil {
		return err
	}
	id, err := p.use.Identity.Find(ctx, c.Login)
	if err != nil {
		return err
	}
	enrolled, err := p.use.Identity.Enrol(ctx, id)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.json(map[string]any{"login": c.Login, "authenticator": enrolled.URI, "recoveryCodes": enrolled.RecoveryCodes})
	}
	return e.showAuthenticator(enrolled)
}

func (e *env) showAuthenticator(of identity.Enrolled) error {
	// On a terminal the colours are set, so that the code can be read off a light one too.
	f, ok := e.stdout.(*os.File)
	code, err := secret.QR(of.URI, ok && term.IsTerminal(int(f.Fd()))) // #nosec G115 -- a descriptor is small
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "enrol an authenticator app with this code; it is shown this one time:\n\n%s\n%s\n", code, of.URI)
	fmt.Fprintf(e.stdout, "\nrecovery codes, each good once in place of the authenticator:\n\n  %s\n", strings.Join(of.RecoveryCodes, "\n  "))
	return nil
}

// password reads one from the terminal, unseen and twice, or the first line of
// standard input.
func (e *env) password() (string, error) {
	if f, ok := e.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) { // #nosec G115 -- a descriptor is small
		read := func(prompt string) (string, error) {
			fmt.Fprint(e.stderr, prompt)
			b, err := term.ReadPassword(int(f.Fd())) // #nosec G115
			fmt.Fprintln(e.stderr)
			return string(b), err
		}
		first, err := read("Password: ")
		if err != nil {
			return "", err
		}
		second, err := read("Again: ")
		if err != nil {
			return "", err
		}
		if first != second {
			return "", errors.New("the two passwords differ; nothing was changed")
		}
		return first, nil
	}
	line, err := bufio.NewReader(io.LimitReader(e.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("give the password on standard input, one line")
	}
	return line, nil
}
