package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/intake"
)

type importCmd struct {
	Dir         string `arg:"" type:"existingdir" help:"Folder with departments.csv, members.csv, contacts.csv, follows.csv, groups.csv, messages.jsonl; each optional."`
	Corp        string `help:"The corp's name; founded where there is none. Not needed where there is one." placeholder:"NAME"`
	TimeZone    string `name:"time-zone" help:"Zone of times without one, and of a new corp (default: the corp's, else Asia/Shanghai)." placeholder:"ZONE"`
	DryRun      bool   `name:"dry-run" help:"Do everything and keep nothing."`
	SkipBadRows bool   `name:"skip-bad-rows" help:"Leave bad rows out, and write them to FILE.rejected.csv beside the file, instead of refusing everything."`
	JSON        bool   `name:"json" help:"Print the result as JSON."`
}

const shown = 50 // bad rows on the terminal

// Run loads the folder, in one go or not at all.
func (c *importCmd) Run(e *env) error {
	p, err := e.open()
	if err != nil {
		return err
	}
	defer p.close()
	s := &intake.Service{DB: p.db, Log: p.log}
	current, err := s.Current(e.ctx, c.Corp)
	if err != nil {
		return err
	}
	if current == nil && c.Corp == "" {
		return errors.New("--corp: name the corp; there is none, or more than one")
	}
	zone, known := c.TimeZone, (*intake.Known)(nil)
	if current != nil {
		known = current.Known
		if zone == "" {
			zone = current.TimeZone
		}
	}
	if zone == "" {
		zone = "Asia/Shanghai"
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return fmt.Errorf("--time-zone: unknown zone %q; write one like Asia/Shanghai", zone)
	}
	corp, report, err := intake.Read(os.DirFS(c.Dir), intake.Options{
		TimeZone: location, Known: known, SkipBad: c.SkipBadRows,
		Rejects: func(file string) (io.WriteCloser, error) {
			return os.OpenFile(filepath.Join(c.Dir, file+".rejected.csv"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		},
	})
	if report != nil {
		c.problems(e, report.Problems, report.More)
	}
	if err != nil {
		return err
	}
	progress := newProgress(e.stderr)
	result, err := s.Load(e.ctx, corp, intake.LoadOptions{CorpName: c.Corp, TimeZone: zone, DryRun: c.DryRun, Report: report, Progress: progress.step})
	progress.end()
	if fault.CodeOf(err) == fault.Invalid {
		c.problems(e, result.Problems, 0)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(result)
	}
	for _, f := range result.Files {
		fmt.Fprintf(e.stdout, "%-18s %d rows: %d added, %d updated, %d left as they were\n", f.File, f.Rows, f.Added, f.Updated, f.Kept)
	}
	c.problems(e, result.Kept, result.MoreKept)
	if c.DryRun {
		fmt.Fprintln(e.stdout, "dry run: nothing was kept")
	}
	return nil
}

func (c *importCmd) problems(e *env, list []intake.Problem, more int) {
	for i, p := range list {
		if i == shown {
			more += len(list) - shown
			break
		}
		fmt.Fprintln(e.stderr, p.In(e.lang))
	}
	if more > 0 {
		fmt.Fprintf(e.stderr, "… and %d more\n", more)
	}
}
