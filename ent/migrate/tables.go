package migrate

import (
	"strings"

	"entgo.io/ent/dialect/sql/schema"
)

// Complete gives the tables as they are to be in the database: ent's own, with
// every foreign key made composite with corp_id, so that no row can refer to
// another corp's, and every reference RESTRICTed, because nothing that a
// transfer, period or audit entry points to is ever deleted.
//
// The reference that makes somebody accountable goes to (corp_id, id, answers)
// and is checked at commit: a departure that leaves a contact or group with
// nobody accountable cannot commit.
func Complete() []*schema.Table {
	for _, t := range Tables {
		corp, ok := t.Column("corp_id")
		if !ok {
			continue
		}
		for _, fk := range t.ForeignKeys {
			if len(fk.Columns) > 1 {
				continue
			}
			ref, _ := fk.RefTable.Column("corp_id")
			fk.Columns = []*schema.Column{corp, fk.Columns[0]}
			fk.RefColumns = []*schema.Column{ref, fk.RefColumns[0]}
			fk.OnDelete = schema.Restrict
			if strings.HasSuffix(fk.Symbol, "_accountable") {
				answers, _ := t.Column("accountable_answers")
				refAnswers, _ := fk.RefTable.Column("answers")
				fk.Columns = append(fk.Columns, answers)
				fk.RefColumns = append(fk.RefColumns, refAnswers)
				fk.OnDelete = schema.NoAction
			}
		}
	}
	return Tables
}
