package evidence_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Each file has one spelling: none of its words can be written otherwise, and no word
// added, without the verifier seeing it.
func TestFilesHaveOneSpelling(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	s.seal()
	pack, err := s.write(s.Verified(s.Admin))
	ok(t, err)
	change := func(file, what string, to func(string) string) func(map[string]string) {
		return func(f map[string]string) {
			at := regexp.MustCompile(what).FindStringSubmatchIndex(f[file])
			if at == nil {
				t.Fatalf("%s has no %s", file, what)
			}
			f[file] = f[file][:at[2]] + to(f[file][at[2]:at[3]]) + f[file][at[3]:]
		}
	}
	behind := func(line string) func(map[string]string) {
		return func(f map[string]string) { f["checkpoint.txt"] += line + "\n" }
	}
	signature := func(f map[string]string) string {
		lines := strings.Split(strings.TrimSuffix(f["checkpoint.txt"], "\n"), "\n")
		return lines[len(lines)-1]
	}
	for name, is := range map[string]func(map[string]string){
		"a line behind the signatures":    behind("A court has looked at this case."),
		"a signature of somebody":         behind("— somebody AAAAAAAA"),
		"an empty line behind":            behind(""),
		"the signature twice":             func(f map[string]string) { f["checkpoint.txt"] += signature(f) + "\n" },
		"a signature without its dash":    change("checkpoint.txt", "\n(— )", func(string) string { return "" }),
		"a signature with another ending": change("checkpoint.txt", "(\n)$", func(string) string { return "\r\n" }),
		"a salt in capitals":              change("openings.jsonl", `"salt":"(\w*[a-f]\w*)"`, strings.ToUpper),
		"a proof in capitals":             change("entries.jsonl", `"proof":\["(\w*[a-f]\w*)"`, strings.ToUpper),
		"a time of planning to the nano":  change("case.json", `"createdAt":"[^"]*(Z)"`, func(string) string { return ".000000001Z" }),
		"a time of a vote elsewhere":      change("case.json", `"at":"([^"]*)"`, shifted),
		"a time of planning elsewhere":    change("case.json", `"createdAt":"([^"]*)"`, shifted),
		"a time of a transfer elsewhere":  change("transfers.jsonl", `"finishedAt":"([^"]*)"`, shifted),
	} {
		files := unpack(t, pack)
		is(files)
		if _, err := verify(repack(t, files)); err == nil {
			t.Errorf("%s: it verifies", name)
		}
	}
}

// shifted is the same moment as told an hour further east.
func shifted(at string) string {
	hour := 0
	_, err := fmt.Sscanf(at[11:13], "%d", &hour)
	if err != nil || hour > 22 {
		panic(at)
	}
	return fmt.Sprintf("%s%02d%s+01:00", at[:11], hour+1, strings.TrimSuffix(at[13:], "Z"))
}

// While a handover runs, what was moved cannot be told as still to be moved.
func TestWhatWasMovedIsNotPlannedStill(t *testing.T) {
	admin := nid.New(nid.Member).String()
	for name, is := range map[string]func(m *made, tr *offline.Transfer){
		"": func(*made, *offline.Transfer) {},
		"planned": func(m *made, tr *offline.Transfer) {
			tr.Status, tr.Finished, m.f.Handover.Completed = "PLANNED", nil, 0
		},
	} {
		m := newMade(t)
		m.planned("MEMBER "+admin, admin)
		m.add("handover.execute", "MEMBER "+admin, m.handover, nil, map[string]any{"state": "RUNNING", "digest": m.f.Handover.Digest, "transfers": 1})
		h := &m.f.Handover
		h.Requester, h.Responsible, h.Executor, h.State = admin, admin, admin, "RUNNING"
		m.told = func(tr *offline.Transfer) { is(m, tr) }
		_, err := verify(m.pack())
		if name == "" {
			ok(t, err)
		} else if err == nil || !strings.Contains(err.Error(), "another outcome") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever leaves out the newest steps shows an older state under today's checkpoint. No
// package can prove that there are none, so the verifier says as of which entry it speaks.
func TestThePackageIsAsOfItsNewestEntry(t *testing.T) {
	admin := nid.New(nid.Member).String()
	m := newMade(t)
	m.planned("MEMBER "+admin, admin)
	h := &m.f.Handover
	h.Requester, h.Responsible, h.State, h.Completed = admin, admin, "DRAFT", 0
	m.told = func(tr *offline.Transfer) {
		tr.Status, tr.Finished = "PLANNED", nil
		m.at = m.at.AddDate(0, 0, 1)
		m.add("handover.cancel", "MEMBER "+admin, m.handover, nil, map[string]any{"state": "CANCELLED", "transfers": 1})
		m.entries = m.entries[:1]
	}
	s, err := verify(m.pack(), signing.Public(m.corp))
	ok(t, err)
	var said strings.Builder
	ok(t, s.Print(&said, "case.zip"))
	if s.Size != 3 || s.Last != 0 || !strings.Contains(said.String(), "\nas of 2026-03-02T09:00:00Z, the time of entry 0; 3 entries of the log were signed at 2026-03-03T09:00:00Z\n") ||
		!strings.Contains(said.String(), "not proven by it: what happened after that entry, also before the signing;") {
		t.Errorf("%+v: %s", s, &said)
	}
}
