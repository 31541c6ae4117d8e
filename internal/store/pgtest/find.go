package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// EnvURL names the environment variable that points the tests at a running
// server instead: the postgres:// URL of a superuser, password included.
const EnvURL = "HANDOVER_TEST_POSTGRES"

// ErrNoServer is the answer where PostgreSQL's server programs are neither
// installed nor installable by us.
var ErrNoServer = errors.New("no PostgreSQL server programs (initdb, postgres) found: install them " +
	"(Debian or Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql), " +
	"or set " + EnvURL + " to the postgres:// URL of a superuser on a server that tests may use")

// folders are where packages put the programs when not in PATH: Debian, the
// PostgreSQL project's RPMs, Homebrew on both kinds of Mac, Alpine, MacPorts, Postgres.app.
var folders = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/usr/libexec/postgresql*",
	"/opt/local/lib/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// find gives the folder that holds the server programs: that of the initdb in
// PATH, else the newest version in the first folder that has any.
func find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil && complete(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	return findIn(folders)
}

func findIn(patterns []string) (string, error) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // fails on a malformed pattern only
		found = slices.DeleteFunc(found, func(dir string) bool { return !complete(dir) })
		if len(found) > 0 {
			return slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) }), nil
		}
	}
	return "", ErrNoServer
}

func complete(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// major reads the version out of a folder's name, so that 15 comes after 9; 0
// where the name has none.
func major(dir string) int {
	for part := range strings.SplitSeq(filepath.ToSlash(dir), "/") {
		digits := strings.TrimLeftFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = digits[:end]
		}
		if n, err := strconv.Atoi(digits); err == nil {
			return n
		}
	}
	return 0
}
