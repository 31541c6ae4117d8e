package graph

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// loggedElsewhere are mutations whose entry another test shows.
var loggedElsewhere = map[string]string{
	"addPasskey":        "TestEnrolmentOverHTTP: needs a passkey",
	"signInWithPasskey": "TestEnrolmentOverHTTP: needs a passkey",
	"linkIdentity":      "internal/sso TestLinkingOneself: the entry comes when the provider has answered",
	"removePasskey":     "internal/identity: needs a passkey",
}

// Every mutation leaves an entry in the audit log where it works: some story of it
// shows which. A new one without such a story fails.
func TestEveryMutationIsLogged(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	entry := regexp.MustCompile(`(?m)^[a-z_]+\.[a-z_]+`)
	step := regexp.MustCompile(`^(\d+) as `)
	logged := map[string]bool{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sections := map[string]string{}
		for _, f := range archive.Files {
			sections[f.Name] = string(f.Data)
		}
		for name, document := range sections {
			m := step.FindStringSubmatch(name)
			if m == nil || !entry.MatchString(strings.ReplaceAll(sections[m[1]+" audit"], "access.deny", "")) {
				continue // nothing is recorded, or that somebody may not
			}
			for _, field := range served().Mutation.Fields {
				if regexp.MustCompile(`\b` + field.Name + `\b\s*[({]`).MatchString(document) {
					logged[field.Name] = true
				}
			}
		}
	}
	for _, field := range served().Mutation.Fields {
		_, elsewhere := loggedElsewhere[field.Name]
		if logged[field.Name] == elsewhere {
			t.Errorf("%s: in a story with an entry: %v, elsewhere: %v", field.Name, logged[field.Name], elsewhere)
		}
	}
}
