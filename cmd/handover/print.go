package main

import (
	"encoding/json"
	"fmt"
	"strings"

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
		return json.NewEncoder(e.stdout).Encode(b)
	}
	line := "handover " + b.Version
	if b.Revision != "" {
		line += " (" + b.Revision[:min(12, len(b.Revision))] + ")"
	}
	_, err := fmt.Fprintln(e.stdout, line, b.Go, b.Platform)
	return err
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that completes the commands' names.
func (c *completionCmd) Run(e *env) error {
	var words []string
	for _, n := range e.model.Children {
		words = append(words, n.Name)
	}
	list := strings.Join(words, " ")
	switch c.Shell {
	case "fish":
		fmt.Fprintf(e.stdout, "complete -c handover -n __fish_use_subcommand -f -a %q\n", list)
	case "zsh":
		fmt.Fprintf(e.stdout, "#compdef handover\n_arguments '1: :(%s)' '*: :_files'\n", list)
	default:
		fmt.Fprintf(e.stdout, "complete -o default -W %q handover\n", list)
	}
	return nil
}
