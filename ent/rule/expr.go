package rule

import (
	"strings"

	"entgo.io/ent/dialect/sql"
)

// Condition is a predicate written as SQL with ? for its arguments. ent's own ExprP
// leaves the ? as it is, which PostgreSQL does not understand.
func Condition(text string, args ...any) *sql.Predicate {
	parts := strings.Split(text, "?")
	return sql.P(func(b *sql.Builder) { // ent may write a predicate more than once
		b.WriteByte('(')
		for i, part := range parts {
			if i > 0 {
				b.Arg(args[i-1])
			}
			b.WriteString(part)
		}
		b.WriteByte(')')
	})
}
