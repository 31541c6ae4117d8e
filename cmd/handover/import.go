package main

import (
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
	Dir         string `arg:"" type:"existingdir" help:"Folder with departments.csv, members.csv, contacts.csv, follows.csv, groups.csv (or .xlsx of the same names), messages.jsonl; each optional."`
	Corp        string `help:"The corp's name; founded where there is none. Not needed where there is one." placeholder:"NAME"`
	TimeZone    string `name:"time-zone" help:"Zone of times without one, and of a new corp (default: the corp's, else Asia/Shanghai)." placeholder:"ZONE"`
	DryRun      bool   `name:"dry-run" help:"Do everything and keep nothing."`
	SkipBadRows bool   `name:"skip-bad-rows" help:"Leave bad rows out, and write them to FILE.rejected.csv beside the file, instead of refusing everything."`
	JSON        bool   `name:"json" help:"Print the result as JSON."`
}

const shown = 50 // bad rows on the terminal

// imported is the result in JSON, of a failed import too.
type imported struct {
	Corp         string       `json:"corp,omitempty"`
	Created      bool         `json:"created"`
	DryRun       bool         `json:"dryRun"`
	Loaded       bool         `json:"loaded"`
	Files        []loadedFile `json:"files"`
	Problems     []problem    `json:"problems"`
	MoreProblems int          `json:"moreProblems"`
	// Kept are rows that only a handover may carry out.
	Kept     []problem `json:"kept"`
	MoreKept int       `json:"moreKept"`
}

// loadedFile counts rows: Kept are those that, in part or all, only a handover may
// carry out; what is in none of the others was so already.
type loadedFile struct {
	File    string `json:"file"`
	Rows    int    `json:"rows"`
	Added   int    `json:"added"`
	Updated int    `json:"updated"`
	Kept    int    `json:"kept"`
}

type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  string `json:"column,omitempty"`
	Message string `json:"message"`
}

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
		return &misuse{errors.New("--corp: name the corp; there is none, or more than one")}
	}
	zone, name, known := c.TimeZone, c.Corp, (*intake.Known)(nil)
	if current != nil {
		name, known = current.Name, current.Known
		if zone == "" {
			zone = current.TimeZone
		}
	}
	if zone == "" {
		zone = "Asia/Shanghai"
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return &misuse{fmt.Errorf("--time-zone: unknown zone %q; write one like Asia/Shanghai", zone)}
	}
	out := imported{Corp: name, DryRun: c.DryRun, Files: []loadedFile{}, Problems: []problem{}, Kept: []problem{}}
	err = c.load(e, s, &out, intake.Options{TimeZone: location, Known: known, SkipBad: c.SkipBadRows, Rejects: c.rejects}, zone)
	if c.JSON {
		out.Loaded = err == nil && !c.DryRun
		return errors.Join(err, e.json(out))
	}
	if err != nil {
		return err
	}
	for _, f := range out.Files {
		kept := ""
		if f.Kept > 0 {
			kept = fmt.Sprintf(", %d left to a handover", f.Kept)
		}
		fmt.Fprintf(e.stdout, "%-18s %d rows: %d added, %d updated%s\n", f.File, f.Rows, f.Added, f.Updated, kept)
	}
	if c.DryRun {
		fmt.Fprintln(e.stdout, "dry run: nothing was kept")
	}
	return nil
}

func (c *importCmd) load(e *env, s *intake.Service, out *imported, o intake.Options, zone string) error {
	corp, report, err := intake.Read(os.DirFS(c.Dir), o)
	if report != nil {
		c.problems(e, &out.Problems, &out.MoreProblems, report.Problems, report.More)
	}
	if err != nil {
		return err
	}
	progress := newProgress(e.stderr)
	result, err := s.Load(e.ctx, corp, intake.LoadOptions{CorpName: c.Corp, TimeZone: zone, DryRun: c.DryRun, Report: report, Progress: progress.step})
	progress.end()
	if fault.CodeOf(err) == fault.Invalid {
		c.problems(e, &out.Problems, &out.MoreProblems, result.Problems, 0)
	}
	if err != nil {
		return err
	}
	out.Created = result.Created
	for _, f := range result.Files {
		out.Files = append(out.Files, loadedFile(f))
	}
	c.problems(e, &out.Kept, &out.MoreKept, result.Kept, result.MoreKept)
	return nil
}

// rejects makes the file for the rows of a file that were left out.
func (c *importCmd) rejects(file string) (io.WriteCloser, error) {
	return os.OpenFile(filepath.Join(c.Dir, file+".rejected.csv"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// problems notes them for a script, or tells a person as many as can be read.
func (c *importCmd) problems(e *env, to *[]problem, uncounted *int, list []intake.Problem, more int) {
	if c.JSON {
		for _, p := range list {
			*to = append(*to, problem{p.File, p.Line, p.Column, p.Text.In(e.lang)})
		}
		*uncounted += more
		return
	}
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
