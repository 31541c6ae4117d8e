package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

const goodKey = "9f3c1b7a5d2e4086b1c3d5e7f9082a4c6e8f0b1d3a5c7e9f1b2d4f6a8c0e2d4f"

// load parses as a command of the program would: settings embedded in a command.
func load(t *testing.T, env map[string]string, args ...string) (Config, error) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "HANDOVER_") {
			t.Setenv(name, "") // restores it afterwards
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for k, v := range env {
		t.Setenv(k, v)
	}
	var cli struct {
		Serve struct {
			Config `embed:""`
			Demo   bool `name:"demo"`
		} `cmd:""`
		Version struct{} `cmd:""`
	}
	p, err := kong.New(&cli, kong.Exit(func(int) { t.Error("kong ended the program") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(append([]string{"serve"}, args...))
	return cli.Serve.Config, err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestZeroValueRunsOnSQLite(t *testing.T) {
	var c Config
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	if got := c.Database().Reveal(); got != "sqlite:handover-data/handover.db" {
		t.Errorf("database %q", got)
	}
	if c.Listen != "127.0.0.1:8080" || c.Introspection != SignedIn || c.LogLevel != "info" || c.LogFormat != "auto" {
		t.Errorf("defaults: %+v", c)
	}
	if (Config{}).Database() != c.Database() {
		t.Error("an incomplete Config names another database")
	}
	parsed, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.StatementCache = true // the one default that is not the zero value
	if a, b := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", parsed); a != b {
		t.Errorf("kong's defaults differ:\n%s\n%s", a, b)
	}
}

func TestPrecedence(t *testing.T) {
	settings := write(t, "handover.yaml", `
listen: 127.0.0.1:3
data: /from/file
log-level: warn
statement-cache: false
allow-origin: [https://a.example.com, "https://B.example.com:443"]
behind-proxy: 10.0.0.0/8
`)
	env := map[string]string{"HANDOVER_CONFIG": settings, "HANDOVER_LISTEN": "127.0.0.1:2", "HANDOVER_DATA": "/from/env"}
	c, err := load(t, env, "--listen=127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:1" {
		t.Errorf("a flag wins over all, got %s", c.Listen)
	}
	if c.Data != "/from/env" {
		t.Errorf("the environment wins over the file, got %s", c.Data)
	}
	if c.LogLevel != "warn" || c.StatementCache {
		t.Errorf("the file wins over defaults, got %s, %v", c.LogLevel, c.StatementCache)
	}
	if c.Introspection != SignedIn {
		t.Errorf("default, got %s", c.Introspection)
	}
	if want := []string{"https://a.example.com", "https://b.example.com"}; !slices.Equal(c.AllowOrigin, want) {
		t.Errorf("origins %q", c.AllowOrigin)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}; !slices.Equal(c.BehindProxy, want) {
		t.Errorf("proxies %v", c.BehindProxy)
	}
	if got := c.MigrationDatabase().Reveal(); got != "sqlite:/from/env/handover.db" {
		t.Errorf("migrations go to %s", got)
	}

	env["HANDOVER_ALLOW_ORIGINS"] = "https://c.example.com,https://d.example.com"
	if c, err = load(t, env, "--config="+write(t, "other.yaml", "data: /x\nallow-origin: []\n")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"https://c.example.com", "https://d.example.com"}; !slices.Equal(c.AllowOrigin, want) || c.LogLevel != "info" {
		t.Errorf("origins %q, level %s", c.AllowOrigin, c.LogLevel)
	}
	if c, err = load(t, nil, "--config="+write(t, "empty.yaml", "allow-origin: []\n"), "--no-statement-cache"); err != nil || len(c.AllowOrigin) != 0 || c.StatementCache {
		t.Errorf("%v %q %v", err, c.AllowOrigin, c.StatementCache)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	key := write(t, "key", goodKey+"\n")
	one, two := write(t, "one", "postgres://u:p1@localhost/a\n"), write(t, "two", "postgres://u:p2@localhost/b")
	for name, test := range map[string]struct {
		env  map[string]string
		file string
		args []string
		db   string
		err  string
	}{
		"flag":                         {args: []string{"--secret-key-file=" + key, "--database-url-file=" + one}, db: "postgres://u:p1@localhost/a"},
		"environment":                  {env: map[string]string{"HANDOVER_SECRET_KEY_FILE": key, "HANDOVER_DATABASE_URL_FILE": two}, db: "postgres://u:p2@localhost/b"},
		"file of settings":             {file: "secret-key-file: " + key + "\ndatabase-url-file: " + one, db: "postgres://u:p1@localhost/a"},
		"flag file over variable":      {env: map[string]string{"HANDOVER_SECRET_KEY": goodKey, "HANDOVER_DATABASE_URL": "sqlite:x"}, args: []string{"--database-url-file=" + one}, db: "postgres://u:p1@localhost/a"},
		"flag over variable file":      {env: map[string]string{"HANDOVER_SECRET_KEY": goodKey, "HANDOVER_DATABASE_URL_FILE": one}, args: []string{"--database-url=sqlite:x"}, db: "sqlite:x"},
		"variable file over settings":  {env: map[string]string{"HANDOVER_SECRET_KEY": goodKey, "HANDOVER_DATABASE_URL_FILE": one}, file: "database-url: sqlite:x", db: "postgres://u:p1@localhost/a"},
		"variable over settings' file": {env: map[string]string{"HANDOVER_SECRET_KEY": goodKey, "HANDOVER_DATABASE_URL": "sqlite:x"}, file: "database-url-file: " + one, db: "sqlite:x"},
		"twice":                        {env: map[string]string{"HANDOVER_DATABASE_URL": "sqlite:x", "HANDOVER_DATABASE_URL_FILE": one}, err: "--database-url: is given twice, also as --database-url-file"},
		"no such file":                 {args: []string{"--secret-key-file=" + key + "x"}, err: "--secret-key-file: open "},
		"empty file":                   {args: []string{"--secret-key-file=" + write(t, "e", " \n")}, err: "is empty"},
		"endless file":                 {args: []string{"--secret-key-file=/dev/zero"}, err: "longer than 64 kB"},
		"key as a flag":                {args: []string{"--secret-key=" + goodKey}, err: "--secret-key: a key on the command line can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.file != "" {
				test.args = append(test.args, "--config="+write(t, "c.yaml", test.file))
			}
			c, err := load(t, test.env, test.args...)
			if test.err != "" {
				wantLine(t, err, test.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Database().Reveal(); got != test.db {
				t.Errorf("database %q", got)
			}
			b, err := c.Key()
			if err != nil || string(b) != goodKey {
				t.Errorf("key %q, %v", b, err)
			}
		})
	}
}

// wantLine checks that an error is one line that says what, and shows no secret.
func wantLine(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted; wanted %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %q", err)
	}
	for _, secret := range []string{"hunter2", goodKey} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("shows a secret: %q", err)
		}
	}
}

func TestRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--listen=8080":                                                "--listen:",
		"--listen=localhost:99999":                                     "--listen:",
		"--listen-metrics=9090":                                        "--listen-metrics:",
		"--listen=localhost:http":                                      "--listen:",
		"--log-level=loud":                                             "--log-level must be one of",
		"--log-format=xml":                                             "--log-format must be one of",
		"--introspection=all":                                          "--introspection must be one of",
		"--witness-url=https://w.example.com":                          "--witness-key:",
		"--witness-key=w+00000000+AAAA":                                "--witness-key:",
		"--witness-url=w.example.com":                                  "--witness-url:",
		"--timestamp-url=file:///tmp/tsa":                              "--timestamp-url:",
		"--allow-origin=*":                                             "--allow-origin:",
		"--allow-origin=null":                                          "--allow-origin:",
		"--allow-origin=https://*.a.com":                               "--allow-origin:",
		"--allow-origin=https://a.com/":                                "--allow-origin:",
		"--allow-origin=https://u:p@a.co":                              "--allow-origin:",
		"--allow-origin=a.com":                                         "--allow-origin:",
		"--behind-proxy=10.0.0":                                        "--behind-proxy:",
		"--public-url=handover.example.com":                            "--public-url: write an origin",
		"--public-url=https://a.example.com/x":                         "--public-url: write an origin",
		"--public-url=http://handover.example.com":                     "--public-url: \"http://handover.example.com\" has no TLS",
		"--rate-address=-1":                                            "--rate-address: write how many",
		"--rate-account=NaN":                                           "--rate-account: write how many",
		"--rate-corp=many":                                             "--rate-corp: write how many",
		"--trusted-documents-only":                                     "--trusted-documents-only: needs trusted-documents",
		"--database-url=mysql://a":                                     "--database-url: write sqlite:PATH or postgres",
		"--database-url=sqlite:":                                       "--database-url: names no file",
		"--database-url=hunter2":                                       "--database-url:",
		"--database-url=postgres://u:hunter2@db.example.com/x":         "--database-url: say sslmode",
		"--database-url=postgres://u:hunter2%zz@localhost/x":           "--database-url: cannot be read as a URL",
		"--database-url=postgres://u@localhost/x?password=hunter2;%zz": "--database-url: what stands after the ?",
		"--migrate-database-url=postgres:///x?host=db.example.com&user=hunter2u": "--migrate-database-url: say sslmode",
		"--config=/nowhere/at/all": "--config: open /nowhere/at/all",
		"--no-such-flag":           "--no-such-flag",
	} {
		t.Run(args, func(t *testing.T) {
			_, err := load(t, nil, args)
			wantLine(t, err, want)
		})
	}
	for name, want := range map[string]string{
		"HANDOVER_MIGRATE":      "HANDOVER_MIGRATE",
		"HANDOVER_LISTEN":       "--listen",
		"HANDOVER_BEHIND_PROXY": "--behind-proxy",
		"HANDOVER_LOG_LEVEL":    "--log-level",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, map[string]string{name: "maybe"})
			wantLine(t, err, want)
		})
	}
}

func TestAccepted(t *testing.T) {
	for _, url := range []string{
		"sqlite::memory:", "postgres://u:p@db.example.com/x?sslmode=verify-full", "postgresql://[::1]/x",
		"postgres://u@127.0.0.1:5433/x", "postgres:///x?host=/var/run/postgresql", "postgres://db/x?sslmode=disable",
	} {
		if _, err := load(t, nil, "--database-url="+url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"lisen: 1\nlog_level: x":                   `unknown setting "lisen", "log_level"`,
		"config: other.yaml":                       `unknown setting "config"`,
		"listen: [127.0.0.1:1":                     "is no YAML mapping of settings",
		"- listen":                                 "is no YAML mapping of settings",
		"secret-key: hunter2\nsecret-key: hunter2": "names one twice",
		"database-url: {password: hunter2}":        "database-url: is a mapping",
		"listen:":                                  "listen: has no value",
		"allow-origin: [[https://a.example.com]]":  "allow-origin: is a list of something other",
		"log-level: loud":                          "--log-level must be one of",
		"migrate: perhaps":                         "--migrate",
		"secret-key: hunter2hunter2":               "--secret-key: has 14 bytes",
	} {
		t.Run(want, func(t *testing.T) { // not by the text: its name is in the path
			_, err := load(t, nil, "--config="+write(t, "handover.yaml", text))
			wantLine(t, err, want)
		})
	}
}

func TestKey(t *testing.T) {
	var none Config
	if _, err := none.Key(); err == nil || !strings.Contains(err.Error(), "openssl rand -hex 32") || !strings.Contains(err.Error(), "/dev/urandom") {
		t.Errorf("without a key: %v", err)
	}
	for key, want := range map[string]string{
		"short":                  "has 5 bytes",
		goodKey[:63]:             "", // not hexadecimal by its length, and long enough as text
		goodKey[:32]:             "has 16 bytes",
		strings.Repeat("ab", 40): "not random: it has only 2",
		"ChangeMe" + goodKey:     "well-known word",
		"this-is-my-secret-key-for-tests-0123456789": "well-known word",
		goodKey: "",
		"3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs=": "",
	} {
		c := Config{SecretKey: Secret(key)}
		got, err := c.Key()
		if want == "" {
			if err != nil || string(got) != key {
				t.Errorf("%q refused: %v", key, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "openssl rand -hex 32") || strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v", key, err)
		}
		if c.Complete() == nil {
			t.Errorf("%q is accepted on start", key)
		}
	}
}

func TestMasking(t *testing.T) {
	for raw, want := range map[string]string{
		"postgres://u:hunter2@db/x?sslmode=disable":          "postgres://u:********@db/x?sslmode=disable",
		"postgres://u@db/x?password=hunter2&sslmode=disable": "postgres://u@db/x?password=********&sslmode=disable",
		"postgres://u@db/x?sslpassword=hunter2":              "postgres://u@db/x?sslpassword=********",
		"postgres://u:hunter2@db/x?a=%zz":                    "********",
		"postgres://u:hunter2%zz@db/x":                       "********",
		"postgres://u@db/x?sslmode=verify-full":              "postgres://u@db/x?sslmode=verify-full",
		"sqlite:handover-data/handover.db":                   "sqlite:handover-data/handover.db",
		"":                                                   "",
	} {
		u := URL(raw)
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "url", u, "key", Secret("hunter2"))
		inJSON, err := json.Marshal(map[string]any{"url": u, "key": Secret("hunter2")})
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprintf("%v %s %q %#v %x %+v", u, u, u, u, u, struct{ U URL }{u})
		if u.String() != want {
			t.Errorf("%s shows as %s", raw, u)
		}
		for _, s := range []string{shown, logged.String(), string(inJSON), fmt.Sprintf("%#v %x", Secret("hunter2"), Secret("hunter2"))} {
			if strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
				t.Errorf("shows the password: %s", s)
			}
		}
		if u.Reveal() != raw {
			t.Errorf("Reveal changed %s", raw)
		}
	}
}

func TestPrint(t *testing.T) {
	c, err := load(t, map[string]string{"HANDOVER_SECRET_KEY": goodKey},
		"--database-url=postgres://app:hunter2@db/x?sslmode=disable", "--allow-origin=https://a.example.com", "--behind-proxy=10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), goodKey) {
		t.Fatalf("prints a secret:\n%s", &b)
	}
	var got map[string]any
	if err := yaml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"database-url": "postgres://app:********@db/x?sslmode=disable", "migrate-database-url": "postgres://app:********@db/x?sslmode=disable",
		"secret-key": "********", "listen": "127.0.0.1:8080", "listen-metrics": "auto", "statement-cache": "true", "migrate": "false", "introspection": "signed-in",
		"allow-origin": "[https://a.example.com]", "behind-proxy": "[10.0.0.0/8]", "log-format": "auto", "trusted-documents": "",
	} {
		if fmt.Sprint(got[name]) != want {
			t.Errorf("%s prints as %v, not %s", name, got[name], want)
		}
	}
	if want := len(names()) - 1; len(got) != want {
		t.Errorf("%d of %d settings: %v", len(got), want, slices.Sorted(maps.Keys(got)))
	}
	// What is printed can be read again, once its secrets are put back.
	text := strings.ReplaceAll(strings.ReplaceAll(b.String(), "://app:********@", "://app:x@"), "'********'", goodKey)
	text = strings.ReplaceAll(text, `"********"`, goodKey)
	again, err := load(t, nil, "--config="+write(t, "printed.yaml", text))
	if err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	if again.Database().Reveal() != "postgres://app:x@db/x?sslmode=disable" || !slices.Equal(again.AllowOrigin, c.AllowOrigin) || !slices.Equal(again.BehindProxy, c.BehindProxy) {
		t.Errorf("read again: %+v", again)
	}
}

func TestLogs(t *testing.T) {
	for format, want := range map[string]string{"text": "msg=hello", "json": `"msg":"hello"`, "auto": `"msg":"hello"`, "": `"msg":"hello"`} {
		var b bytes.Buffer
		c := Config{LogFormat: format, LogLevel: "warn"}
		l := slog.New(c.Logs(&b))
		l.Info("quiet")
		l.Warn("hello")
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "quiet") {
			t.Errorf("%q: %s", format, &b)
		}
	}
}
