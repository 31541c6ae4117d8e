package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

type options struct {
	pattern, bench string
	short, verbose bool
	raceMode       string
	packages       []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("check", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./cmd/check [flags] [packages]\n\nWithout packages it checks all of them (./...).")
		set.PrintDefaults()
	}
	set.StringVar(&o.pattern, "run", "", "run only the tests whose names match the `regexp`")
	set.StringVar(&o.bench, "bench", "", "run the benchmarks whose names match the `regexp`, too")
	set.BoolVar(&o.short, "short", false, "tell the tests to take less time")
	set.BoolVar(&o.verbose, "v", false, "name every test")
	set.StringVar(&o.raceMode, "race", "auto", "the race detector: `auto` uses it where a C compiler works, on insists, off leaves it out")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if !slices.Contains([]string{"auto", "on", "off"}, o.raceMode) {
		err := fmt.Errorf("-race is auto, on or off, not %q", o.raceMode)
		fmt.Fprintln(stderr, err)
		return o, err
	}
	o.packages = set.Args()
	if len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}
	return o, nil
}

func (o options) testArgs(race bool) []string {
	args := []string{"test"}
	timeout := limit
	if race {
		args = append(args, "-race")
		timeout = limitRace
	}
	args = append(args, "-timeout="+timeout.String())
	for _, f := range []struct {
		on   bool
		text string
	}{
		{o.pattern != "", "-run=" + o.pattern},
		{o.bench != "", "-bench=" + o.bench},
		{o.short, "-short"},
		{o.verbose, "-v"},
	} {
		if f.on {
			args = append(args, f.text)
		}
	}
	return append(args, o.packages...)
}

// join writes a command line that can be pasted.
func join(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " '\"$^|()*?[]\\;&<>") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		quoted[i] = a
	}
	return strings.Join(quoted, " ")
}
