package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type auditCmd struct {
	Verify     auditVerifyCmd     `cmd:"" help:"Check every entry of the audit log: chain, columns, head and checkpoints; or an evidence package."`
	Export     auditExportCmd     `cmd:"" help:"Write the evidence package of a handover."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Sign the audit log as it is now, and print that with the key to check it by."`
	Key        auditKeyCmd        `cmd:"" help:"The key that signs checkpoints."`
	Accept     auditAcceptCmd     `cmd:"" name:"accept-rollback" help:"Accept a database that is older than the checkpoints in the data folder, such as a restored backup."`
}

type auditVerifyCmd struct {
	Package string `arg:"" optional:"" help:"An evidence package to check, instead of the database; needs nothing else."`
	Corp    string `help:"The corp's name (default: all, also those that only the folder of checkpoints knows)." placeholder:"NAME"`
	Demo    bool   `help:"Check the demo's database."`
	JSON    bool   `name:"json" help:"Print JSON."`
	Sealed  bool   `help:"Fail where entries are not covered by a checkpoint yet, or checkpoints not copied."`

	Keys        []string `name:"key" placeholder:"KEY" help:"Verifier key that checkpoints must be signed with, as audit checkpoint prints it; repeatable. Without one the keys that the log names are taken."`
	Checkpoints string   `placeholder:"FOLDER" help:"Folder with copies of checkpoints (default: checkpoints in the data folder)."`
}

type verified struct {
	Corp    string `json:"corp"`
	CorpID  string `json:"corpId"`
	Entries int64  `json:"entries"`
	Head    string `json:"head"`
	Sealed  int64  `json:"sealed"`
	Copies  int    `json:"copies"`
	// Unsealed and Behind are how many of the newest entries no checkpoint vouches for,
	// and how many of the newest checkpoints the copy does not have.
	Unsealed int64 `json:"unsealed"`
	Behind   int   `json:"behind"`
	// Untimed is how many of the checkpoints were signed without their time.
	Untimed int `json:"untimed"`

	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
	Index   *int64 `json:"index,omitempty"`
}

// seals says how much of the log checkpoints vouch for.
func (v verified) seals() string {
	s := "no checkpoints yet"
	if v.Sealed > 0 {
		s = fmt.Sprintf("checkpoints up to entry %d", v.Sealed-1)
		if v.Copies == 0 {
			s += ", none of them kept outside of the database"
		}
	}
	if v.Unsealed > 0 {
		s += fmt.Sprintf("; no checkpoint vouches for the newest %d", v.Unsealed)
	}
	if v.Untimed > 0 {
		s += fmt.Sprintf("; no signature vouches for the time of %d checkpoints, which an earlier version made", v.Untimed)
	}
	if v.Behind > 0 {
		s += fmt.Sprintf("; the newest %d checkpoints are not in the copy: lines were removed, or the folder is an older one or another replica's", v.Behind)
	}
	return s
}

// Run verifies. It needs no secret key: what is sealed stays sealed.
func (c *auditVerifyCmd) Run(e *env) error {
	if c.Package != "" {
		return c.verifyPackage(e)
	}
	url := e.config.Database().Reveal()
	if c.Demo {
		url = sqlite(e.demoFile())
	}
	db, err := e.existing(url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.Fits(e.ctx); err != nil {
		return err
	}
	corps, err := corpsOf(e.ctx, db, c.Corp)
	if err != nil {
		return err
	}
	folder := cmp.Or(c.Checkpoints, e.config.Checkpoints(c.Demo))
	if c.Corp == "" {
		known, err := audit.Known(folder)
		if err != nil {
			return fmt.Errorf("--checkpoints: %w", err)
		}
		for _, corp := range known {
			if !slices.Contains(corps, corp) { // there it is gone, and its checkpoints say so
				corps = append(corps, corp)
			}
		}
	}
	if len(corps) == 0 && !c.JSON {
		fmt.Fprintln(e.stdout, "there is no corp, so there is no log")
	}
	broken := 0
	for _, corp := range corps {
		v, err := c.verify(e, db, corp, folder)
		if err != nil {
			return err
		}
		loose := v.OK && c.Sealed && (v.Unsealed > 0 || v.Behind > 0)
		if !v.OK || loose {
			broken++
		}
		if c.JSON {
			if err := e.json(v); err != nil {
				return err
			}
		} else if v.OK {
			fmt.Fprintf(e.stdout, "%s: %d entries, all in order; head %s; %s\n", v.Corp, v.Entries, v.Head, v.seals())
		}
		if !v.OK {
			fmt.Fprintf(e.stderr, "handover: %s: BROKEN: %s\n", v.Corp, v.Problem)
		}
		if loose {
			fmt.Fprintf(e.stderr, "handover: %s: not sealed: entries without a checkpoint: %d, checkpoints without a copy: %d; `handover audit checkpoint` seals\n",
				v.Corp, v.Unsealed, v.Behind)
		}
	}
	if broken > 0 {
		return &said{errors.New("broken")}
	}
	return nil
}

// corpsOf are the corp of a name, or all.
func corpsOf(ctx context.Context, db *store.DB, name string) ([]nid.ID, error) {
	if name == "" {
		return db.Corps(ctx)
	}
	id, err := db.CorpNamed(ctx, name)
	if err == nil && id.IsZero() {
		err = fmt.Errorf("--corp: there is no corp named %q", name)
	}
	return []nid.ID{id}, err
}

func (c *auditVerifyCmd) verify(e *env, db *store.DB, corp nid.ID, folder string) (verified, error) {
	name, err := corpName(e.ctx, db, corp)
	if err != nil {
		return verified{}, err
	}
	p := newProgress(e.stderr)
	result, err := audit.Verify(e.ctx, db, corp, audit.Trust{Folder: folder, Keys: c.Keys}, func(done, total int64) { p.step("entries", int(done), int(total)) })
	p.end()
	v := verified{Corp: name, CorpID: corp.String(), Entries: result.Entries, Head: hex.EncodeToString(result.Head[:]), OK: err == nil,
		Sealed: result.Sealed, Copies: result.Copies,
		Unsealed: result.Unsealed, Behind: result.Behind, Untimed: result.Untimed}
	if b, ok := errors.AsType[*leaf.Broken](err); ok {
		v.Problem, v.Index = b.Text().In(e.lang), &b.Index
		return v, nil
	}
	return v, err
}

// corpName is a corp's name; its id where the row itself is gone.
func corpName(ctx context.Context, db *store.DB, corp nid.ID) (name string, err error) {
	err = db.View(store.System(ctx, corp, "verify the audit log"), func(ctx context.Context, r *store.Read) error {
		var found bool
		name, found, err = store.SelectOne(ctx, r, func(s *string) []any { return []any{s} }, `SELECT name FROM corps WHERE id = $1`, corp)
		if !found {
			name = corp.String()
		}
		return err
	})
	return name, err
}
