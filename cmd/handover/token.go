package main

import (
	"encoding"
	"fmt"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a service token and print it, this one time."`
}

type tokenCreateCmd struct {
	Corp       string              `help:"The corp's name; not needed where there is one." placeholder:"NAME"`
	Name       string              `required:"" help:"What the token is for." placeholder:"NAME"`
	Permission []access.Permission `required:"" enum:"${permissions}" help:"A permission; repeatable. One of ${enum}." placeholder:"P"`
	Expires    lifetime            `default:"90d" help:"How long it is valid, such as 90d or 12h; a year at most (${default})." placeholder:"TIME"`
	JSON       bool                `name:"json" help:"Print JSON."`
}

// tokenPermissions lists what a token may carry.
func tokenPermissions() string {
	var list []string
	for _, p := range access.Permissions {
		if !p.ForPeopleOnly() {
			list = append(list, string(p))
		}
	}
	return strings.Join(list, ",")
}

// Run makes the token.
func (c *tokenCreateCmd) Run(e *env) error {
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	ctx, _, err := p.corp(e.ctx, c.Corp)
	if err != nil {
		return err
	}
	expires := p.db.Now().Add(time.Duration(c.Expires))
	id, token, err := p.use.Identity.CreateToken(ctx, c.Name, c.Permission, nil, expires)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.json(map[string]any{"id": id.String(), "token": token, "expiresAt": expires})
	}
	_, err = fmt.Fprintln(e.stdout, token)
	return err
}

// lifetime is a duration that may also be in days.
type lifetime time.Duration

var _ encoding.TextUnmarshaler = (*lifetime)(nil)

// UnmarshalText reads 90d or what time.ParseDuration does.
func (l *lifetime) UnmarshalText(b []byte) error {
	text, unit := string(b), time.Duration(1)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		text, unit = days+"h", 24
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no duration; write 90d or 12h", b)
	}
	*l = lifetime(d * unit)
	return nil
}
