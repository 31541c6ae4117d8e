package graph

import (
	"context"
	"testing"

	"github.com/openhandover/openhandover/internal/store/storetest"
)

// BenchmarkPage is a page of 50 contacts with tags, follow and member among
// 100,000: the first, and the 1,000th by cursor.
func BenchmarkPage(b *testing.B) {
	clock := storetest.NewClock()
	db := storetest.Postgres(b, clock)
	c, _ := crowded(b, db, clock)
	a := newAPI(b, db, c)
	admin := context.WithoutCancel(c.SignedIn(c.Admin, false))
	after := ""
	var v struct {
		Contacts struct{ PageInfo struct{ EndCursor string } }
	}
	for page := 0; page < 999/2; page++ { // a hundred at a time
		args := `first: 100, orderBy: {field: NAME}`
		if after != "" {
			args += `, after: "` + after + `"`
		}
		a.good(admin, `{ contacts(`+args+`) { pageInfo { endCursor } } }`, nil, &v)
		after = v.Contacts.PageInfo.EndCursor
	}
	for name, args := range map[string]string{
		"first":      `first: 50, orderBy: {field: NAME}`,
		"thousandth": `first: 50, orderBy: {field: NAME}, after: "` + after + `"`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a.good(admin, `{ contacts(`+args+`) { nodes { name tags follows { remark since member { name } } } } }`, nil, &struct{}{})
			}
		})
	}
}
