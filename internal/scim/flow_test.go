package scim_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the answers into testdata")

// TestFlows plays what providers send, as their documentation has it, and holds the
// answers against testdata/*.txt:
//
//	=== what the provider does > NAME      NAME is then the id of what comes back
//	POST /Users                            the request; {NAME} stands for an id
//	If-Match: W/"1"                        headers, if any
//	{ … }                                  the body, if any
//	--- 201
//	{ … }                                  the answer
//
// Ids of the answer read {NAME}, the digests in the versions of groups {hash}.
func TestFlows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) { play(t, s, file) })
		})
	}
}

var hash = regexp.MustCompile(`(W/\\"\d+)-[0-9a-f]{16}`)

func play(t *testing.T, s *scene, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{"boss": s.boss.String(), "lina": s.lina.String(), "sales": s.sales.String(), "root": s.Root.String(), "admin": s.Admin.String()}
	head, rest, _ := strings.Cut(string(text), "\n=== ")
	var out strings.Builder
	out.WriteString(head)
	for step := range strings.SplitSeq(rest, "\n=== ") {
		asked, golden, found := strings.Cut(step, "\n--- ")
		if !found {
			t.Fatalf("%s: %s has no answer", file, step)
		}
		title, request, _ := strings.Cut(asked, "\n")
		_, save, _ := strings.Cut(title, " > ")
		for name, id := range ids {
			request = strings.ReplaceAll(request, "{"+name+"}", id)
		}
		line, more, _ := strings.Cut(request, "\n")
		method, path, _ := strings.Cut(line, " ")
		var header []string
		for more != "" && !strings.HasPrefix(more, "{") {
			var h string
			h, more, _ = strings.Cut(more, "\n")
			name, value, _ := strings.Cut(h, ": ")
			header = append(header, name, value)
		}
		r := s.do(method, path, strings.TrimSpace(more), header...)
		if save != "" {
			ids[save] = r.str("id")
		}
		var shown bytes.Buffer
		fmt.Fprintf(&shown, "%d", r.status)
		if len(r.raw) > 0 {
			shown.WriteString("\n")
			if err := json.Indent(&shown, r.raw, "", "  "); err != nil {
				t.Fatal(err)
			}
		}
		got := shown.String()
		for name, id := range ids {
			got = strings.ReplaceAll(got, id, "{"+name+"}")
		}
		got = hash.ReplaceAllString(got, "$1-{hash}")
		if !*update && got != strings.TrimRight(golden, "\n") {
			t.Errorf("%s: %s: got\n%s\nwant\n%s", file, title, got, golden)
		}
		fmt.Fprintf(&out, "\n=== %s\n--- %s\n", asked, got)
	}
	if *update && !s.DB.Postgres() {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
