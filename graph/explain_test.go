package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

const (
	crowd     = 100_000
	crowdStep = 20_000 // rows a statement, well within the statement timeout
)

// crowded fills a corp with 100,000 contacts of twenty members, half of them in
// the department east, and gives the planner its statistics.
func crowded(t testing.TB, db *store.DB, clock *storetest.Clock) (c *testcorp.Corp, boss nid.ID) {
	t.Helper()
	c = testcorp.New(t, db, clock, "acme")
	east := c.Department("east", c.Root)
	boss = c.Member("boss", east)
	c.Grant(boss, access.Manager.Name, east)
	var ids []nid.ID
	for i := range 20 {
		dept := c.Root
		if i%2 == 0 {
			dept = east
		}
		ids = append(ids, c.Member(fmt.Sprintf("m%02d", i), dept))
	}
	id := func(kind nid.Kind) string {
		return fmt.Sprintf(`(lpad(to_hex(i), 8, '0') || '0000700080000000000000' || '%02x')::uuid`, byte(kind))
	}
	// Surnames and given names spread over some thousands of characters; 李娜 and ann are rare.
	name := `CASE WHEN i % 1000 = 1 THEN '李娜' || i WHEN i % 1000 = 2 THEN 'ann ' || i
		ELSE (ARRAY['王', '张', '陈', '李', 'wu ', 'kim '])[1 + i % 6] || chr(20000 + i * 7 % 6000) || chr(20000 + i * 13 % 6000) END`
	for from := 0; from < crowd; from += crowdStep {
		err := db.Tx(store.System(context.Background(), c.ID, "crowd"), func(ctx context.Context, tx *store.Tx) error {
			for _, s := range []struct{ table, sql string }{
				{"contacts", `INSERT INTO contacts (id, corp_id, created_at, updated_at, version, external_user_id, name, name_key, type, importance, accountable_id, accountable_answers, protected)
					SELECT ` + id(nid.Contact) + `, $1, $2::timestamptz + i * interval '1 second', $2, 1, 'x' || i, n, n, 'WECHAT', CASE WHEN i % 100 = 0 THEN 'KEY' ELSE 'NORMAL' END, ($3::uuid[])[1 + i % 20], true, false
					FROM (SELECT i, ` + name + ` AS n FROM generate_series($4::int, $5::int) AS i) AS g RETURNING id`},
				{"follows", `INSERT INTO follows (id, corp_id, created_at, updated_at, version, contact_id, member_id, since, protected, owner_version)
					SELECT ` + id(nid.Follow) + `, $1, $2, $2, 1, ` + id(nid.Contact) + `, ($3::uuid[])[1 + i % 20], $2, false, 1
					FROM generate_series($4::int, $5::int) AS i RETURNING id`},
			} {
				changed, err := tx.Change(ctx, s.table, s.sql, c.ID, tx.Now(), db.IDs(ids), from, from+crowdStep-1)
				if err != nil {
					return err
				}
				tx.Cover(changed...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	storetest.Analyze(t, db)
	return c, boss
}

// plan is a node of EXPLAIN's answer.
type plan struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Recheck  float64 `json:"Rows Removed by Index Recheck"`
	Plans    []plan
}

// reading sums up what a plan reads: rows of tables and indexes, the tables read
// from end to end, and the indexes used.
func (p *plan) reading(rows *float64, scans map[string]bool, indexes map[string]bool) {
	if p.Relation != "" || p.Index != "" {
		*rows += (p.Rows + p.Removed + p.Recheck) * p.Loops
	}
	if p.Type == "Seq Scan" {
		scans[p.Relation] = true
	}
	if p.Index != "" {
		indexes[p.Index] = true
	}
	for i := range p.Plans {
		p.Plans[i].reading(rows, scans, indexes)
	}
}

// At 100,000 contacts no page and no search reads the table: a page begins at its
// cursor however deep it lies, and a search at its pieces.
func TestListsReadWhatTheyShow(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Postgres(t, clock)
	c, boss := crowded(t, db, clock)
	a := newAPI(t, db, c)
	everything, east := c.SignedIn(c.Admin, false), c.SignedIn(boss, false)
	cursor := func(ctx context.Context, order string) string {
		var v struct {
			Contacts struct{ PageInfo struct{ StartCursor string } }
		}
		a.good(ctx, `{ contacts(last: 100, orderBy: {field: `+order+`}) { pageInfo { startCursor } } }`, nil, &v)
		return v.Contacts.PageInfo.StartCursor
	}
	member := testcorp.Value[nid.ID](c, `SELECT id FROM members WHERE user_id = 'm04'`)
	for _, q := range []struct {
		name  string
		as    context.Context
		args  string
		rows  float64 // read at most
		index string  // one that is used
		keyed bool    // compares rows
	}{
		{"first page by name", everything, `first: 50, orderBy: {field: NAME}`, 60, "contact_corp_id_name_key_id", false},
		{"deep page by name", everything, `first: 50, orderBy: {field: NAME}, after: "` + cursor(everything, "NAME") + `"`, 60, "contact_corp_id_name_key_id", true},
		{"first page by age", everything, `first: 50, orderBy: {field: CREATED_AT, direction: DESC}`, 60, "contact_corp_id_created_at_id", false},
		{"deep page by age", everything, `first: 50, orderBy: {field: CREATED_AT}, after: "` + cursor(everything, "CREATED_AT") + `"`, 60, "contact_corp_id_created_at_id", true},
		{"key contacts", everything, `first: 50, filter: {importance: KEY}, orderBy: {field: IMPORTANCE}`, 60, "contact_corp_id_importance_id", false},
		{"contacts of a member", everything, `first: 50, filter: {followerId: "` + member.String() + `"}, orderBy: {field: CREATED_AT}`, 6000, "", false},
		{"first page in scope", east, `first: 50, orderBy: {field: NAME}`, 1500, "contact_corp_id_name_key_id", false},
		{"deep page in scope", east, `first: 50, orderBy: {field: NAME}, after: "` + cursor(east, "NAME") + `"`, 1500, "contact_corp_id_name_key_id", true},
		{"search 李娜", everything, `first: 50, search: "李娜"`, 1000, "name_grams_pkey", false},
		{"search ann", everything, `first: 50, search: "ann"`, 1000, "name_grams_pkey", false},
		{"search 李", everything, `first: 50, search: "李"`, 2000, "name_grams_pkey", false},
	} {
		t.Run(q.name, func(t *testing.T) {
			var query string
			var args []any
			ctx := store.Watch(q.as, func(text string, with []any) {
				if strings.Contains(text, "contacts") && strings.Contains(text, "LIMIT") {
					query, args = text, with
				}
			})
			a.good(ctx, `{ contacts(`+q.args+`) { nodes { id } } }`, nil, &struct{}{})
			if query == "" {
				t.Fatal("no list statement was sent")
			}
			if q.keyed && !regexp.MustCompile(`\(contacts\.\w+, contacts\.id\) [<>] \(`).MatchString(query) {
				t.Errorf("the page does not compare rows: %s", query)
			}
			var explained []struct{ Plan plan }
			err := db.View(q.as, func(ctx context.Context, r *store.Read) error {
				text, _, err := store.SelectOne(ctx, r, func(b *[]byte) []any { return []any{b} }, "EXPLAIN (ANALYZE, FORMAT JSON) "+query, args...)
				if err != nil {
					return err
				}
				return json.Unmarshal(text, &explained)
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, query)
			}
			rows, scans, indexes := 0.0, map[string]bool{}, map[string]bool{}
			explained[0].Plan.reading(&rows, scans, indexes)
			t.Logf("%.0f rows read, indexes %v", rows, indexes)
			if scans["contacts"] || scans["follows"] {
				t.Errorf("a table is read from end to end: %v", scans)
			}
			if rows > q.rows {
				t.Errorf("%.0f rows read, want at most %.0f", rows, q.rows)
			}
			if q.index != "" && !indexes[q.index] {
				t.Errorf("index %s is not used, but %v", q.index, indexes)
			}
		})
	}
}
