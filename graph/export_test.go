package graph

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// From asking to the file, and to the end of the requester's access.
func TestAnExportOverTheAPI(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		wang := c.Member("wang", c.Root)
		c.Grant(wang, access.Administrator.Name, nid.ID{})
		c.Contact("客户一", "KEY", wang)
		c.Contact("two", "NORMAL", wang)
		service := exporting(t, db, c)
		a := apiWith(t, db, c, service)
		var asked struct {
			CreateExport struct{ Export struct{ ID string } }
		}
		a.good(c.Verified(wang), `mutation { createExport(input: {subject: CONTACTS, idempotencyKey: "a"}) { export { id } } }`, nil, &asked)
		id := map[string]any{"id": asked.CreateExport.Export.ID}
		if _, err := service.Work(context.Background(), c.ID); err != nil {
			t.Fatal(err)
		}
		type shown struct {
			Node *struct {
				State, DownloadURL string
				Rows, Total        int
			}
		}
		const look = `query($id: ID!) { node(id: $id) { ... on Export { state rows total downloadUrl } } }`
		var mine, theirs shown
		a.good(c.SignedIn(wang, false), look, id, &mine).atMost(3)
		if mine.Node == nil || mine.Node.State != "READY" || mine.Node.Rows != 2 || mine.Node.Total != 2 || !strings.HasPrefix(mine.Node.DownloadURL, export.Path) {
			t.Fatalf("%+v", mine.Node)
		}
		if a.good(c.Verified(c.Admin), look, id, &theirs); theirs.Node != nil {
			t.Errorf("another sees %+v", theirs.Node)
		}
		files := http.NewServeMux()
		files.Handle(export.Path+"{id}/{file}", service)
		fetch := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			files.ServeHTTP(w, httptest.NewRequest(http.MethodGet, mine.Node.DownloadURL, nil))
			return w
		}
		if w := fetch(); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "客户一") {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		a.good(c.Verified(c.Admin), `mutation($id: ID!) { deactivateMember(input: {memberId: $id}) { revokedSessions } }`, map[string]any{"id": wang.String()}, nil)
		if w := fetch(); w.Code != http.StatusNotFound {
			t.Errorf("the link of who left: %d", w.Code)
		}
	})
}
