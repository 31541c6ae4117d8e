// Package config is the one struct that says how an installation runs.
//
// A setting comes from a flag, else from its HANDOVER_* variable, else from the
// file named by --config (YAML, one `flag-name: value` a line), else from its
// default. Errors are one line each, name the setting and never show a secret.
package config

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Who may read the schema through introspection.
const (
	SignedIn = "signed-in"
	Everyone = "everyone"
	Nobody   = "nobody"
)

// Config is the settings of one installation. Commands embed it into their kong
// struct (`embed:""`), which fills and checks it. Without kong, the zero value
// and Complete give a server on an SQLite file.
type Config struct {
	File string `name:"config" env:"HANDOVER_CONFIG" placeholder:"FILE" help:"YAML file with settings; its keys are the names of these flags."`

	DatabaseURL            URL    `name:"database-url" env:"HANDOVER_DATABASE_URL" placeholder:"URL" help:"sqlite:PATH or postgres://… (default: handover.db in the data folder)."`
	DatabaseURLFile        string `name:"database-url-file" env:"HANDOVER_DATABASE_URL_FILE" placeholder:"FILE" help:"File that holds the database URL."`
	MigrateDatabaseURL     URL    `name:"migrate-database-url" env:"HANDOVER_MIGRATE_DATABASE_URL" placeholder:"URL" help:"The owner's connection for migrations (default: the database URL)."`
	MigrateDatabaseURLFile string `name:"migrate-database-url-file" env:"HANDOVER_MIGRATE_DATABASE_URL_FILE" placeholder:"FILE" help:"File that holds the URL for migrations."`
	Migrate                bool   `name:"migrate" env:"HANDOVER_MIGRATE" help:"Migrate the database on start."`
	StatementCache         bool   `name:"statement-cache" env:"HANDOVER_STATEMENT_CACHE" default:"true" negatable:"" help:"Keep prepared statements on PostgreSQL connections; switch off behind a transaction pooler."`

	LooseRole bool `name:"loose-role" env:"HANDOVER_LOOSE_ROLE" help:"Serve although row-level security does not bind the database's role: a superuser, BYPASSRLS, or the tables' owner with several corps."`

	Data   string `name:"data" env:"HANDOVER_DATA" default:"./handover-data" placeholder:"FOLDER" help:"Folder for what is kept in files (${default})."`
	Listen string `name:"listen" env:"HANDOVER_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to serve on (${default})."`

	ListenMetrics string `name:"listen-metrics" env:"HANDOVER_LISTEN_METRICS" default:"auto" placeholder:"HOST:PORT" help:"Address of /metrics and the details of /readyz and /version; off for none; auto is 127.0.0.1:9090 where that is free (${default})."`

	// SecretKey is never given as a flag: every user of the machine can read those.
	SecretKey     Secret `name:"secret-key" env:"HANDOVER_SECRET_KEY" hidden:"" help:"The secret key itself; only from the environment or the file of settings."`
	SecretKeyFile string `name:"secret-key-file" env:"HANDOVER_SECRET_KEY_FILE" placeholder:"FILE" help:"File that holds the secret key, at least 32 bytes; the key itself may stand in HANDOVER_SECRET_KEY."`

	CheckpointKeyFile string `name:"checkpoint-key-file" env:"HANDOVER_CHECKPOINT_KEY_FILE" placeholder:"FILE" help:"File that holds the key that signs the audit log's checkpoints (default: checkpoint.key in the data folder, made where there is none)."`

	WitnessURL   string `name:"witness-url" env:"HANDOVER_WITNESS_URL" placeholder:"URL" help:"Witness that cosigns the audit log's checkpoints (c2sp.org/tlog-witness): its submission prefix."`
	WitnessKey   string `name:"witness-key" env:"HANDOVER_WITNESS_KEY" placeholder:"KEY" help:"Verifier key of the witness, NAME+HASH+KEY."`
	TimestampURL string `name:"timestamp-url" env:"HANDOVER_TIMESTAMP_URL" placeholder:"URL" help:"Authority that time-stamps checkpoints, once an hour at most (RFC 3161)."`

	BackupEvery     string   `name:"backup-every" env:"HANDOVER_BACKUP_EVERY" default:"24h" placeholder:"DURATION" help:"How often each corp is backed up (${default}); 0 never."`
	BackupKeep      string   `name:"backup-keep" env:"HANDOVER_BACKUP_KEEP" default:"14" placeholder:"N" help:"How many backups of each corp stay (${default})."`
	BackupFolder    string   `name:"backup-folder" env:"HANDOVER_BACKUP_FOLDER" placeholder:"FOLDER" help:"Where backups are kept (default: backups in the data folder)."`
	BackupRecipient []string `name:"backup-recipient" env:"HANDOVER_BACKUP_RECIPIENTS" placeholder:"KEY" help:"Public key that backups are encrypted to, age1…; repeatable (default: that of backup.key in the data folder, made where there is none)."`

	AllowOrigin   []string `name:"allow-origin" env:"HANDOVER_ALLOW_ORIGINS" placeholder:"ORIGIN" help:"Origin whose pages may call the API, such as https://console.example.com; repeatable."`
	PasskeyOrigin []string `name:"passkey-origin" env:"HANDOVER_PASSKEY_ORIGINS" placeholder:"ORIGIN" help:"Origin whose pages may ask for passkeys, such as https://handover.example.com; repeatable (default: the allowed origins, where they are of one host)."`
	PasskeyDomain string   `name:"passkey-domain" env:"HANDOVER_PASSKEY_DOMAIN" placeholder:"DOMAIN" help:"Domain that passkeys are bound to for ever (default: the host of their origins)."`

	BehindProxy []netip.Prefix `name:"behind-proxy" env:"HANDOVER_BEHIND_PROXY" placeholder:"CIDR" help:"Network of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8; repeatable."`

	RateAddress string `name:"rate-address" env:"HANDOVER_RATE_ADDRESS" default:"50" placeholder:"N" help:"Requests a second of one address, after four times as many at once (${default}); 0 sets no limit."`
	RateAccount string `name:"rate-account" env:"HANDOVER_RATE_ACCOUNT" default:"50" placeholder:"N" help:"The same of one member or service token (${default})."`
	RateCorp    string `name:"rate-corp" env:"HANDOVER_RATE_CORP" default:"500" placeholder:"N" help:"The same of one corp, all its people and tokens together (${default})."`

	PublicURL        string `name:"public-url" env:"HANDOVER_PUBLIC_URL" placeholder:"URL" help:"Where browsers reach this server, such as https://handover.example.com; single sign-on needs it."`
	PrivateProviders bool   `name:"private-providers" env:"HANDOVER_PRIVATE_PROVIDERS" help:"Let identity providers be in private networks, and on this machine also without TLS; the demo needs it too."`

	PrivateWebhooks bool `name:"private-webhooks" env:"HANDOVER_PRIVATE_WEBHOOKS" help:"Let webhooks be in private networks and on this machine; the demo needs it too."`

	Introspection        string `name:"introspection" env:"HANDOVER_INTROSPECTION" default:"signed-in" enum:"signed-in,everyone,nobody" help:"Who may read the schema, by introspection and at /schema.graphql: ${enum} (${default})."`
	TrustedDocuments     string `name:"trusted-documents" env:"HANDOVER_TRUSTED_DOCUMENTS" placeholder:"PATH" help:"Trusted documents that clients may name instead of sending a query."`
	TrustedDocumentsOnly bool   `name:"trusted-documents-only" env:"HANDOVER_TRUSTED_DOCUMENTS_ONLY" help:"Refuse every document that is not trusted."`

	LogFormat string `name:"log-format" env:"HANDOVER_LOG_FORMAT" default:"auto" enum:"auto,text,json" help:"${enum}; auto is text on a terminal, else json (${default})."`
	LogLevel  string `name:"log-level" env:"HANDOVER_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"${enum} (${default})."`
}

// Complete fills what is empty with its default, reads the files that hold
// secrets and checks everything. It may be called again.
func (c *Config) Complete() error {
	c.fill()
	for _, s := range c.secrets() {
		if err := s.read(); err != nil {
			return err
		}
	}
	return c.check()
}

// Database is the database to use: handover.db in the data folder where none is
// named.
func (c Config) Database() URL {
	if c.DatabaseURL != "" {
		return c.DatabaseURL
	}
	c.fill()
	return URL("sqlite:" + filepath.ToSlash(filepath.Join(c.Data, "handover.db")))
}

// Metrics is where operators are served; empty for nowhere. One that nobody named yields
// to whoever has it.
func (c Config) Metrics() (address string, yields bool) {
	c.fill()
	switch c.ListenMetrics {
	case "off":
		return "", false
	case "auto":
		return "127.0.0.1:9090", true
	}
	return c.ListenMetrics, false
}

// CheckpointKey is the file of the key that signs checkpoints, and whether it may be made.
func (c Config) CheckpointKey() (path string, make bool) {
	if c.CheckpointKeyFile != "" {
		return c.CheckpointKeyFile, false
	}
	c.fill()
	return filepath.Join(c.Data, "checkpoint.key"), true
}

// Checkpoints is the folder in which checkpoints are copied. The demo's has its own:
// its corps are no corps that the configured database has lost.
func (c Config) Checkpoints(demo bool) string {
	c.fill()
	if demo {
		return filepath.Join(c.Data, "demo-checkpoints")
	}
	return filepath.Join(c.Data, "checkpoints")
}

// Backups is the folder in which backups are kept.
func (c Config) Backups() string {
	if c.BackupFolder != "" {
		return c.BackupFolder
	}
	c.fill()
	return filepath.Join(c.Data, "backups")
}

// BackupPlan is how often each corp is backed up, 0 for never, and how many backups stay.
func (c Config) BackupPlan() (every time.Duration, keep int, err error) {
	c.fill()
	if every, err = time.ParseDuration(c.BackupEvery); err != nil || every < 0 || every > 0 && every < time.Minute {
		return 0, 0, bad("backup-every", "write a time such as 24h, a minute at least, or 0 for never; not %q", c.BackupEvery)
	}
	if keep, err = strconv.Atoi(c.BackupKeep); err != nil || keep < 1 {
		return 0, 0, bad("backup-keep", "write a number, 1 at least; not %q", c.BackupKeep)
	}
	return every, keep, nil
}

// checkPublic makes sure that the public URL is an origin, which nothing is appended to
// but paths.
func (c *Config) checkPublic() error {
	if c.PublicURL == "" {
		return nil
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return bad("public-url", "write an origin such as https://handover.example.com, not %q", c.PublicURL)
	}
	if host := u.Hostname(); u.Scheme == "http" && host != "localhost" && host != "127.0.0.1" && host != "::1" {
		return bad("public-url", "%q has no TLS: cookies would not be safe", c.PublicURL)
	}
	return nil
}

// Rates are the requests a second that one address, one account and one corp may make; a
// negative one is no limit.
func (c Config) Rates() (address, account, corp float64, err error) {
	c.fill()
	for _, r := range []struct {
		name, text string
		to         *float64
	}{{"rate-address", c.RateAddress, &address}, {"rate-account", c.RateAccount, &account}, {"rate-corp", c.RateCorp, &corp}} {
		n, err := strconv.ParseFloat(r.text, 64)
		if err != nil || !(n == 0 || n >= 0.25 && n <= 1e6) { // not a number either
			return 0, 0, 0, bad(r.name, "write how many requests a second, 0.25 at least, or 0 for no limit; not %q", r.text)
		}
		if *r.to = n; n == 0 {
			*r.to = -1
		}
	}
	return address, account, corp, nil
}

// BackupKey is the file of the key that backups are encrypted with where no recipient is
// named.
func (c Config) BackupKey() string {
	c.fill()
	return filepath.Join(c.Data, "backup.key")
}

// MigrationDatabase is the same database, as its owner where one is named.
func (c Config) MigrationDatabase() URL {
	if c.MigrateDatabaseURL != "" {
		return c.MigrateDatabaseURL
	}
	return c.Database()
}

// fill gives empty texts the default of their tag.
func (c *Config) fill() {
	v := reflect.ValueOf(c).Elem()
	for i, f := range reflect.VisibleFields(v.Type()) {
		if d := f.Tag.Get("default"); d != "" && f.Type.Kind() == reflect.String && v.Field(i).String() == "" {
			v.Field(i).SetString(d)
		}
	}
}

func (c *Config) check() error {
	if err := checkDatabase("database-url", c.Database()); err != nil {
		return err
	}
	if err := checkDatabase("migrate-database-url", c.MigrationDatabase()); err != nil {
		return err
	}
	if c.SecretKey != "" {
		if err := checkKey(c.SecretKey); err != nil {
			return err
		}
	}
	if err := checkListen("listen", c.Listen); err != nil {
		return err
	}
	if metrics, _ := c.Metrics(); metrics != "" {
		if err := checkListen("listen-metrics", metrics); err != nil {
			return err
		}
	}
	if err := c.checkWitness(); err != nil {
		return err
	}
	if err := c.checkPublic(); err != nil {
		return err
	}
	if _, _, _, err := c.Rates(); err != nil {
		return err
	}
	if _, _, err := c.BackupPlan(); err != nil {
		return err
	}
	for i, o := range c.AllowOrigin {
		origin, err := checkOrigin("allow-origin", o)
		if err != nil {
			return err
		}
		c.AllowOrigin[i] = origin
	}
	if err := c.checkPasskeys(); err != nil {
		return err
	}
	if c.TrustedDocumentsOnly && c.TrustedDocuments == "" {
		return bad("trusted-documents-only", "needs trusted-documents, else nothing could be asked")
	}
	if !slices.Contains([]string{SignedIn, Everyone, Nobody}, c.Introspection) {
		return bad("introspection", "is one of signed-in, everyone, nobody; not %q", c.Introspection)
	}
	if !slices.Contains([]string{"auto", "text", "json"}, c.LogFormat) {
		return bad("log-format", "is one of auto, text, json; not %q", c.LogFormat)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		return bad("log-level", "is one of debug, info, warn, error; not %q", c.LogLevel)
	}
	return nil
}

// bad is the form of every error about a setting.
func bad(name, format string, args ...any) error {
	return fmt.Errorf("--%s: "+format, append([]any{name}, args...)...)
}

func checkListen(name, s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return bad(name, "%q is no address; write HOST:PORT, such as 127.0.0.1:8080", s)
	}
	return nil
}

func (c *Config) checkWitness() error {
	for _, setting := range [][2]string{{"witness-url", c.WitnessURL}, {"timestamp-url", c.TimestampURL}} {
		name, s := setting[0], setting[1]
		u, err := url.Parse(s)
		if s != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return bad(name, "write a URL such as https://witness.example.com")
		}
	}
	if (c.WitnessURL == "") != (c.WitnessKey == "") {
		return bad("witness-key", "goes with witness-url: its signatures are checked when they come")
	}
	return nil
}

// checkOrigin gives the origin as browsers write it (RFC 6454 §6.2). Neither "*"
// nor "null" is one: with cookies they would let every page in.
func checkOrigin(name, s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || s != u.Scheme+"://"+u.Host || strings.Contains(u.Host, "*") {
		return "", bad(name, "%q is no origin; write scheme and host, such as https://console.example.com", s)
	}
	host := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if u.Scheme == scheme {
			host = strings.TrimSuffix(host, port)
		}
	}
	return u.Scheme + "://" + host, nil
}

// checkDatabase never repeats the URL: it may hold a password.
func checkDatabase(name string, raw URL) error {
	scheme, rest, _ := strings.Cut(string(raw), ":")
	switch scheme {
	case "sqlite":
		if rest == "" {
			return bad(name, "names no file; write sqlite:PATH")
		}
		return nil
	case "postgres", "postgresql":
	default:
		return bad(name, "write sqlite:PATH or postgres://USER@HOST/DATABASE")
	}
	u, err := url.Parse(string(raw))
	if err != nil {
		return bad(name, "cannot be read as a URL; special characters in a password are written %%XX")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad(name, "what stands after the ? cannot be read")
	}
	// Drivers differ in what they do without sslmode, so for a remote server it
	// has to be said.
	if !q.Has("sslmode") && !q.Has("service") && !local(u.Hostname(), q.Get("host")) {
		return bad(name, "say sslmode for a remote database, best sslmode=verify-full")
	}
	return nil
}

func local(host, param string) bool {
	if host == "" {
		host = param
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || strings.HasPrefix(host, "/") || err == nil && ip.IsLoopback()
}

// Logs makes the handler for log lines as log-format and log-level say.
func (c *Config) Logs(w io.Writer) slog.Handler {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" || c.LogFormat != "json" && terminal(w) {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
