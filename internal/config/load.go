package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// BeforeResolve reads the file of settings. kong calls it.
func (c *Config) BeforeResolve(ctx *kong.Context) error {
	var path string
	for _, f := range ctx.Flags() {
		if f.Name == "config" {
			path = fmt.Sprint(ctx.FlagValue(f))
		}
	}
	if path == "" {
		return nil
	}
	values, err := readFile(path)
	if err != nil {
		return err
	}
	ctx.AddResolver(file(values))
	return nil
}

// AfterApply decides between a secret and the file that holds it, and completes
// the settings. kong calls it.
func (c *Config) AfterApply(ctx *kong.Context) error {
	for _, s := range c.secrets() {
		value, file := sourceOf(ctx, s.name), sourceOf(ctx, s.name+"-file")
		switch {
		case s.name == "secret-key" && value == fromFlag:
			return bad(s.name, "a key on the command line can be read by every user of this machine; use --secret-key-file or HANDOVER_SECRET_KEY")
		case value == file && value != fromDefault:
			return bad(s.name, "is given twice, also as --%s-file; keep one of them", s.name)
		case value < file:
			s.set("")
		case file < value:
			*s.file = ""
		}
	}
	return c.Complete()
}

// source is where a value came from; a greater one wins.
type source int

const (
	fromDefault source = iota
	fromFile
	fromEnv
	fromFlag
)

func sourceOf(ctx *kong.Context, name string) source {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == name {
			if p.Resolved {
				return fromFile
			}
			return fromFlag
		}
	}
	for _, f := range ctx.Flags() {
		if f.Name == name && inEnv(f) {
			return fromEnv
		}
	}
	return fromDefault
}

// inEnv reports whether the environment gives the flag; empty counts as not given.
func inEnv(f *kong.Flag) bool {
	return slices.ContainsFunc(f.Tag.Envs, func(name string) bool { return os.Getenv(name) != "" })
}

// file is the settings of the file, by flag name.
type file map[string]string

// Validate has nothing to add: the names were checked when the file was read.
func (file) Validate(*kong.Application) error { return nil }

// Resolve gives the file's value, unless the environment has one: kong would let
// a resolver win over it.
func (v file) Resolve(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	s, ok := v[f.Name]
	if !ok || inEnv(f) {
		return nil, nil
	}
	return s, nil
}

// readFile reads a YAML mapping of flag names to scalars, or to lists of scalars
// where a flag may be repeated.
func readFile(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, bad("config", "%v", err)
	}
	raw := map[string]any{}
	if err := yaml.Unmarshal(b, &raw); err != nil {
		return nil, bad("config", "%s%s is no YAML mapping of settings, or names one twice", path, position(err))
	}
	var unknown []string
	out := map[string]string{}
	for key, value := range raw {
		if !slices.Contains(names(), key) || key == "config" {
			unknown = append(unknown, fmt.Sprintf("%q", key))
			continue
		}
		if out[key], err = text(value); err != nil {
			return nil, bad("config", "%s: %s: %v", path, key, err)
		}
		if out[key] == "" { // as `config print` writes what is not set
			delete(out, key)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, bad("config", "%s: unknown setting %s; `config print` lists them all", path, strings.Join(unknown, ", "))
	}
	return out, nil
}

// position is all that is shown of a YAML error: the rest quotes the file, and
// there may be a secret in it.
func position(err error) string {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		return fmt.Sprintf(":%d", e.GetToken().Position.Line)
	}
	return ""
}

func text(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", errors.New("has no value")
	case map[string]any:
		return "", errors.New("is a mapping; write one value or a list")
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			switch e.(type) {
			case nil, map[string]any, []any:
				return "", errors.New("is a list of something other than plain values")
			}
			parts[i] = fmt.Sprint(e)
		}
		return strings.Join(parts, ","), nil
	}
	return fmt.Sprint(value), nil
}
