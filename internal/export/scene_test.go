package export_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/csv"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a corp with two branches, east and west, whose customers wang and zhao have.
type scene struct {
	*testcorp.Corp
	t                *testing.T
	s                *export.Service
	keys             int
	east, west       nid.ID
	wang, zhao, lina nid.ID
}

func newScene(t *testing.T, db *store.DB, clock *storetest.Clock) *scene {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	s := &scene{Corp: c, t: t, s: service(t, c)}
	s.east, s.west = c.Department("east", c.Root), c.Department("west", c.Root)
	s.wang, s.zhao, s.lina = c.Member("wang", s.east), c.Member("zhao", s.west), c.Member("lina", s.east)
	return s
}

func service(t *testing.T, c *testcorp.Corp) *export.Service {
	t.Helper()
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	ok(t, err)
	links, err := secret.NewSigner(secret.ForDownloads, secret.DemoKey())
	ok(t, err)
	sealer := &audit.Sealer{DB: c.DB, Log: c.Log, Keys: checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}
	return &export.Service{DB: c.DB, Log: c.Log, Reader: audit.NewReader(box), Links: links, Folder: t.TempDir(),
		Seal: func(ctx context.Context, corp nid.ID) error { _, err := sealer.Work(ctx, corp); return err }}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

// ask asks for an export as somebody; in gets a key of its own.
func (s *scene) ask(ctx context.Context, in export.Input) nid.ID {
	s.t.Helper()
	s.keys++
	id, err := s.s.Create(ctx, in, strings.Repeat("k", s.keys))
	ok(s.t, err)
	return id
}

func (s *scene) work() {
	s.t.Helper()
	_, err := s.s.Work(context.Background(), s.ID)
	ok(s.t, err)
}

func (s *scene) state(id nid.ID) string {
	s.t.Helper()
	return testcorp.Value[string](s.Corp, `SELECT state || ' ' || coalesce(problem, '') FROM exports WHERE id = $1`, id)
}

// link is a new link, as the API makes it.
func (s *scene) link(id nid.ID) string {
	s.t.Helper()
	var out string
	ok(s.t, s.DB.View(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, q *store.Read) error {
		type row struct {
			subject, format, language string
		}
		r, _, err := store.SelectOne(ctx, q, func(r *row) []any { return []any{&r.subject, &r.format, &r.language} },
			`SELECT subject, coalesce(format, ''), language FROM exports WHERE id = $1`, id)
		if err != nil {
			return err
		}
		asked := testcorp.Value[stamp](s.Corp, `SELECT created_at FROM exports WHERE id = $1`, id)
		out = s.s.URL(s.ID, id, export.Subject(r.subject), export.Format(r.format), r.language, asked.Time)
		return nil
	}))
	return out
}

// get fetches a link from a server that knows nothing else.
func (s *scene) get(link string) *httptest.ResponseRecorder {
	return fetch(s.s, http.MethodGet, link)
}

func fetch(h http.Handler, method, link string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	mux.Handle(export.Path+"{id}/{file}", h)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, link, nil)
	r = r.WithContext(access.With(r.Context(), &access.Actor{Kind: access.Anonymous, Lang: "en", RequestID: "req-file", Address: "192.0.2.7"}))
	mux.ServeHTTP(w, r)
	return w
}

// taken is a READY export's file.
func (s *scene) taken(id nid.ID) []byte {
	s.t.Helper()
	if got := s.state(id); got != "READY " {
		s.t.Fatalf("the export is %s", got)
	}
	w := s.get(s.link(id))
	if w.Code != http.StatusOK {
		s.t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// table makes an export as CSV and reads it: rows by the names of the columns.
func (s *scene) table(ctx context.Context, in export.Input) []map[string]string {
	s.t.Helper()
	in.Format = export.CSV
	id := s.ask(ctx, in)
	s.work()
	return parse(s.t, s.taken(id))
}

func parse(t *testing.T, b []byte) (out []map[string]string) {
	t.Helper()
	if !bytes.HasPrefix(b, []byte("\ufeff")) {
		t.Error("no byte order mark")
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff")))).ReadAll()
	ok(t, err)
	for _, r := range rows[1:] {
		m := map[string]string{}
		for i, h := range rows[0] {
			m[h] = r[i]
		}
		out = append(out, m)
	}
	return out
}

func column(rows []map[string]string, name string) string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r[name]
	}
	return strings.Join(out, " ")
}

// files are those in the corp's folder.
func (s *scene) files() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.s.Folder, "*", "*"))
	ok(s.t, err)
	return found
}

func (s *scene) deactivate(who nid.ID, mode member.Mode) {
	s.t.Helper()
	_, err := (&member.Service{DB: s.DB, Log: s.Log}).Deactivate(s.Verified(s.Admin), member.DeactivateInput{MemberID: who, Mode: mode})
	ok(s.t, err)
}

func refused(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f, is := errors.AsType[*fault.Error](err)
	if !is || f.Code != code || f.Field != field {
		t.Errorf("want %s on %q, got %v", code, field, err)
	}
}

// changed is a link with one parameter set to something else.
func changed(t *testing.T, link, name, value string) string {
	t.Helper()
	u, err := url.Parse(link)
	ok(t, err)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
