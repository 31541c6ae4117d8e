package backup

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Progress is told how many rows of a table are done.
type Progress func(table string, rows int64)

// Write writes a backup of a corp as it is at one moment, whatever goes on meanwhile.
// Memory does not grow with the corp. keys sign it; without any it is not signed. Nothing
// was backed up unless it returns nil.
func Write(ctx context.Context, db *store.DB, corp nid.ID, to io.Writer, recipients []age.Recipient, keys checkpoint.Keys, told Progress) (Summary, error) {
	s := Summary{Tables: map[string]int64{}}
	sealed, err := age.Encrypt(to, recipients...)
	if err != nil {
		return s, err
	}
	packed := gzip.NewWriter(sealed)
	err = db.View(store.System(ctx, corp, "backup"), func(ctx context.Context, r *store.Read) error {
		sum := sha256.New()
		all := io.MultiWriter(packed, sum)
		w := &writer{ctx: ctx, r: r, enc: json.NewEncoder(all), to: all, s: &s, told: told}
		w.enc.SetEscapeHTML(false)
		err := w.all(corp)
		if err == nil && len(keys) > 0 {
			s.SignedBy = keys.Public(corp)
			err = w.sign(keys, statement(corp, sum.Sum(nil)))
		} else if err == nil {
			err = w.enc.Encode(signature{})
		}
		return err
	})
	return s, errors.Join(err, packed.Close(), sealed.Close())
}

type writer struct {
	ctx  context.Context
	r    *store.Read
	enc  *json.Encoder
	to   io.Writer
	s    *Summary
	told Progress
}

func (w *writer) all(corp nid.ID) error {
	h, err := header(w.ctx, w.r, corp)
	if err != nil {
		return err
	}
	w.s.Header = h
	if err := w.enc.Encode(h); err != nil {
		return err
	}
	all, err := store.Tables(w.ctx, w.r)
	if err != nil {
		return err
	}
	for _, t := range wanted(all) {
		if err := w.enc.Encode(begin{t.Name, t.Columns}); err != nil {
			return err
		}
		e, err := each(w.ctx, w.r, t, corp, func(line []byte, n int64) error {
			if w.told != nil && n%1000 == 0 {
				w.told(t.Name, n)
			}
			_, err := w.to.Write(append(line, '\n'))
			return err
		})
		if err == nil {
			err = w.enc.Encode(e)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		w.s.Tables[t.Name] = e.Rows
		w.s.Rows += e.Rows
	}
	return w.enc.Encode(last{true, w.s.Rows})
}

func (w *writer) sign(keys checkpoint.Keys, text string) error {
	note, err := keys.Statement(w.s.Corp, text)
	if err == nil {
		err = w.enc.Encode(signature{note})
	}
	return err
}

// errBusy: another replica is making a backup of the corp just now.
var errBusy = errors.New("another backup of this corp is being made just now; try again when it is done")

func header(ctx context.Context, r *store.Read, corp nid.ID) (Header, error) {
	h := Header{Format: format, Version: version, Corp: corp, At: r.DB().Now()}
	free, err := alone(ctx, r, corp)
	if err != nil {
		return h, err
	}
	if !free {
		return h, errBusy
	}
	var found bool
	if h.Name, found, err = store.SelectOne(ctx, r, func(s *string) []any { return []any{s} }, `SELECT name FROM corps WHERE id = $1`, corp); err != nil {
		return h, err
	}
	if !found {
		return h, fmt.Errorf("there is no corp %s", corp)
	}
	type log struct {
		size int64
		hash []byte
	}
	l, _, err := store.SelectOne(ctx, r, func(l *log) []any { return []any{&l.size, &l.hash} }, `SELECT size, hash FROM audit_heads WHERE corp_id = $1`, corp)
	if err != nil {
		return h, err
	}
	h.Entries, h.Head = l.size, hex.EncodeToString(l.hash)
	h.Sealed, _, err = store.SelectOne(ctx, r, func(b *[]byte) []any { return []any{b} },
		`SELECT wrapped FROM subject_keys WHERE corp_id = $1 AND wrapped IS NOT NULL ORDER BY created_at DESC, subject_id LIMIT 1`, corp)
	return h, err
}

// alone keeps other replicas from doing the same until the snapshot's end.
func alone(ctx context.Context, r *store.Read, corp nid.ID) (free bool, err error) {
	if !r.DB().Postgres() {
		return true, nil
	}
	free, _, err = store.SelectOne(ctx, r, func(b *bool) []any { return []any{b} }, `SELECT pg_try_advisory_xact_lock(hashtextextended('handover backup ' || $1, 0))`, corp.String())
	return free, err
}

// each gives the rows of a table as lines, and what they come to.
func each(ctx context.Context, r *store.Read, t store.Table, corp nid.ID, line func(line []byte, n int64) error) (end, error) {
	names := make([]string, len(t.Columns))
	values, places := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i, c := range t.Columns {
		names[i], places[i] = `"`+c.Name+`"`, &values[i]
	}
	order := ""
	if len(t.Key) > 0 {
		order = ` ORDER BY "` + strings.Join(t.Key, `", "`) + `"`
	}
	var sum digest
	n := int64(0)
	err := store.Each(ctx, r, func(rows *sql.Rows) error {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		b, err := encode(t.Columns, values)
		if err != nil {
			return err
		}
		sum.add(b)
		n++
		return line(b, n)
	}, `SELECT `+strings.Join(names, ", ")+` FROM "`+t.Name+`" WHERE corp_id = $1`+order, corp)
	return end{n, sum.String()}, err
}
