package config

import (
	"fmt"
	"io"
	"reflect"

	"github.com/goccy/go-yaml"
)

// names lists the flags in the order in which Config declares them.
func names() []string {
	var out []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		out = append(out, f.Tag.Get("name"))
	}
	return out
}

// Print writes the effective configuration as a YAML file that --config would
// read, save for its masked secrets.
func (c Config) Print(w io.Writer) error {
	c.DatabaseURL, c.MigrateDatabaseURL = c.Database(), c.MigrationDatabase()
	c.fill()
	v := reflect.ValueOf(c)
	var out yaml.MapSlice
	for i, f := range reflect.VisibleFields(v.Type()) {
		name, value := f.Tag.Get("name"), v.Field(i).Interface()
		switch x := value.(type) {
		case Secret, URL:
			value = fmt.Sprint(x)
		}
		if name == "config" {
			continue
		}
		out = append(out, yaml.MapItem{Key: name, Value: value})
	}
	b, err := yaml.Marshal(out)
	if err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	_, err = w.Write(b)
	return err
}
