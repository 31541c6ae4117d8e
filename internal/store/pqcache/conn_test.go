package pqcache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

func TestStatementsAreKeptAndTheOldestGoes(t *testing.T) {
	var w wire
	db := open(t, Connector{Max: 2}, &w)
	for _, q := range []string{"SELECT $1 || 'a'", "SELECT $1 || 'b'", "SELECT $1 || 'a'", "SELECT $1 || 'c'"} {
		text(t, db, q, "x")
	}
	if got, want := prepared(t, db), "SELECT $1 || 'a'; SELECT $1 || 'c'"; got != want {
		t.Errorf("prepared %q, want %q", got, want)
	}
	before := w.sent.Load()
	text(t, db, "SELECT $1 || 'a'", "x")
	if n := w.sent.Load() - before; n != 1 {
		t.Errorf("a kept statement took %d messages, want 1", n)
	}
	run(t, db, "CREATE TABLE seen (id text)")
	run(t, db, "INSERT INTO seen VALUES ($1)", "1")
	before = w.sent.Load()
	run(t, db, "INSERT INTO seen VALUES ($1)", "2")
	if n := w.sent.Load() - before; n != 1 {
		t.Errorf("a kept INSERT took %d messages, want 1", n)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	var numbers []string
	for i := range mostArgs + 1 {
		numbers = append(numbers, fmt.Sprintf("$%d::text", i+1))
	}
	many := "SELECT concat(" + strings.Join(numbers, ", ") + ")"
	args := make([]any, mostArgs+1)
	for i := range args {
		args[i] = "x"
	}
	for name, c := range map[string]struct {
		max  int
		q    string
		args []any
	}{
		"switched off":       {0, "SELECT $1::text", []any{"x"}},
		"without arguments":  {8, "SELECT 'x'", nil},
		"too many arguments": {8, many, args},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, Connector{Max: c.max}, nil)
			for range 2 {
				text(t, db, c.q, c.args...)
			}
			if got := prepared(t, db); got != "" {
				t.Errorf("prepared %q", got)
			}
		})
	}
}

func TestStaleStatementsAreDroppedAndPreparedAnew(t *testing.T) {
	for name, spoil := range map[string]string{
		"a migration changed the columns": "ALTER TABLE customer ADD COLUMN city text",
		"the server forgot it":            "DEALLOCATE ALL",
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, Connector{Max: 8}, nil)
			run(t, db, "CREATE TABLE customer (id int); INSERT INTO customer VALUES (1)")
			const q = "SELECT * FROM customer WHERE id = $1"
			text(t, db, q, 1)
			run(t, db, spoil)
			rows, err := db.QueryContext(t.Context(), q, 1)
			if err == nil {
				_ = rows.Close()
			}
			if !Stale(err) {
				t.Fatalf("got %v, want a stale statement", err)
			}
			rows, err = db.QueryContext(t.Context(), q, 1)
			if err != nil {
				t.Fatalf("the second time: %v", err)
			}
			if err := rows.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOtherErrorsAreNotStale(t *testing.T) {
	db := open(t, Connector{Max: 8}, nil)
	_, unsupported := db.ExecContext(t.Context(), "SELECT 1 FROM pg_class FOR UPDATE OF nothing")
	_, notYet := db.ExecContext(t.Context(), "CREATE TABLE x (a int PRIMARY KEY DEFERRABLE, b int REFERENCES x MATCH PARTIAL)")
	if pq.As(notYet, pqerror.FeatureNotSupported) == nil {
		t.Fatalf("the example is no feature_not_supported any more: %v", notYet)
	}
	for _, err := range []error{nil, errors.New("boom"), unsupported, notYet} {
		if Stale(err) {
			t.Errorf("%v counts as stale", err)
		}
	}
}

func TestStatementWhileRowsAreOpenIsRefusedAndHarmsNothing(t *testing.T) {
	for _, most := range []int{0, 8} {
		db := open(t, Connector{Max: most}, nil)
		tx := begin(t, db, t.Context(), nil)
		rows, err := tx.QueryContext(t.Context(), "SELECT g FROM generate_series(1, $1) g", 1000)
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		for _, args := range [][]any{nil, {1}} {
			q := "SELECT 1" + strings.Repeat(" + $1::int", len(args))
			if _, err := tx.ExecContext(t.Context(), q, args...); !errors.Is(err, errBusy) {
				t.Errorf("Max %d: %s while rows are open: %v", most, q, err)
			}
		}
		if _, err := tx.PrepareContext(t.Context(), "SELECT 1"); !errors.Is(err, errBusy) {
			t.Errorf("Max %d: Prepare while rows are open: %v", most, err)
		}
		n := 1
		for rows.Next() {
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != 1000 {
			t.Fatalf("Max %d: read %d rows, %v", most, n, err)
		}
		if got := text(t, tx, "SELECT $1::int + 1", 1); got != "2" {
			t.Errorf("Max %d: afterwards 1+1 = %s", most, got)
		}
		commit(t, tx)
	}
}

func TestBeginWhileRowsAreOpenIsRefused(t *testing.T) {
	db := open(t, Connector{Max: 8}, nil)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.QueryContext(t.Context(), "SELECT g FROM generate_series(1, $1) g", 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if tx, err := conn.BeginTx(t.Context(), nil); !errors.Is(err, errBusy) {
		t.Errorf("began %v while rows are open: %v", tx, err)
	}
}

func TestCopy(t *testing.T) {
	var heard []string
	db := open(t, Connector{Max: 8, OnStatement: func(_ context.Context, q string) { heard = append(heard, q) }}, nil)
	run(t, db, "CREATE TABLE word (text text)")
	tx := begin(t, db, t.Context(), nil)
	heard = nil
	words, err := tx.PrepareContext(t.Context(), "COPY word (text) FROM STDIN")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"李", "娜"} {
		if _, err := words.ExecContext(t.Context(), word); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.ExecContext(t.Context(), "SELECT $1::int", 1); !errors.Is(err, errBusy) {
		t.Errorf("a statement in the middle of COPY: %v", err)
	}
	if _, err := words.ExecContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := text(t, tx, "SELECT string_agg(text, '') FROM word WHERE text <> $1", ""); got != "李娜" {
		t.Errorf("copied %q", got)
	}
	commit(t, tx)
	want := []string{"COPY word (text) FROM STDIN", "SELECT string_agg(text, '') FROM word WHERE text <> $1"}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

// TestStuckConnectionLeavesThePool also shows the fault itself: when its first
// half fails, lib/pq has mended it and the guard can go.
func TestStuckConnectionLeavesThePool(t *testing.T) {
	const q = "SELECT $1::text"
	hurt := func(t *testing.T, db *sql.DB, w *wire) {
		t.Helper()
		text(t, db, q, "x")
		w.hangUp.Store(true)
		if _, err := db.ExecContext(t.Context(), q, "x"); pq.As(err, pqerror.InternalError) == nil {
			t.Fatalf("the pooler's error came as %v", err)
		}
	}
	t.Run("lib/pq alone", func(t *testing.T) {
		var w wire
		db := sql.OpenDB(connector(t, &w))
		defer db.Close()
		db.SetMaxOpenConns(1)
		hurt(t, db, &w)
		for range 2 {
			if _, err := db.ExecContext(t.Context(), q, "x"); err == nil || !stuck(err) {
				t.Fatalf("got %v", err)
			}
		}
	})
	t.Run("here a statement", func(t *testing.T) {
		var w wire
		db := open(t, Connector{}, &w)
		hurt(t, db, &w)
		if got := text(t, db, q, "y"); got != "y" || w.dialled.Load() != 2 {
			t.Errorf("got %q over %d connections", got, w.dialled.Load())
		}
	})
	t.Run("here a transaction", func(t *testing.T) {
		var w wire
		db := open(t, Connector{}, &w)
		hurt(t, db, &w)
		tx := begin(t, db, WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), nil)
		if got := text(t, tx, "SELECT current_setting('test.corp')"); got != "7" || w.dialled.Load() != 2 {
			t.Errorf("got %q over %d connections", got, w.dialled.Load())
		}
	})
}

func TestOnStatementHearsStatementsOnly(t *testing.T) {
	type key struct{}
	for _, most := range []int{0, 8} {
		var heard []string
		db := open(t, Connector{Max: most, OnStatement: func(ctx context.Context, q string) {
			mark, _ := ctx.Value(key{}).(string)
			heard = append(heard, mark+q)
		}}, nil)
		ctx := context.WithValue(WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), key{}, "> ")
		tx := begin(t, db, ctx, nil)
		if _, err := tx.ExecContext(ctx, "SELECT 1"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := tx.ExecContext(ctx, "SELECT $1::int", 1); err != nil {
				t.Fatal(err)
			}
		}
		s, err := tx.PrepareContext(ctx, "SELECT $1::bool")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.QueryContext(ctx, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		commit(t, tx)
		want := []string{"> SELECT 1", "> SELECT $1::int", "> SELECT $1::int", "> SELECT $1::bool"}
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("Max %d: heard (-want +got):\n%s", most, diff)
		}
	}
}

func TestRowsKeepTheirColumnTypes(t *testing.T) {
	db := open(t, Connector{Max: 8}, nil)
	rows, err := db.QueryContext(t.Context(), "SELECT $1::int4 AS n, 'x'::varchar(7) AS s", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	if length, _ := types[1].Length(); types[0].DatabaseTypeName() != "INT4" || length != 7 {
		t.Errorf("types %s, %s(%d)", types[0].DatabaseTypeName(), types[1].DatabaseTypeName(), length)
	}
}

func TestCancelledStatementLeavesTheConnectionUsable(t *testing.T) {
	db := open(t, Connector{Max: 8}, nil)
	const q = "SELECT pg_sleep($1)::text"
	text(t, db, q, 0)
	backend := text(t, db, "SELECT pg_backend_pid()")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, q, 60); err == nil {
		t.Fatal("60 seconds passed in 50 milliseconds")
	}
	if got := text(t, db, "SELECT pg_backend_pid()"); got != backend {
		t.Errorf("the connection was given up")
	}
	text(t, db, q, 0)
}
