package config

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
)

// masked stands for a secret wherever settings are shown.
const masked = "********"

// Secret is a text that no log line, error or print shows. Reveal gives it.
type Secret string

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

// String is the mask; empty when there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format masks the secret under every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue masks the secret in log lines.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText masks the secret in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// URL is a database URL. It shows itself without passwords. Reveal gives all of it.
type URL string

// Reveal gives the URL with its passwords.
func (u URL) Reveal() string { return string(u) }

// hiddenParams are the connection parameters that are secrets.
var hiddenParams = []string{"password", "passfile", "sslpassword", "_key", "_pragma_key"}

// String is the URL with passwords masked. One that cannot be read is masked whole.
func (u URL) String() string {
	raw := string(u)
	p, err := url.Parse(raw)
	if err != nil {
		return masked
	}
	if _, has := p.User.Password(); has {
		p.User = url.UserPassword(p.User.Username(), masked)
	}
	if p.RawQuery != "" {
		q, err := url.ParseQuery(p.RawQuery)
		if err != nil {
			return masked
		}
		found := false
		for _, k := range hiddenParams {
			if q.Has(k) {
				q.Set(k, masked)
				found = true
			}
		}
		if found {
			p.RawQuery = q.Encode()
		}
	}
	return strings.ReplaceAll(p.String(), url.QueryEscape(masked), masked)
}

// Format masks passwords under every verb.
func (u URL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, u.String()) }

// LogValue masks passwords in log lines.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText masks passwords in JSON and YAML.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// howToMake is the end of every sentence about a missing or weak key.
const howToMake = "make one with `openssl rand -hex 32`, or without openssl: `head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n'`"

// Key gives the bytes of the secret key. It fails where none was given; only
// demo mode can do without.
func (c *Config) Key() ([]byte, error) {
	if c.SecretKey == "" {
		return nil, bad("secret-key-file", "there is no secret key; put one into a file that this names; %s", howToMake)
	}
	if err := checkKey(c.SecretKey); err != nil {
		return nil, err
	}
	return []byte(c.SecretKey), nil
}

// wellKnown are words that stand in keys copied from an example.
var wellKnown = []string{"changeme", "change-me", "change_me", "secret", "password", "example", "default", "handover", "0123456789abcdef"}

// checkKey refuses keys that are short, or that somebody did not make by chance.
func checkKey(key Secret) error {
	text := string(key)
	n := len(text)
	// 32 hexadecimal digits look long and are 16 bytes.
	if b, err := hex.DecodeString(text); err == nil {
		n = len(b)
	}
	if n < 32 {
		return bad("secret-key", "has %d bytes, and at least 32 are needed; %s", n, howToMake)
	}
	lower := strings.ToLower(text)
	for _, w := range wellKnown {
		if strings.Contains(lower, w) {
			return bad("secret-key", "is not random: it has a well-known word in it; %s", howToMake)
		}
	}
	distinct := map[rune]bool{}
	for _, r := range text {
		distinct[r] = true
	}
	if len(distinct) < 8 {
		return bad("secret-key", "is not random: it has only %d different characters; %s", len(distinct), howToMake)
	}
	return nil
}

// secret is a setting that may stand in a file of its own.
type secret struct {
	name string // of the flag; the other's is name + "-file"
	set  func(string)
	has  func() bool
	file *string
}

func (c *Config) secrets() []secret {
	u := func(name string, u *URL, file *string) secret {
		return secret{name, func(s string) { *u = URL(s) }, func() bool { return *u != "" }, file}
	}
	return []secret{
		u("database-url", &c.DatabaseURL, &c.DatabaseURLFile),
		u("migrate-database-url", &c.MigrateDatabaseURL, &c.MigrateDatabaseURLFile),
		{"secret-key", func(s string) { c.SecretKey = Secret(s) }, func() bool { return c.SecretKey != "" }, &c.SecretKeyFile},
	}
}

// maxSecret bounds what is read: a path to something endless must not fill memory.
const maxSecret = 64 << 10

// read fetches the secret from its file, where there is one.
func (s secret) read() error {
	if *s.file == "" || s.has() {
		return nil
	}
	f, err := os.Open(*s.file)
	if err != nil {
		return bad(s.name+"-file", "%v", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return bad(s.name+"-file", "%v", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" || len(b) > maxSecret {
		return bad(s.name+"-file", "%s is empty or longer than %d kB", *s.file, maxSecret>>10)
	}
	s.set(text)
	return nil
}
