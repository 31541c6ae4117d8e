package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/openhandover/openhandover/internal/nid"
)

// The few places where the SQL of the engines differs. Statements are otherwise
// the same text: $n placeholders, RETURNING, ON CONFLICT and UPDATE … FROM work
// on both.

// ForUpdate locks the rows a SELECT finds. SQLite holds its one write lock from
// the start of the transaction and needs no words for it.
func (db *DB) ForUpdate() string { return db.onPostgres(" FOR UPDATE") }

// ForNoKeyUpdate locks rows against change but lets others refer to them. Its
// optional words are the tables, where a join would lock too much.
func (db *DB) ForNoKeyUpdate(of ...string) string {
	if len(of) > 0 {
		return db.onPostgres(" FOR NO KEY UPDATE OF " + strings.Join(of, ", "))
	}
	return db.onPostgres(" FOR NO KEY UPDATE")
}

// Clock is the database's own time plus a span, as an expression: leases of several
// replicas compare on one clock, whatever theirs say.
func (db *DB) Clock(plus time.Duration) string {
	if db.Postgres() {
		return fmt.Sprintf("(clock_timestamp() + interval '%d milliseconds')", plus.Milliseconds())
	}
	return fmt.Sprintf("(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '%+.3f seconds') || '+00:00')", plus.Seconds())
}

// OrSkip follows a lock word and passes over rows that somebody else has locked.
func (db *DB) OrSkip() string { return db.onPostgres(" SKIP LOCKED") }

// ForShare keeps rows from changing until the end of the transaction. Its
// optional words are the tables, where a join would lock too much.
func (db *DB) ForShare(of ...string) string {
	if len(of) > 0 {
		return db.onPostgres(" FOR SHARE OF " + strings.Join(of, ", "))
	}
	return db.onPostgres(" FOR SHARE")
}

func (db *DB) onPostgres(s string) string {
	if db.Postgres() {
		return s
	}
	return ""
}

// In is the condition that a uuid column is in the list given as the nth
// argument by IDs. One argument, however long the list.
func (db *DB) In(n int) string {
	if db.Postgres() {
		return fmt.Sprintf("= ANY($%d::uuid[])", n)
	}
	return fmt.Sprintf("IN (SELECT value FROM json_each($%d))", n)
}

// InText is In for a text column; the argument is made by Texts.
func (db *DB) InText(n int) string {
	if db.Postgres() {
		return fmt.Sprintf("= ANY($%d::text[])", n)
	}
	return fmt.Sprintf("IN (SELECT value FROM json_each($%d))", n)
}

// InList is In with ? for its argument, for use in a Where.
func (db *DB) InList() string {
	if db.Postgres() {
		return "= ANY(?::uuid[])"
	}
	return "IN (SELECT value FROM json_each(?))"
}

// InTexts is InText with ? for its argument, for use in a Where.
func (db *DB) InTexts() string {
	if db.Postgres() {
		return "= ANY(?::text[])"
	}
	return "IN (SELECT value FROM json_each(?))"
}

// JSONArray gathers the values that an expression has over several rows into the
// text of a JSON array, in no particular order.
func (db *DB) JSONArray(expression string) string {
	if db.Postgres() {
		return "CAST(COALESCE(json_agg(" + expression + "), '[]') AS text)"
	}
	return "json_group_array(" + expression + ")"
}

// IDs makes the argument for In.
func (db *DB) IDs(ids []nid.ID) any {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.UUID()
	}
	return db.Texts(out)
}

// Texts makes the argument for InText.
func (db *DB) Texts(texts []string) any {
	if db.Postgres() {
		return pq.Array(texts)
	}
	b, _ := json.Marshal(texts)
	return string(b)
}

// Rows is a table in the FROM clause made of the nth argument, which Batch made
// with the same columns. Each column is "name type"; the types are uuid, text,
// int, bool, time, json and hex.
func (db *DB) Rows(n int, alias string, columns ...string) string {
	var b strings.Builder
	if db.Postgres() {
		fmt.Fprintf(&b, "(SELECT ")
		for i, c := range columns {
			name, typ, _ := strings.Cut(c, " ")
			if i > 0 {
				b.WriteString(", ")
			}
			if typ == "hex" {
				fmt.Fprintf(&b, "decode(%s, 'hex') AS %s", name, name)
			} else {
				b.WriteString(name)
			}
		}
		fmt.Fprintf(&b, " FROM json_to_recordset($%d::json) AS r(", n)
		for i, c := range columns {
			name, typ, _ := strings.Cut(c, " ")
			if i > 0 {
				b.WriteString(", ")
			}
			switch typ {
			case "time":
				typ = "timestamptz"
			case "int":
				typ = "bigint"
			case "hex":
				typ = "text"
			}
			fmt.Fprintf(&b, "%s %s", name, typ)
		}
		fmt.Fprintf(&b, ")) AS %s", alias)
		return b.String()
	}
	b.WriteString("(SELECT ")
	for i, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		if i > 0 {
			b.WriteString(", ")
		}
		path := fmt.Sprintf("json_extract(value, '$.%s')", name)
		if typ == "hex" {
			path = "unhex(" + path + ")"
		}
		fmt.Fprintf(&b, "%s AS %s", path, name)
	}
	// LIMIT keeps the planner from pulling json_each into the outer query, where it
	// would parse the JSON again for each row of the other table.
	fmt.Fprintf(&b, " FROM json_each($%d) LIMIT -1) AS %s", n, alias)
	return b.String()
}

// Lookup follows a table in a FROM clause and joins the rows of another table that
// match each of its rows, found by an index one by one. PostgreSQL is made to do so:
// where it expects few rows it compares all with all, and there may be many.
func (db *DB) Lookup(table, condition string) string {
	if db.Postgres() {
		return " CROSS JOIN LATERAL (SELECT * FROM " + table + " WHERE " + condition + " OFFSET 0) AS " + table
	}
	return " CROSS JOIN " + table + " ON " + condition // in SQLite, CROSS is what fixes the order
}

// Batch makes the argument for Rows: one map for each row, by column name.
func (db *DB) Batch(rows []map[string]any) any {
	for _, r := range rows {
		for k, v := range r {
			r[k] = db.plain(v)
		}
	}
	b, err := json.Marshal(rows)
	if err != nil {
		panic("store: a batch holds a value that is not plain: " + err.Error())
	}
	return string(b)
}

func (db *DB) plain(v any) any {
	switch v := v.(type) {
	case nid.ID:
		if v.IsZero() {
			return nil
		}
		return v.UUID()
	case time.Time:
		return db.TimeText(v)
	case *time.Time:
		if v == nil {
			return nil
		}
		return db.TimeText(*v)
	case []byte:
		return hex.EncodeToString(v)
	case json.RawMessage:
		if !db.Postgres() {
			return string(v) // SQLite keeps JSON as text
		}
	}
	return v
}

// TimeText writes a time as the engine's driver stores it, so that times compare.
func (db *DB) TimeText(t time.Time) string {
	if db.Postgres() {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return t.UTC().Format("2006-01-02 15:04:05.999999999-07:00")
}
