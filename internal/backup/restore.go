package backup

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// atOnce is how many rows, bytes and values one statement puts in. SQLite looks a
	// parameter's name up among all others, so there they are few.
	atOnce, bytesAtOnce, valuesAtOnce, valuesOnSQLite = 500, 4 << 20, 30_000, 400
	// longest is how long a line can be.
	longest = 256 << 20
)

// ErrDamaged is a file that is not what a backup is: cut off, changed, or none at all.
var ErrDamaged = errors.New("the file is damaged, or no backup")

// ErrKey is a backup that none of the identities opens.
var ErrKey = errors.New("none of the keys opens this backup")

// ErrSecret is a backup of an installation with another secret key.
var ErrSecret = errors.New("the backup is sealed with another secret key than the configured one; configure the key that the database had")

// ErrUntrusted is a backup that a trusted key did not sign, or whose rows the log does not know.
var ErrUntrusted = errors.New("the backup is not trusted, so nothing was restored")

// Options are how a backup is put back.
type Options struct {
	Identities []age.Identity
	Log        *audit.Log
	// Trust are verifier keys known from elsewhere, one of which, or one that they
	// introduced, must have signed the backup; without any, whoever did is only named.
	Trust []string
	// Wake are the kinds of background work that are to be looked for afterwards.
	Wake []string
	Told Progress
	// Forget erases the people who were erased after the backup was made and returns
	// them; nil erases nobody.
	Forget func(ctx context.Context, tx *store.Tx) ([]nid.ID, error)
}

// Restore puts a backup into a database that does not have its corp: all of it, held
// against what was written, with a log that verifies, or nothing. On PostgreSQL it must
// be connected as the owner of the tables, for it takes foreign keys away and puts them
// back, which checks them.
//
// Fails with ErrKey, ErrSecret, ErrDamaged, ErrUntrusted, and with a sentence where the
// corp is there already or the backup is from another version of the program.
func Restore(ctx context.Context, db *store.DB, from io.Reader, o Options) (s Summary, err error) {
	s.Tables = map[string]int64{}
	rd, err := begun(from, o.Identities, &s.Header)
	if err != nil {
		return s, err
	}
	began := false
	err = db.Tx(store.System(ctx, s.Corp, "restore a backup"), func(ctx context.Context, tx *store.Tx) error {
		if began { // what was read is gone
			return errors.New("the database broke the transaction off; try again")
		}
		began = true
		return (&restoring{tx: tx, rd: rd, s: &s, o: o}).all(ctx)
	})
	return s, err
}

// Inspect reads a backup's header, without a database: it fails as Restore does for
// a key that does not open it, and with ErrSecret unless box is of its secret key.
func Inspect(from io.Reader, ids []age.Identity, box *secret.Box) (h Header, err error) {
	if _, err := begun(from, ids, &h); err != nil {
		return h, err
	}
	if len(h.Sealed) > 0 {
		// Which key it was shows before the row it belongs to matters.
		if _, err := box.Open(h.Sealed, nil); errors.Is(err, secret.ErrUnknownKey) {
			return h, ErrSecret
		}
	}
	return h, nil
}

type restoring struct {
	tx *store.Tx
	rd *reader
	s  *Summary
	o  Options
}

func (x *restoring) all(ctx context.Context) error {
	if err := x.free(ctx); err != nil {
		return err
	}
	keys, err := x.loosen(ctx)
	if err != nil {
		return err
	}
	have, err := store.Tables(ctx, x.tx)
	if err != nil {
		return err
	}
	digests := map[string]end{}
	tables := wanted(have)
	for {
		var line struct {
			begin
			last
		}
		if err := x.rd.json(&line); err != nil {
			return err
		}
		if line.End {
			if line.last.Rows != x.s.Rows || len(digests) != len(tables) {
				return ErrDamaged
			}
			break
		}
		i := slices.IndexFunc(tables, func(t store.Table) bool { return t.Name == line.Table })
		if i < 0 || !slices.Equal(tables[i].Columns, line.Columns) {
			return fmt.Errorf("the backup is from another version of this program: its table %s is another one; restore it with that version, then upgrade", line.Table)
		}
		e, err := x.table(ctx, tables[i])
		if err != nil {
			return fmt.Errorf("%s: %w", line.Table, err)
		}
		digests[line.Table] = e
		x.s.Tables[line.Table] = e.Rows
		x.s.Rows += e.Rows
	}
	said := statement(x.s.Corp, x.rd.sum.Sum(nil))
	var signed signature
	if err := x.rd.json(&signed); err != nil {
		return err
	}
	if err := x.rd.over(); err != nil {
		return err
	}
	if err := x.tighten(ctx, keys); err != nil {
		return err
	}
	if err := x.compare(ctx, tables, digests); err != nil {
		return err
	}
	return x.log(ctx, said, signed.Note)
}

// free makes sure that nobody's rows are in the way.
func (x *restoring) free(ctx context.Context) error {
	names, err := store.Select(ctx, x.tx, func(s *string) []any { return []any{s} }, `SELECT name FROM corps WHERE id = $1 OR name = $2`, x.s.Corp, x.s.Name)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("the database has a corp named %s already; restore into an empty one", names[0])
	}
	return err
}

// foreignKey is one that is taken away and put back.
type foreignKey struct{ table, name, text string }

// loosen lets rows come in any order.
func (x *restoring) loosen(ctx context.Context) ([]foreignKey, error) {
	if !x.tx.DB().Postgres() {
		_, err := x.tx.Plain(ctx, `PRAGMA defer_foreign_keys = ON`)
		return nil, err
	}
	for _, limit := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		if _, err := x.tx.Plain(ctx, `SET LOCAL `+limit+` = 0`); err != nil {
			return nil, err
		}
	}
	keys, err := store.Select(ctx, x.tx, func(k *foreignKey) []any { return []any{&k.table, &k.name, &k.text} }, `
		SELECT t.relname, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
		WHERE c.contype = 'f' AND c.conparentid = 0 AND t.relnamespace = current_schema()::regnamespace ORDER BY t.relname, c.conname`)
	for _, k := range keys {
		if err == nil {
			_, err = x.tx.Plain(ctx, `ALTER TABLE "`+k.table+`" DROP CONSTRAINT "`+k.name+`"`)
		}
	}
	if err != nil {
		err = fmt.Errorf("foreign keys cannot be put off; connect as the tables' owner (--migrate-database-url): %w", err)
	}
	return keys, err
}

// tighten puts the foreign keys back, which checks every row.
func (x *restoring) tighten(ctx context.Context, keys []foreignKey) error {
	for _, k := range keys {
		if _, err := x.tx.Plain(ctx, `ALTER TABLE "`+k.table+`" ADD CONSTRAINT "`+k.name+`" `+k.text); err != nil {
			return fmt.Errorf("%s: %w", k.table, err)
		}
	}
	if x.tx.DB().Postgres() {
		return nil
	}
	broken, err := store.Select(ctx, x.tx, func(s *string) []any { return []any{s} }, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`)
	if err == nil && len(broken) > 0 {
		err = fmt.Errorf("%s: %w", broken[0], ErrDamaged)
	}
	return err
}

// table puts in one table's rows.
func (x *restoring) table(ctx context.Context, t store.Table) (end, error) {
	var sum digest
	var values []any
	rows, size, n, most := 0, 0, int64(0), valuesAtOnce
	if !x.tx.DB().Postgres() {
		most = valuesOnSQLite
	}
	flush := func() error {
		if rows == 0 {
			return nil
		}
		_, err := x.tx.Plain(ctx, insert(t, rows), values...)
		values, rows, size = values[:0], 0, 0
		return err
	}
	for {
		line, err := x.rd.line()
		if err != nil {
			return end{}, err
		}
		if len(line) > 0 && line[0] == '{' {
			var e end
			if err := json.Unmarshal(line, &e); err != nil || e.Rows != n || e.Digest != sum.String() {
				return e, ErrDamaged
			}
			return e, flush()
		}
		sum.add(line)
		row, err := decode(x.tx.DB(), t.Columns, line)
		if err != nil {
			return end{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		values = append(values, row...)
		n++
		rows++
		if size += len(line); rows == atOnce || size > bytesAtOnce || len(values)+len(t.Columns) > most {
			if err := flush(); err != nil {
				return end{}, err
			}
		}
		if x.o.Told != nil && n%1000 == 0 {
			x.o.Told(t.Name, n)
		}
	}
}

func insert(t store.Table, rows int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO "` + t.Name + `" (`)
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(`"` + c.Name + `"`)
	}
	b.WriteString(") VALUES ")
	for r, n := 0, 0; r < rows; r++ {
		b.WriteString(strings.Repeat(", ", min(r, 1)) + "(")
		for i := range t.Columns {
			n++
			b.WriteString(strings.Repeat(", ", min(i, 1)) + "$" + strconv.Itoa(n))
		}
		b.WriteString(")")
	}
	return b.String()
}

// compare reads everything again: what is there now is what was there then.
func (x *restoring) compare(ctx context.Context, tables []store.Table, digests map[string]end) error {
	for _, t := range tables {
		e, err := each(ctx, x.tx.Read(), t, x.s.Corp, func([]byte, int64) error { return nil })
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if e != digests[t.Name] {
			return fmt.Errorf("%s: %d rows came out otherwise than they went in; nothing was restored", t.Name, e.Rows)
		}
	}
	return nil
}

// trusted looks who signed the backup, and whether the log knows the rows that give rights.
func (x *restoring) trusted(ctx context.Context, keys []string, said, note string) (err error) {
	text, key, bad := checkpoint.OpenStatement(note, x.s.Corp, keys)
	if bad == nil && text == said {
		x.s.SignedBy, x.s.Trusted = key, len(x.o.Trust) > 0
	}
	if x.s.Unknown, err = audit.Unknown(ctx, x.tx); err != nil || len(x.o.Trust) == 0 {
		return err
	}
	if !x.s.Trusted {
		return fmt.Errorf("%w: no key that was named signed it", ErrUntrusted)
	}
	if len(x.s.Unknown) > 0 {
		return fmt.Errorf("%w: %s", ErrUntrusted, strings.Join(x.s.Unknown, "; "))
	}
	return nil
}

// log verifies the log, wakes who works in the background, and records the restore.
func (x *restoring) log(ctx context.Context, said, note string) error {
	v, err := audit.VerifyIn(ctx, x.tx.Read(), x.s.Corp, audit.Trust{Keys: x.o.Trust}, nil)
	if err != nil {
		return fmt.Errorf("the backup's audit log does not verify, so nothing was restored: %w", err)
	}
	if v.Entries != x.s.Entries || hex.EncodeToString(v.Head[:]) != x.s.Head && x.s.Entries > 0 {
		return ErrDamaged
	}
	if err := x.o.Log.Opens(ctx, x.tx); errors.Is(err, secret.ErrUnknownKey) {
		return ErrSecret
	} else if err != nil {
		return err
	}
	if err := x.trusted(ctx, v.Keys, said, note); err != nil {
		return err
	}
	for _, kind := range x.o.Wake {
		if err := x.tx.Wake(ctx, kind, x.tx.Now()); err != nil {
			return err
		}
	}
	// Their files are not in a backup.
	gone, err := x.tx.Change(ctx, "exports", `UPDATE exports SET state = 'EXPIRED' WHERE corp_id = $1 AND state = 'READY' RETURNING id`, x.s.Corp)
	if err != nil {
		return err
	}
	err = x.o.Log.Append(ctx, x.tx, audit.Entry{Action: access.BackupRestore, Subject: x.s.Corp, Covers: gone,
		After: map[string]any{"takenAt": x.s.At, "entries": x.s.Entries, "rows": x.s.Rows, "exportsExpired": len(gone)}})
	if err == nil && x.o.Forget != nil {
		x.s.Erased, err = x.o.Forget(ctx, x.tx)
	}
	return err
}
