package graph

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/openhandover/openhandover/internal/access"
)

// matrix is testdata/permissions.yaml, which says at its top how it is read.
type matrix struct {
	Columns    map[string][]string   `yaml:"columns"`
	Operations map[string]*operation `yaml:"operations"`
	// Tokens are rows of cells with the entries that have them.
	Tokens struct {
		Columns []string            `yaml:"columns"`
		Rows    map[string][]string `yaml:"rows"`
	} `yaml:"tokens"`
	// SCIM are cells by "request token".
	SCIM struct {
		Columns []string          `yaml:"columns"`
		Rows    map[string]string `yaml:"rows"`
	} `yaml:"scim"`
}

// operation is one entry: an operation of the schema with one kind of target.
type operation struct {
	Target string            `yaml:"target"`
	Proof  bool              `yaml:"proof"`
	Ask    string            `yaml:"ask"`
	Cells  map[string]string `yaml:"cells"`

	root, field string              // Mutation, handOver
	columns     []string            // of its target's class
	row         map[string][]string // role to its cells
}

// cellWords are the words that may stand in a cell.
var cellWords = []string{"ok", "empty", "FORBIDDEN", "NOT_FOUND", "INVALID", "CONFLICT"}

func readMatrix(t *testing.T) *matrix {
	t.Helper()
	text, err := os.ReadFile("testdata/permissions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseMatrix(text)
	if err != nil {
		t.Fatal("testdata/permissions.yaml: ", err)
	}
	return m
}

func parseMatrix(text []byte) (*matrix, error) {
	m := &matrix{}
	if err := yaml.UnmarshalWithOptions(text, m, yaml.Strict()); err != nil {
		return nil, err
	}
	for name, o := range m.Operations {
		word, _, _ := strings.Cut(name, " ")
		o.root, o.field, _ = strings.Cut(word, ".")
		k, ok := targets[o.Target]
		if !ok {
			return nil, fmt.Errorf("%s: no target is made by the name %q; see targets", name, o.Target)
		}
		if o.columns = m.Columns[k.class]; len(o.columns) == 0 {
			return nil, fmt.Errorf("no columns for the class %q", k.class)
		}
		if !regexp.MustCompile(`^(\w+: )?` + o.field + `\b`).MatchString(o.Ask) {
			return nil, fmt.Errorf("%s asks something else: %s", name, o.Ask)
		}
		if err := o.fill(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return m, nil
}

// fill takes the rows apart: each role has one, with a cell in each column.
func (o *operation) fill() error {
	o.row = map[string][]string{}
	for _, names := range slices.Sorted(maps.Keys(o.Cells)) {
		cells := strings.Fields(o.Cells[names])
		if len(cells) == 2 && cells[0] == "all" {
			cells = slices.Repeat(cells[1:], len(o.columns))
		}
		if len(cells) != len(o.columns) {
			return fmt.Errorf("%s: %d cells in %d columns (%s)", names, len(cells), len(o.columns), strings.Join(o.columns, " "))
		}
		for i, c := range cells {
			if !slices.Contains(cellWords, c) {
				return fmt.Errorf("%s, %s: what is %q?", names, o.columns[i], c)
			}
		}
		if other, none := slices.Index(o.columns, "other"), slices.Index(o.columns, "none"); other >= 0 && cells[other] != cells[none] {
			return fmt.Errorf("%s: another corp's target can be told from one that does not exist", names)
		}
		for _, role := range strings.Fields(names) {
			if o.row[role] != nil {
				return fmt.Errorf("%s has two rows", role)
			}
			o.row[role] = cells
		}
	}
	for _, b := range access.BuiltInRoles {
		if o.row[b.Name] == nil {
			return fmt.Errorf("%s has no row", b.Name)
		}
	}
	if len(o.row) != len(access.BuiltInRoles) {
		return fmt.Errorf("%d rows for %d roles", len(o.row), len(access.BuiltInRoles))
	}
	return nil
}

// size is the number of cells: for each entry those of each role.
func (m *matrix) size() (n int) {
	for _, o := range m.Operations {
		n += len(access.BuiltInRoles) * len(m.Columns[targets[o.Target].class])
	}
	return n
}

// servedOperations lists every root field of the schema.
func servedOperations() (out []string) {
	for _, root := range []string{"Query", "Mutation", "Subscription"} {
		for _, f := range served().Types[root].Fields {
			if !strings.HasPrefix(f.Name, "__") {
				out = append(out, root+"."+f.Name)
			}
		}
	}
	return out
}

// Every operation of the schema has cells, and nothing else has; and the matrix and
// access.Operations say the same of who may try, and of the proof of identity.
func TestTheMatrixIsComplete(t *testing.T) {
	m := readMatrix(t)
	if err := m.complete(servedOperations()); err != nil {
		t.Error(err)
	}
	for name, o := range m.Operations {
		rule := access.Operations[o.root+"."+o.field]
		if o.Proof != rule.StepUp {
			t.Errorf("%s: proof is %v in the matrix, %v in access.Operations", name, o.Proof, rule.StepUp)
		}
		for _, role := range access.BuiltInRoles {
			does := slices.ContainsFunc(o.row[role.Name], func(c string) bool { return c == "ok" || c == "empty" })
			may := rule.Allows(&access.Actor{Kind: access.Person, Grants: []access.Grant{{Permissions: role.Permissions}}})
			if does && !may || may && !does && len(rule.Any) > 0 {
				t.Errorf("%s: a role %s may try is %v in the matrix, %v in access.Operations", name, role.Name, does, may)
			}
		}
	}
}

// complete holds the entries against the operations there are.
func (m *matrix) complete(all []string) error {
	var wrong []string
	has := map[string]bool{}
	for name, o := range m.Operations {
		has[o.root+"."+o.field] = true
		if !slices.Contains(all, o.root+"."+o.field) {
			wrong = append(wrong, name+" is no operation of the schema")
		}
	}
	for _, name := range all {
		if !has[name] {
			wrong = append(wrong, name+" has no cells; see the top of testdata/permissions.yaml")
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		return fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return nil
}

// What the test of completeness is to find, it finds.
func TestAnIncompleteMatrixIsFound(t *testing.T) {
	const good = `
columns: {none: [corp, department], people: [self], corp: [corp]}
operations:
  Query.viewer:
    ask: 'viewer { actor }'
    cells: {administrator manager approver auditor reporter: ok ok, member: all ok}
`
	m, err := parseMatrix([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.complete([]string{"Query.viewer"}); err != nil {
		t.Fatal(err)
	}
	for _, all := range [][]string{nil, {"Query.viewer", "Mutation.new"}} {
		if m.complete(all) == nil {
			t.Errorf("nothing is missed where the schema has %v", all)
		}
	}
	for old, broken := range map[string]string{
		"reporter: ok ok": "reporter: ok", ", member: all ok": "", "member: all": "boss: all", "all ok": "all fine",
		"ask: 'viewer": "ask: 'settings", "    ask": "    target: moon\n    ask", "    cells": "    sells", "manager approver": "manager manager",
	} {
		text := strings.Replace(good, old, broken, 1)
		if _, err := parseMatrix([]byte(text)); text == good || err == nil {
			t.Errorf("%q in place of %q passes", broken, old)
		}
	}
}
