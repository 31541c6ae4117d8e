package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		race bool
		want string
	}{
		{nil, false, "test -timeout=15m0s ./..."},
		{nil, true, "test -race -timeout=30m0s ./..."},
		{[]string{"-run", "TestA|TestB", "-short", "-v", "./internal/..."}, false, "test -timeout=15m0s '-run=TestA|TestB' -short -v ./internal/..."},
		{[]string{"-bench", ".", "./a", "./b"}, false, "test -timeout=15m0s -bench=. ./a ./b"},
	} {
		o, err := parse(c.args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, join(o.testArgs(c.race))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-race", "maybe"}, {"-nonsense"}} {
		var said bytes.Buffer
		if code := run(t.Context(), args, io.Discard, &said); code != 2 || said.Len() == 0 {
			t.Errorf("%q: code %d, said %q", args, code, said.String())
		}
	}
}

// compiler gives a check whose C compiler is the script, or none if it is empty.
func compiler(t *testing.T, mode, cgo, cc string) *check {
	t.Helper()
	return &check{options: options{raceMode: mode}, stdout: io.Discard, stderr: io.Discard,
		env: append(os.Environ(), "CGO_ENABLED="+cgo, "CC="+cc)}
}

func TestRaceDetectorIsOffWithoutACompiler(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "cc")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho 'no headers here' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*check{
		"cgo switched off": compiler(t, "auto", "0", ""),
		"compiler missing": compiler(t, "auto", "1", filepath.Join(t.TempDir(), "none")),
		"compiler broken":  compiler(t, "auto", "1", broken),
	} {
		t.Run(name, func(t *testing.T) {
			on, why, err := c.race(t.Context())
			if err != nil || on || !strings.HasPrefix(why, "off: no working C compiler (") {
				t.Errorf("race = %t, %q, %v", on, why, err)
			}
			c.raceMode = "on"
			if _, _, err := c.race(t.Context()); err == nil {
				t.Error("insisting on the detector was no failure")
			}
			c.raceMode = "off"
			if on, why, err := c.race(t.Context()); on || why != "off, as asked" || err != nil {
				t.Errorf("switched off: %t, %q, %v", on, why, err)
			}
		})
	}
}

func TestFailingTestsFailTheCheck(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module sample\n\ngo 1.26.0\n",
		"a_test.go": "package sample\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestURL(t *testing.T) {\n\tif os.Getenv(\"HANDOVER_TEST_POSTGRES\") == \"\" {\n\t\tt.Fatal(\"no server\")\n\t}\n}\n\nfunc TestBad(t *testing.T) { t.Error(\"bad\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for pattern, want := range map[string]int{"TestURL": 0, "TestBad": 1} {
		var out, said bytes.Buffer
		code := run(t.Context(), []string{"-race", "off", "-run", pattern}, &out, &said)
		if code != want {
			t.Errorf("%s: code %d, want %d\n%s%s", pattern, code, want, &out, &said)
		}
		for _, line := range []string{"check: PostgreSQL ", "check: race detector off, as asked", "check: go mod tidy -diff", "check: go vet ./..."} {
			if !strings.Contains(out.String(), line) {
				t.Errorf("%s: does not say %q\n%s", pattern, line, &out)
			}
		}
	}
}

func TestInterruptEndsTheRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module sample\n\ngo 1.26.0\n",
		"a_test.go": "package sample\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n)\n\nfunc TestHangs(t *testing.T) {\n\tfmt.Println(\"hanging\")\n\tselect {}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if code := run(ctx, []string{"-race", "off", "-v"}, &onText{"hanging", cancel, nil}, io.Discard); code != interrupted {
		t.Errorf("code %d, want %d", code, interrupted)
	}
}

// onText calls f when the text comes by.
type onText struct {
	text string
	f    func()
	seen []byte
}

func (w *onText) Write(b []byte) (int, error) {
	w.seen = append(w.seen, b...)
	if bytes.Contains(w.seen, []byte(w.text)) {
		w.f()
	}
	return len(b), nil
}
