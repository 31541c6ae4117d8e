package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What only the generators need stays out of the programs that are installed: ent's
// migration engine, and the archived modules that come with it.
func TestProgramsHaveNoGenerators(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "../handover-verify").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("only %d packages are listed", len(packages))
	}
	for _, p := range packages {
		for _, never := range []string{"ariga.io/", "github.com/hashicorp/", "github.com/mitchellh/", "gopkg.in/yaml", "entgo.io/ent/dialect/sql/schema", "entgo.io/ent/entc"} {
			if strings.HasPrefix(p, never) {
				t.Errorf("the program contains %s; `go list -deps -json ./cmd/handover` says through which import", p)
			}
		}
	}
}
