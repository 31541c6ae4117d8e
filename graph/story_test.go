package graph

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/evidence/evidencetest"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

var update = flag.Bool("update", false, "rewrite the stories and the printed schema")

// Stories tell what a client sees: testdata/<topic>/<story>.txtar.
//
//	What the story is about, in a sentence.
//	-- given --
//	member lina            one line a thing; see the cases in story.given
//	contact big KEY of lina
//	depart lina
//	-- 1 as admin verified --
//	mutation { … $lina … }     names stand for ids, in documents and variables
//	-- 1 response --
//	{ … }
//	-- 1 audit --
//	handover.create $hov1      what the step left in the log
//	-- 1 statements --
//	12                         SQL statements, BEGIN, COMMIT, the setting and notify left out
//
// Ids that the story meets for the first time get names ($hov1, $trf1 …), so do
// digests ($digest1); times read <time>. `go test ./graph -update` writes what
// follows a step; the same file holds for both engines.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
				(&story{t: t, file: file, db: db, clock: clock, ids: map[string]string{}, names: map[string]string{}, next: map[string]int{}}).tell()
			})
		})
	}
}

type story struct {
	t     *testing.T
	file  string
	db    *store.DB
	clock *storetest.Clock
	corp  *testcorp.Corp
	ids   map[string]string // name to id
	names map[string]string // id to name
	next  map[string]int    // the last number given, by prefix
}

func (s *story) know(name string, id nid.ID) {
	s.ids[name], s.names[id.String()] = id.String(), "$"+name
}

func (s *story) id(name string) nid.ID {
	s.t.Helper()
	id, err := nid.Parse(s.ids[name])
	if err != nil {
		s.t.Fatalf("%s: the story has no %s", s.file, name)
	}
	return id
}

// given makes the story's corp. Every story has the administrator `admin` and the
// department `root`.
func (s *story) given(text string) {
	s.t.Helper()
	s.corp = testcorp.New(s.t, s.db, s.clock, "acme")
	s.know("admin", s.corp.Admin)
	s.know("root", s.corp.Root)
	s.know("acme", s.corp.ID)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		after := func(word string) string {
			for i, x := range w[:len(w)-1] {
				if x == word {
					return w[i+1]
				}
			}
			return ""
		}
		in := func() nid.ID {
			if d := after("in"); d != "" {
				return s.id(d)
			}
			return s.corp.Root
		}
		switch w[0] {
		case "department": // department east in root
			s.know(w[1], s.corp.Department(w[1], in()))
		case "manager": // manager wang of east
			s.corp.Manager(s.id(after("of")), s.id(w[1]))
		case "member": // member lina in east limit 1
			s.know(w[1], s.corp.Member(w[1], in()))
			if n, err := strconv.Atoi(after("limit")); err == nil {
				s.corp.Limit(s.id(w[1]), n)
			}
		case "contact": // contact big KEY of lina wang
			var followers []nid.ID
			for _, f := range w[4:] {
				followers = append(followers, s.id(f))
			}
			s.know(w[1], s.corp.Contact(w[1], w[2], followers...))
		case "contacts": // contacts 3 of lina: c1 c2 c3
			n, _ := strconv.Atoi(w[1])
			for i := range n {
				name := fmt.Sprintf("c%d", i+1)
				s.know(name, s.corp.Contact(fmt.Sprintf("contact %03d", i+1), "NORMAL", s.id(after("of"))))
			}
		case "group": // group chat of lina
			s.know(w[1], s.corp.Group(w[1], s.id(after("of"))))
		case "agreed": // agreed big: to having chats archived
			s.corp.Agree(s.id(w[1]))
		case "said": // said lina to big 2026-01-05T09:00:00Z good morning
			at, err := time.Parse(time.RFC3339, w[4])
			if err != nil {
				s.t.Fatal(err)
			}
			s.corp.Said(s.id(w[1]), s.id(w[3]), at, strings.Join(w[5:], " "))
		case "depart": // depart lina
			s.corp.Depart(s.id(w[1]))
		case "held": // held lina: her last day has passed and the departure is held back
			s.corp.Held(s.id(w[1]), "2026-02-28")
		case "role": // role manager for wang in east
			dept := nid.ID{}
			if d := after("in"); d != "" {
				dept = s.id(d)
			}
			s.know("grant-"+after("for")+"-"+w[1], s.corp.Grant(s.id(after("for")), w[1], dept))
		case "sealed": // sealed: a checkpoint covers what has happened so far
			sealer := audit.Sealer{DB: s.db, Log: s.corp.Log, Keys: checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}
			if _, err := sealer.Work(s.t.Context(), s.corp.ID); err != nil {
				s.t.Fatal(err)
			}
		case "audited": // audited: the detectors have looked at what was said so far
			if _, err := (&leak.Service{DB: s.db, Log: s.corp.Log}).Scan(s.t.Context(), s.corp.ID); err != nil {
				s.t.Fatal(err)
			}
		case "login": // login lina: she signs in as lina with the password "words of lina"
			w[1] = strings.TrimSuffix(w[1], ":")
			if err := s.identity().SetPassword(store.System(s.t.Context(), s.corp.ID, "story"), s.id(w[1]), w[1], "words of "+w[1]); err != nil {
				s.t.Fatal(err)
			}
		case "authenticator": // authenticator of lina: who has a login
			if _, err := s.identity().Enrol(store.System(s.t.Context(), s.corp.ID, "story"), s.id(after("of"))); err != nil {
				s.t.Fatal(err)
			}
		case "other": // other corp: a second corp with member spy
			c := testcorp.New(s.t, s.db, s.clock, "other")
			s.know("spy", c.Admin)
		default:
			s.t.Fatalf("%s: what is %q?", s.file, line)
		}
	}
	for name, role := range s.corp.Roles {
		s.know("role-"+name, role)
	}
}

func (s *story) identity() *identity.Service {
	s.t.Helper()
	box, err := secret.NewBox(secret.ForTOTP, secret.DemoKey())
	if err != nil {
		s.t.Fatal(err)
	}
	return &identity.Service{DB: s.db, Log: s.corp.Log, TOTP: box, Demo: true}
}

var named = regexp.MustCompile(`\$([a-z][a-z0-9-]*)`)

// ids in place of names; what is no name stays (GraphQL variables).
func (s *story) filled(text string) string {
	return named.ReplaceAllStringFunc(text, func(m string) string {
		if id, ok := s.ids[m[1:]]; ok {
			return id
		}
		return m
	})
}

var (
	anID   = regexp.MustCompile(`\b[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}\b`)
	aHash  = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	aTime  = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
	aToken = regexp.MustCompile(`\bho[st]_[0-9a-zA-Z_-]{30,}|\bwhsec_[0-9a-zA-Z+/=]{30,}`)
	aUUID  = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`) // of a delivery
	aCode  = regexp.MustCompile(`otpauth://[^"]+|data:image/png;base64,[^"]+|\b[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){3,4}\b`)
	aStep  = regexp.MustCompile(`^(\d+) as (\S+)( verified)?$`)
)

// told puts names in place of ids and digests.
func (s *story) told(text string) string {
	name := func(prefix string) func(string) string {
		return func(m string) string {
			if n, ok := s.names[m]; ok {
				return n
			}
			p := prefix
			if p == "" {
				p = m[:3]
			}
			s.next[p]++
			n := fmt.Sprintf("%s%d", p, s.next[p])
			s.ids[n], s.names[m] = m, "$"+n
			return "$" + n
		}
	}
	text = aTime.ReplaceAllString(text, `"<time>"`)
	text = aToken.ReplaceAllString(text, "<token>")
	text = anID.ReplaceAllStringFunc(text, name(""))
	text = aCode.ReplaceAllString(text, "<secret>")
	text = aUUID.ReplaceAllStringFunc(text, name("delivery"))
	return aHash.ReplaceAllStringFunc(text, name("digest"))
}

func (s *story) tell() {
	archive, err := txtar.ParseFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	sections := map[string]string{}
	for _, f := range archive.Files {
		sections[f.Name] = string(f.Data)
	}
	s.given(sections["given"])
	out := &txtar.Archive{Comment: archive.Comment}
	keep := func(name, data string) {
		out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(strings.TrimRight(data, "\n") + "\n")})
	}
	if g, ok := sections["given"]; ok {
		keep("given", g)
	}
	steps := 0
	for _, f := range archive.Files {
		m := aStep.FindStringSubmatch(f.Name)
		if m == nil {
			continue
		}
		steps++
		keep(f.Name, string(f.Data))
		variables := sections[m[1]+" variables"]
		if variables != "" {
			keep(m[1]+" variables", variables)
		}
		response, log, n := s.step(m[2], m[3] != "", string(f.Data), variables)
		keep(m[1]+" response", response)
		if log != "" {
			keep(m[1]+" audit", log)
		}
		keep(m[1]+" statements", strconv.Itoa(n))
	}
	if steps == 0 {
		s.t.Fatalf("%s has no step", s.file)
	}
	if err := evidencetest.Prove(s.corp); err != nil {
		s.t.Error(err)
	}
	got := txtar.Format(out)
	if *update {
		if s.db.Postgres() {
			return // one engine writes, the other compares in the next run
		}
		if err := os.WriteFile(s.file, got, 0o644); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	if want := txtar.Format(archive); !bytes.Equal(got, want) {
		s.t.Errorf("%s tells another story (go test ./graph -update, then read the diff):\n%s", s.file, difference(string(want), string(got)))
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s\n\nall of it:\n%s", i+1, w[i], g[i], got)
		}
	}
	return got
}

// step sends one request as somebody and returns what came of it.
func (s *story) step(who string, verified bool, document, variables string) (response, log string, statements int) {
	s.t.Helper()
	ctx := context.Background()
	if who != "nobody" {
		ctx = s.corp.SignedIn(s.id(who), verified)
	}
	a := *access.From(ctx)
	a.Lang, a.RequestID = "en", "req-story"
	var n atomic.Int64
	ctx = store.Count(access.With(ctx, &a), func(q string) {
		if !strings.HasPrefix(q, "SELECT pg_notify") { // SQLite tells within the process
			n.Add(1)
		}
	})
	body := map[string]any{"query": s.filled(document)}
	if variables != "" {
		body["variables"] = json.RawMessage(s.filled(variables))
	}
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatalf("%s: %v", s.file, err)
	}
	before := testcorp.Value[int](s.corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1`, s.corp.ID)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", bytes.NewReader(b))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	newAPI(s.t, s.db, s.corp).h.ServeHTTP(w, r)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, w.Body.Bytes(), "", "  "); err != nil {
		s.t.Fatalf("%s: %v: %s", s.file, err, w.Body)
	}
	response = s.told(pretty.String())
	return response, s.log(before), int(n.Load())
}

// log tells the audit entries from an index on.
func (s *story) log(from int) string {
	type entry struct {
		action  string
		subject nid.ID
	}
	var lines []string
	err := s.db.View(store.System(context.Background(), s.corp.ID, "story"), func(ctx context.Context, r *store.Read) error {
		found, err := store.Select(ctx, r, func(e *entry) []any { return []any{&e.action, &e.subject} },
			`SELECT action, subject_id FROM audit_entries WHERE corp_id = $1 AND "index" >= $2 ORDER BY "index"`, s.corp.ID, from)
		for i := 0; i < len(found); {
			j := i
			for j < len(found) && found[j].action == found[i].action {
				j++
			}
			if j-i > 3 {
				lines = append(lines, fmt.Sprintf("%s × %d", found[i].action, j-i))
			} else {
				for _, e := range found[i:j] {
					lines = append(lines, strings.TrimSpace(e.action+" "+s.told(e.subject.String())))
				}
			}
			i = j
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
