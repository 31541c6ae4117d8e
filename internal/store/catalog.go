package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// Type is what a column holds, whatever the engine calls it.
type Type string

// The types of columns.
const (
	UUID  Type = "uuid"
	Text  Type = "text"
	Int   Type = "int"
	Float Type = "float"
	Bool  Type = "bool"
	Time  Type = "time"
	Bytes Type = "bytes"
	JSON  Type = "json"
)

// Column is one column of a table.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// Table is one table that holds rows of corps.
type Table struct {
	Name    string
	Columns []Column
	// Key are the columns of the primary key, in its order.
	Key []string
}

// Tables lists the tables with a column corp_id, by name. On PostgreSQL a partitioned
// table is one table.
func Tables(ctx context.Context, q Querier) ([]Table, error) {
	type column struct {
		table, name, typ string
		key              int
	}
	query := `SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid`
	if q.engine().Postgres() {
		query = `SELECT t.relname, a.attname, format_type(a.atttypid, NULL), coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1
			FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_index AS i ON i.indrelid = t.oid AND i.indisprimary
			WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition ORDER BY t.relname, a.attnum`
	}
	columns, err := Select(ctx, q, func(c *column) []any { return []any{&c.table, &c.name, &c.typ, &c.key} }, query)
	if err != nil {
		return nil, err
	}
	var all []Table
	keys := map[string]map[int]string{}
	for _, c := range columns {
		if len(all) == 0 || all[len(all)-1].Name != c.table {
			all = append(all, Table{Name: c.table})
			keys[c.table] = map[int]string{}
		}
		t := &all[len(all)-1]
		typ, err := typeOf(c.typ)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", c.table, c.name, err)
		}
		t.Columns = append(t.Columns, Column{c.name, typ})
		if c.key > 0 {
			keys[c.table][c.key] = c.name
		}
	}
	all = slices.DeleteFunc(all, func(t Table) bool {
		return !slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name == "corp_id" })
	})
	for i := range all {
		for n := 1; n <= len(keys[all[i].Name]); n++ {
			all[i].Key = append(all[i].Key, keys[all[i].Name][n])
		}
	}
	return all, nil
}

// typeOf reads an engine's name of a type.
func typeOf(name string) (Type, error) {
	switch strings.ToLower(name) {
	case "uuid":
		return UUID, nil
	case "text", "character varying", "varchar":
		return Text, nil
	case "integer", "bigint", "smallint", "int":
		return Int, nil
	case "double precision", "real":
		return Float, nil
	case "bool", "boolean":
		return Bool, nil
	case "datetime", "timestamp", "timestamptz", "timestamp with time zone", "timestamp without time zone":
		return Time, nil
	case "bytea", "blob":
		return Bytes, nil
	case "json", "jsonb":
		return JSON, nil
	}
	return "", fmt.Errorf("unknown type %q", name)
}

// Each reads the rows of a query one by one: for more than fits into memory, and for
// longer than a request may take.
func Each(ctx context.Context, r *Read, row func(*sql.Rows) error, query string, args ...any) error {
	if r.db.Postgres() {
		for _, limit := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
			if _, err := r.exec(ctx, `SET LOCAL `+limit+` = 0`); err != nil {
				return err
			}
		}
	}
	return r.each(ctx, row, query, args...)
}

// Plain runs a statement past the record of changes: for putting back rows that are
// recorded already. n is how many rows it changed.
func (tx *Tx) Plain(ctx context.Context, query string, args ...any) (n int, err error) {
	return tx.exec(ctx, query, args...)
}

// Read reads what the transaction has written so far.
func (tx *Tx) Read() *Read { return &Read{conn: tx.conn, client: tx.client} }
