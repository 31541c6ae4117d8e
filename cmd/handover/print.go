package main

import (
	"fmt"

	"github.com/openhandover/openhandover/graph"
	"github.com/openhandover/openhandover/internal/web"
)

type schemaCmd struct {
	Print schemaPrintCmd `cmd:"" help:"Print the schema in SDL."`
}

type schemaPrintCmd struct{}

// Run prints the SDL.
func (*schemaPrintCmd) Run(e *env) error {
	_, err := fmt.Fprint(e.stdout, graph.SDL())
	return err
}

type configCmd struct {
	Print configPrintCmd `cmd:"" help:"Print the settings in force, secrets masked."`
}

type configPrintCmd struct{}

// Run prints the settings.
func (*configPrintCmd) Run(e *env) error { return e.config.Print(e.stdout) }

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the build's facts.
func (c *versionCmd) Run(e *env) error {
	b := web.BuildFacts()
	if c.JSON {
		return e.json(b)
	}
	line := "handover " + b.Version
	if b.Revision != "" {
		line += " (" + b.Revision[:min(12, len(b.Revision))] + ")"
	}
	_, err := fmt.Fprintln(e.stdout, line, b.Go, b.Platform)
	return err
}
