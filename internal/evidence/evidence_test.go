package evidence_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"go/parser"
	"go/token"
	"html"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/evidence"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// scene is a handover with a KEY contact, approved and executed.
type scene struct {
	*testcorp.Corp
	t      *testing.T
	id     nid.ID
	sealer *audit.Sealer
	reader *audit.Reader
}

func newScene(t *testing.T, db *store.DB, clock *storetest.Clock) *scene {
	t.Helper()
	c := testcorp.New(t, db, clock, "acme")
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	ok(t, err)
	s := &scene{Corp: c, t: t, reader: audit.NewReader(box),
		sealer: &audit.Sealer{DB: db, Log: c.Log, Keys: checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}}
	lina, wang, approver := c.Member("lina", c.Root), c.Member("wang", c.Root), c.Member("approver", c.Root)
	c.Grant(approver, access.Approver.Name, nid.ID{})
	c.Contact("大客户", "KEY", lina)
	c.Contacts(20, lina)
	c.Contact("wang's too", "NORMAL", lina, wang)
	c.Group("chat", lina)
	c.Depart(lina)
	service := &handover.Service{DB: db, Log: c.Log}
	admin, reason := c.Verified(c.Admin), "she moved to Ürümqi <script>"
	s.id, err = service.Create(admin, handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}, Reason: &reason,
		History: &handover.HistoryScope{Mode: "ALL"}}, nil, nil, "k")
	ok(t, err)
	ok(t, service.Submit(admin, s.id, 1))
	digest := testcorp.Value[string](c, `SELECT digest FROM handovers WHERE id = $1`, s.id)
	_, err = service.Approve(c.Verified(approver), s.id, digest, nil)
	ok(t, err)
	ok(t, service.Execute(admin, s.id, digest, "x"))
	return s
}

func (s *scene) seal() {
	s.t.Helper()
	_, err := s.sealer.Work(context.Background(), s.ID)
	ok(s.t, err)
}

func (s *scene) write(ctx context.Context) ([]byte, error) {
	var b bytes.Buffer
	err := s.DB.View(ctx, func(ctx context.Context, q *store.Read) error { return evidence.Write(ctx, q, s.reader, s.id, &b) })
	return b.Bytes(), err
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

func verify(pack []byte, keys ...string) (offline.Summary, error) {
	return offline.Verify(bytes.NewReader(pack), int64(len(pack)), keys...)
}

func TestAPackageProvesAHandover(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		admin := s.Verified(s.Admin)
		if _, err := s.write(admin); !errors.Is(err, evidence.ErrUnsealed) {
			t.Fatalf("before a checkpoint: %v", err)
		}
		s.seal()
		pack, err := s.write(admin)
		ok(t, err)
		key := s.sealer.Keys.Public(s.ID)
		got, err := verify(pack, "openhandover/other+00000000+AQ", key)
		ok(t, err)
		if got.Handover != s.id.String() || got.State != "COMPLETED" || got.Transfers != 23 || got.Entries != 27 || !got.Trusted || got.Key != key || got.FourEyes != offline.Proven ||
			got.At.IsZero() || got.Size <= got.Last {
			t.Errorf("%+v", got)
		}
		if own, err := verify(pack); err != nil || own.Trusted {
			t.Errorf("%+v, %v", own, err)
		}
		if _, err := verify(pack, "openhandover/other+00000000+AQ"); err == nil {
			t.Error("verified with a key that did not sign it")
		}
		// Other things happen, and the package stays what it was, byte for byte.
		s.Contact("later", "NORMAL", s.Admin)
		clock.Add(time.Hour)
		s.seal()
		again, err := s.write(s.Verified(s.Admin))
		ok(t, err)
		if !bytes.Equal(pack, again) {
			t.Error("two packages of one case differ")
		}
		files := unpack(t, pack)
		for name, wants := range map[string][]string{
			"report.en.html":       {"approver", "大客户", "wang", "resigned", "Ürümqi", "other people approved", key},
			"report.zh-CN.html":    {"离职交接", "审批人", "大客户", "四眼原则"},
			"openings.jsonl":       {"Ürümqi", "大客户", "chat", "lina"},
			"history-grants.jsonl": {"hgr_"},
		} {
			for _, want := range wants {
				if !strings.Contains(html.UnescapeString(files[name]), want) {
					t.Errorf("%s lacks %q: %s", name, want, files[name])
				}
			}
			if strings.HasSuffix(name, ".html") && strings.Contains(files[name], "<script>") {
				t.Errorf("%s runs what somebody wrote", name)
			}
		}
		for _, name := range []string{"entries.jsonl", "plan.json", "checkpoint.txt", "case.json", "transfers.jsonl"} {
			if strings.Contains(files[name], "Ürümqi") || strings.Contains(files[name], "大客户") || strings.Contains(files[name], "lina") {
				t.Errorf("%s holds personal values in clear", name)
			}
		}
	})
}

func unpack(t *testing.T, pack []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	ok(t, err)
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		ok(t, err)
		b, err := io.ReadAll(r)
		ok(t, err)
		out[f.Name] = string(b)
	}
	return out
}

func TestWhoGetsNoPackage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.seal()
		manager := s.Member("boss", s.Root)
		s.Grant(manager, access.Manager.Name, nid.ID{})
		if _, err := s.write(s.Verified(manager)); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("a manager: %v", err)
		}
		s.id = nid.New(nid.Handover)
		if _, err := s.write(s.Verified(s.Admin)); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("an unknown handover: %v", err)
		}
	})
}

// Whatever is changed in a package, with the manifest made to fit, is found.
func TestChangedPackagesAreFoundOut(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	s.seal()
	pack, err := s.write(s.Verified(s.Admin))
	ok(t, err)
	for name, change := range map[string]func(map[string]string){
		"another outcome":     func(f map[string]string) { replace(f, "transfers.jsonl", `"status":"COMPLETED"`, `"status":"SKIPPED"`) },
		"another successor":   func(f map[string]string) { replace(f, "transfers.jsonl", `"to":"mbr_`, `"to":"mbr_x`) },
		"another plan":        func(f map[string]string) { replace(f, "plan.json", `"version":1`, `"version":2`) },
		"another digest":      func(f map[string]string) { replace(f, "case.json", `"digest":"`, `"digest":"0`) },
		"an entry changed":    func(f map[string]string) { replace(f, "entries.jsonl", `handover.approve`, `handover.reject`) },
		"an entry moved":      func(f map[string]string) { replace(f, "entries.jsonl", `{"index":`, `{"index":1`) },
		"a proof changed":     func(f map[string]string) { replace(f, "entries.jsonl", `"proof":["`, `"proof":["00`) },
		"a transfer invented": func(f map[string]string) { f["transfers.jsonl"] += `{"id":"trf_1","status":"COMPLETED"}` + "\n" },
		"entries taken away":  func(f map[string]string) { f["entries.jsonl"] = "" },
		"an entry of the middle": func(f map[string]string) {
			lines := strings.SplitAfter(f["entries.jsonl"], "\n")
			f["entries.jsonl"] = strings.Join(slices.Delete(lines, 10, 11), "")
		},
		"the root changed":  func(f map[string]string) { replace(f, "checkpoint.txt", "\n\n", "\nx\n\n") },
		"no signature":      func(f map[string]string) { f["checkpoint.txt"], _, _ = strings.Cut(f["checkpoint.txt"], "— ") },
		"another key":       func(f map[string]string) { replace(f, "case.json", `"key":"openhandover/`, `"key":"openhandover/x`) },
		"a file taken away": func(f map[string]string) { delete(f, "plan.json") },
	} {
		files := unpack(t, pack)
		change(files)
		if _, err := verify(repack(t, files)); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
	// Without a manifest that fits, any changed file is found.
	files := unpack(t, pack)
	manifest := files["manifest.json"]
	replace(files, "report.en.html", "COMPLETED", "FAILED")
	files["manifest.json"] = manifest
	if _, err := verify(zipped(t, files)); err == nil || !strings.Contains(err.Error(), "report.en.html is not as the manifest says") {
		t.Errorf("a changed report: %v", err)
	}
}

func replace(files map[string]string, name, old, is string) {
	files[name] = strings.Replace(files[name], old, is, 1)
}

// The stand-alone verifier shares no code with what it checks.
func TestTheVerifierStandsAlone(t *testing.T) {
	files, err := filepath.Glob("offline/*.go")
	ok(t, err)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		ok(t, err)
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.Contains(path, ".") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}
