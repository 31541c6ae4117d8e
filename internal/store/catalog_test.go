package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Both engines have the same tables with the same columns of the same types: what is
// taken from one can be put into the other.
func TestTablesAreTheSame(t *testing.T) {
	clock := storetest.NewClock()
	tables := func(db *store.DB) (all []store.Table) {
		err := db.View(store.System(t.Context(), nid.New(nid.Corp), "test"), func(ctx context.Context, r *store.Read) (err error) {
			all, err = store.Tables(ctx, r)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			slices.SortFunc(all[i].Columns, func(a, b store.Column) int { return cmpText(a.Name, b.Name) })
			slices.Sort(all[i].Key)
		}
		slices.SortFunc(all, func(a, b store.Table) int { return cmpText(a.Name, b.Name) })
		return all
	}
	lite, pg := tables(storetest.SQLite(t, clock)), tables(storetest.Postgres(t, clock))
	if len(lite) < 30 {
		t.Errorf("only %d tables", len(lite))
	}
	for i := range pg {
		if pg[i].Name == "messages" { // its key has the partition's column
			pg[i].Key = []string{"id"}
		}
	}
	if d := cmp.Diff(lite, pg); d != "" {
		t.Error(d)
	}
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
