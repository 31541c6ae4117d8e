package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check every entry of the audit log: chain, columns and head."`
}

type auditVerifyCmd struct {
	Corp string `help:"The corp's name (default: all)." placeholder:"NAME"`
	Demo bool   `help:"Check the demo's database."`
	JSON bool   `name:"json" help:"Print JSON."`
}

type verified struct {
	Corp    string `json:"corp"`
	Entries int64  `json:"entries"`
	Head    string `json:"head"`
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
	Index   *int64 `json:"index,omitempty"`
}

// Run verifies. It needs no secret key: what is sealed stays sealed.
func (c *auditVerifyCmd) Run(e *env) error {
	url := e.config.Database().Reveal()
	if c.Demo {
		url = "sqlite:" + filepath.ToSlash(filepath.Join(e.config.Data, "demo.db"))
	}
	db, err := e.existing(url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.Fits(e.ctx); err != nil {
		return err
	}
	corps, err := db.Corps(e.ctx)
	if c.Corp != "" {
		var id nid.ID
		if id, err = db.CorpNamed(e.ctx, c.Corp); err == nil && id.IsZero() {
			err = fmt.Errorf("--corp: there is no corp named %q", c.Corp)
		}
		corps = []nid.ID{id}
	}
	if err != nil {
		return err
	}
	if len(corps) == 0 && !c.JSON {
		fmt.Fprintln(e.stdout, "there is no corp, so there is no log")
	}
	broken := 0
	for _, corp := range corps {
		v, err := c.verify(e, db, corp)
		if err != nil {
			return err
		}
		if !v.OK {
			broken++
		}
		switch {
		case c.JSON:
			if err := json.NewEncoder(e.stdout).Encode(v); err != nil {
				return err
			}
		case v.OK:
			fmt.Fprintf(e.stdout, "%s: %d entries, all in order; head %s\n", v.Corp, v.Entries, v.Head)
		default:
			fmt.Fprintf(e.stderr, "%s: BROKEN: %s\n", v.Corp, v.Problem)
		}
	}
	if broken > 0 {
		return &said{fmt.Errorf("%d logs are broken", broken)}
	}
	return nil
}

func (c *auditVerifyCmd) verify(e *env, db *store.DB, corp nid.ID) (verified, error) {
	p := newProgress(e.stderr)
	result, err := audit.Verify(e.ctx, db, corp, func(done, total int64) { p.step("entries", int(done), int(total)) })
	p.end()
	v := verified{Corp: corp.String(), Entries: result.Entries, Head: hex.EncodeToString(result.Head[:]), OK: err == nil}
	var b *leaf.Broken
	if errors.As(err, &b) {
		v.Problem, v.Index = b.Text().In(e.lang), &b.Index
		return v, nil
	}
	return v, err
}
