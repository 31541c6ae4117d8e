package export_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestALinkIsForOneFileAndFiveMinutes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.Contact("one", "NORMAL", s.wang)
		in := export.Input{Subject: export.Contacts, Format: export.CSV}
		ctx := s.Verified(s.Admin)
		zh := *access.From(ctx)
		zh.Lang = "zh-CN"
		id, other := s.ask(access.With(ctx, &zh), in), s.ask(s.Verified(s.Admin), in)
		s.work()
		queued := s.ask(s.Verified(s.Admin), in)
		link := s.link(id)
		downloads := func() int {
			return testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'export.download' AND actor_id = $2`, s.ID, s.Admin)
		}
		if w := fetch(s.s, http.MethodHead, link); w.Code != http.StatusOK || w.Body.Len() != 0 || downloads() != 0 {
			t.Errorf("a glance: %d, %d bytes, %d entries", w.Code, w.Body.Len(), downloads())
		}
		w := s.get(link)
		if w.Code != http.StatusOK || downloads() != 1 || !strings.Contains(w.Body.String(), "客户名称") {
			t.Fatalf("%d: %s; %d entries", w.Code, w.Body, downloads())
		}
		for name, want := range map[string]string{
			"Content-Type": "text/csv; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Disposition": "attachment; filename*=utf-8''%E5%AE%A2%E6%88%B7-" + db.Now().Format("20060102-150405") + ".csv",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		u, err := url.Parse(link)
		ok(t, err)
		q := u.Query()
		swap := func(old, new string) string { return strings.Replace(link, old, new, 1) }
		corp := testcorp.New(t, db, clock, "other")
		foreign := service(t, corp)
		foreign.Folder = s.s.Folder
		of := func(s *export.Service, corp, id nid.ID) string {
			return s.URL(corp, id, export.Contacts, export.CSV, "zh-CN", db.Now())
		}
		flip := []byte(q.Get("signature"))
		flip[60] ^= 1
		answer := ""
		for name, bad := range map[string]string{
			"no signature":              u.Path + "?expires=" + q.Get("expires"),
			"no time":                   u.Path + "?signature=" + q.Get("signature"),
			"an empty signature":        changed(t, link, "signature", ""),
			"an altered signature":      changed(t, link, "signature", string(flip)),
			"a short signature":         changed(t, link, "signature", q.Get("signature")[:40]),
			"two signatures":            link + "&signature=" + q.Get("signature"),
			"a later time":              changed(t, link, "expires", "9999999999"),
			"a time that is none":       changed(t, link, "expires", "soon"),
			"a signed time with a plus": changed(t, link, "expires", "+"+q.Get("expires")),
			"another's export":          swap(id.String(), other.String()),
			"upper case":                swap(id.String(), strings.ToUpper(id.String())),
			"another thing":             swap(id.String(), s.wang.String()),
			"no id":                     swap(id.String(), "x"),
			"another name":              swap(".csv", ".html"),
			"another corp's id":         of(foreign, corp.ID, id),
			"one that is not there":     of(s.s, s.ID, nid.New(nid.Export)),
			"one that is queued":        of(s.s, s.ID, queued),
			"a corp that is not there":  of(s.s, nid.New(nid.Corp), id),
		} {
			w := s.get(bad)
			if answer == "" {
				answer = w.Body.String()
			}
			if w.Code != http.StatusNotFound || w.Body.String() != answer || w.Header().Get("Content-Type") != "application/problem+json; charset=utf-8" {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if downloads() != 1 {
			t.Errorf("%d downloads are recorded", downloads())
		}
		clock.Add(export.LinkLife - time.Second)
		if w := s.get(link); w.Code != http.StatusOK {
			t.Errorf("within five minutes: %d", w.Code)
		}
		clock.Add(time.Second)
		if w := s.get(link); w.Code != http.StatusNotFound {
			t.Errorf("after five minutes: %d", w.Code)
		}
		// Another replica, without the file: it says what is wrong.
		ok(t, os.RemoveAll(s.s.Folder))
		if w := s.get(s.link(id)); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "share") {
			t.Errorf("without the file: %d %s", w.Code, w.Body)
		}
	})
}

// Half a file, such as one that is still being copied, is not sent for a whole one.
func TestAFileThatIsNotWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.Contacts(10, s.wang)
		id := s.ask(s.Verified(s.Admin), export.Input{Subject: export.Contacts, Format: export.CSV})
		s.work()
		path := s.files()[0]
		server := httptest.NewServer(func() http.Handler { m := http.NewServeMux(); m.Handle(export.Path+"{id}/{file}", s.s); return m }())
		defer server.Close()
		ok(t, os.Truncate(path, 10))
		res, err := http.Get(server.URL + s.link(id))
		if err != nil || res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("half a file: %v, %v", res, err)
		}
		ok(t, res.Body.Close())
	})
}
