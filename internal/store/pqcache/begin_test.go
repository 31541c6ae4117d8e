package pqcache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lib/pq"
)

func both(t *testing.T, f func(t *testing.T, most int)) {
	t.Helper()
	for _, most := range []int{0, 8} {
		t.Run(fmt.Sprintf("Max %d", most), func(t *testing.T) { f(t, most) })
	}
}

func TestBeginSetsAllInOneMessage(t *testing.T) {
	both(t, func(t *testing.T, most int) {
		var w wire
		db := open(t, Connector{Max: most}, &w)
		text(t, db, "SELECT 1")
		ctx := WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"}, Setting{"statement_timeout", "12345"}))
		for _, c := range []struct {
			opts                *sql.TxOptions
			isolation, readOnly string
		}{
			{nil, "read committed", "off"},
			{&sql.TxOptions{ReadOnly: true}, "read committed", "on"},
			{&sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, "repeatable read", "on"},
			{&sql.TxOptions{Isolation: sql.LevelSerializable}, "serializable", "off"},
		} {
			before := w.sent.Load()
			tx := begin(t, db, ctx, c.opts)
			if n := w.sent.Load() - before; n != 1 {
				t.Errorf("beginning took %d messages, want 1", n)
			}
			for setting, want := range map[string]string{
				"transaction_isolation": c.isolation, "transaction_read_only": c.readOnly,
				"test.corp": "7", "statement_timeout": "12345ms",
			} {
				if got := text(t, tx, "SELECT current_setting($1)", setting); got != want {
					t.Errorf("%s = %q, want %q", setting, got, want)
				}
			}
			commit(t, tx)
			if got := text(t, db, "SELECT coalesce(current_setting('test.corp', true), '')"); got != "" {
				t.Errorf("the setting outlives its transaction: %q", got)
			}
		}
	})
}

func TestSettingsAreValuesWhateverTheyHold(t *testing.T) {
	db := open(t, Connector{}, nil)
	for _, value := range []string{"", "李娜", `it's`, `back\slash`, `\'; ROLLBACK; --`, "', true); ROLLBACK; --", "two\nlines"} {
		tx := begin(t, db, WithBegin(t.Context(), SetConfig(Setting{"test.a", value}, Setting{"test.b", value})), nil)
		if got := text(t, tx, "SELECT current_setting('test.b')"); got != value {
			t.Errorf("set %q, got %q", value, got)
		}
		commit(t, tx)
	}
	if tx, err := db.BeginTx(WithBegin(t.Context(), SetConfig(Setting{"test.a", "nul\x00"})), nil); err == nil {
		_ = tx.Rollback()
		t.Error("a NUL was accepted")
	}
}

func TestContextsWithoutSettingsBeginPlainly(t *testing.T) {
	db := open(t, Connector{}, nil)
	for name, ctx := range map[string]context.Context{
		"none":       t.Context(),
		"taken away": WithBegin(WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), ""),
	} {
		tx := begin(t, db, ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		got := text(t, tx, "SELECT current_setting('transaction_isolation') || coalesce(current_setting('test.corp', true), '')")
		if got != "repeatable read" {
			t.Errorf("%s: %q", name, got)
		}
		commit(t, tx)
	}
	if tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSnapshot}); err == nil {
		_ = tx.Rollback()
		t.Error("an isolation level that PostgreSQL does not have was accepted")
	}
}

func TestCommittingAFailedTransactionIsAnError(t *testing.T) {
	both(t, func(t *testing.T, most int) {
		db := open(t, Connector{Max: most}, nil)
		run(t, db, "CREATE TABLE customer (id int)")
		tx := begin(t, db, WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), nil)
		run(t, tx, "INSERT INTO customer VALUES ($1)", 1)
		if _, err := tx.ExecContext(t.Context(), "SELECT 1/$1::int", 0); err == nil {
			t.Fatal("divided by zero")
		}
		if err := tx.Commit(); !errors.Is(err, pq.ErrInFailedTransaction) {
			t.Errorf("commit said %v", err)
		}
		if got := text(t, db, "SELECT count(*) FROM customer"); got != "0" {
			t.Errorf("%s rows of a failed transaction are there", got)
		}
	})
}

func TestSettingsThatFailBeginNothing(t *testing.T) {
	for bad, connections := range map[string]int64{
		SetConfig(Setting{"no_such_setting", "1"}): 1,
		"SELECT nonsense":                          1,
		"SELEC":                                    2, // not even BEGIN is run, which lib/pq takes for a broken connection
	} {
		var w wire
		db := open(t, Connector{Max: 8}, &w)
		tx, err := db.BeginTx(WithBegin(t.Context(), bad), nil)
		if err == nil {
			_ = tx.Rollback()
		}
		if pq.As(err) == nil {
			t.Errorf("%s: got %v", bad, err)
		}
		run(t, db, "CREATE TABLE customer (id int)")
		tx = begin(t, db, WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), nil)
		run(t, tx, "INSERT INTO customer VALUES ($1)", 1)
		commit(t, tx)
		if got := text(t, db, "SELECT count(*) FROM customer"); got != "1" {
			t.Errorf("%s: afterwards a commit kept %s rows, want 1", bad, got)
		}
		if n := w.dialled.Load(); n != connections {
			t.Errorf("%s: used %d connections, want %d", bad, n, connections)
		}
	}
}

func TestRollbackUndoes(t *testing.T) {
	db := open(t, Connector{Max: 8}, nil)
	run(t, db, "CREATE TABLE customer (id int)")
	tx := begin(t, db, WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), nil)
	run(t, tx, "INSERT INTO customer VALUES ($1)", 1)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, db, "SELECT count(*) FROM customer"); got != "0" {
		t.Errorf("%s rows are there", got)
	}
}

// lib/pq remembers how to stop watching the context of the transaction before. A
// transaction begun past it must not stop that watch a second time.
func TestTransactionsOfAllKindsFollowEachOtherOnOneConnection(t *testing.T) {
	var w wire
	db := open(t, Connector{Max: 8}, &w)
	for i := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%3 != 0 {
			ctx = WithBegin(ctx, SetConfig(Setting{"test.corp", "7"}))
		}
		tx := begin(t, db, ctx, nil)
		text(t, tx, "SELECT $1::int", i)
		commit(t, tx)
		cancel()
	}
	if n := w.dialled.Load(); n != 1 {
		t.Errorf("used %d connections, want 1", n)
	}
}

func TestEndOfContextCancelsAndRollsBack(t *testing.T) {
	both(t, func(t *testing.T, most int) {
		db := open(t, Connector{Max: most}, nil)
		run(t, db, "CREATE TABLE customer (id int)")
		ctx, cancel := context.WithTimeout(WithBegin(t.Context(), SetConfig(Setting{"test.corp", "7"})), 200*time.Millisecond)
		defer cancel()
		tx := begin(t, db, ctx, nil)
		run(t, tx, "INSERT INTO customer VALUES ($1)", 1)
		if _, err := tx.ExecContext(ctx, "SELECT pg_sleep($1)", 60); err == nil {
			t.Error("slept for a minute in 200 milliseconds")
		}
		if err := tx.Commit(); err == nil {
			t.Error("committed after the context's end")
		}
		if got := text(t, db, "SELECT count(*) FROM customer"); got != "0" {
			t.Errorf("%s rows are there", got)
		}
	})
}
