package store

import (
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent/rule"
)

// Where gathers conditions that ent queries and our own SQL share. Conditions are
// written with ? for their arguments and name tables by their full names.
type Where struct {
	conditions []string
	args       []any
}

// And adds a condition.
func (w *Where) And(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// SQL gives the conditions joined by AND with $n placeholders from first on, and
// their arguments. Without conditions it is true.
func (w *Where) SQL(first int) (string, []any) {
	if len(w.conditions) == 0 {
		return "1 = 1", nil
	}
	var b strings.Builder
	for i, c := range w.conditions {
		if i > 0 {
			b.WriteString(" AND ")
		}
		b.WriteByte('(')
		for _, r := range c {
			if r == '?' {
				b.WriteString("$" + strconv.Itoa(first))
				first++
			} else {
				b.WriteRune(r)
			}
		}
		b.WriteByte(')')
	}
	return b.String(), w.args
}

// Apply adds the conditions to an ent query.
func (w *Where) Apply(s *sql.Selector) {
	next := 0
	for _, c := range w.conditions {
		n := strings.Count(c, "?")
		s.Where(rule.Condition(c, w.args[next:next+n]...))
		next += n
	}
}
