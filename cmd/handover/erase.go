package main

import (
	"errors"
	"fmt"

	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type eraseCmd struct {
	ID  string `arg:"" help:"The contact (con_…), or the member who has departed (mbr_…)."`
	Yes bool   `help:"Do it. It cannot be undone."`
}

// Run forgets a person. What happened stays, and the log still verifies.
func (c *eraseCmd) Run(e *env) error {
	id, err := nid.Parse(c.ID)
	if err != nil || id.Kind() != nid.Contact && id.Kind() != nid.Member {
		return &misuse{fmt.Errorf("%q is no contact's or member's id, which begin with con_ and mbr_", c.ID)}
	}
	if !c.Yes {
		return &misuse{errors.New("erasing cannot be undone; add --yes to do it")}
	}
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	corps, err := p.db.Corps(e.ctx)
	if err != nil {
		return err
	}
	service := &erasure.Service{DB: p.db, Log: p.log, Folder: e.config.Checkpoints(false), Tidy: p.use.Export.Sweep}
	for _, corp := range corps {
		err := service.Erase(store.System(e.ctx, corp, "erase on the command line"), id)
		if fault.CodeOf(err) == fault.NotFound {
			continue
		}
		if err == nil {
			fmt.Fprintf(e.stdout, "%s is erased; a backup from before is restored without it\n", id)
			if p.db.Postgres() {
				fmt.Fprintln(e.stdout, "PostgreSQL's files hold the former rows until VACUUM, and archived WAL holds them until it is deleted; see docs/operations.md")
			}
		}
		return err
	}
	return fmt.Errorf("there is no %s", id)
}
