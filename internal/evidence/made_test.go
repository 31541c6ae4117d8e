package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	sumdb "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/nid"
)

// made is a package that a corp makes of a log of its own invention, properly signed:
// what the program itself never writes.
type made struct {
	t        *testing.T
	corp     nid.ID
	handover string
	leaver   string
	to       string
	item     string
	log      hashes
	size     int64
	entries  []offline.Entry
	f        offline.Case
	plan     []byte
	at       time.Time
	change   func(leaf string) string // on the way in; nil changes nothing
	untimed  bool                     // the checkpoint is one without its time
	told     func(*offline.Transfer)  // what transfers.jsonl tells instead; nil: the truth
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, n := range at {
		out[i] = h[n]
	}
	return out, nil
}

var signing = checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}

func newMade(t *testing.T) *made {
	m := &made{t: t, corp: nid.New(nid.Corp), handover: nid.New(nid.Handover).String(), leaver: nid.New(nid.Member).String(), to: nid.New(nid.Member).String(),
		item: nid.New(nid.Contact).String(), at: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	m.plan = fmt.Appendf(nil, `{"corp":"%s","history":{"expiresAt":null,"from":null,"mode":"NONE","until":null},"items":[{"from":"%s","id":"%s","kind":"CONTACT","to":"%s","version":1}],"kind":"RESIGNED","leaver":"%s","message":null,"start":null,"v":1}`,
		m.corp, m.leaver, m.item, m.to, m.leaver)
	sum := sha256.Sum256(m.plan)
	h := &m.f.Handover
	h.ID, h.Kind, h.State, h.Digest, h.Leaver, h.Created, h.Total, h.Completed = m.handover, "RESIGNED", "COMPLETED", hex.EncodeToString(sum[:]), m.leaver, m.at, 1, 1
	m.f.Corp, m.f.Key = m.corp.String(), signing.Public(m.corp)
	return m
}

// add appends an entry; who is MEMBER, TOKEN or SYSTEM, a blank and an id.
func (m *made) add(action, who, subject string, before, after map[string]any) {
	m.t.Helper()
	kind, id, _ := strings.Cut(who, " ")
	actor := map[string]any{"kind": kind}
	if id != "" {
		actor["id"] = id
	}
	if subject == m.handover && len(m.entries) > 0 {
		after["previous"] = m.size - 1
	}
	e := map[string]any{"v": 1, "id": nid.New(nid.Audit).String(), "corp": m.corp.String(), "index": m.size, "at": m.at.Format(leaf.TimeFormat), "actor": actor,
		"action": action, "subject": subject, "handover": m.handover, "after": after, "prev": strings.Repeat("0", 64)}
	if before != nil {
		e["before"] = before
	}
	b, err := json.Marshal(e)
	ok(m.t, err)
	if m.change != nil {
		b = []byte(m.change(string(b)))
	}
	m.entries = append(m.entries, offline.Entry{Index: m.size, Leaf: string(b)})
	more, err := tlog.StoredHashes(m.size, b, m.log)
	ok(m.t, err)
	m.log = append(m.log, more...)
	m.size++
}

func (m *made) planned(by, responsible string) {
	after := map[string]any{"state": "DRAFT", "kind": "RESIGNED", "leaver": m.leaver, "digest": m.f.Handover.Digest, "transfers": 1, "approvalsRequired": 0}
	if responsible != "" {
		after["responsible"] = responsible
	}
	m.add("handover.create", by, m.handover, nil, after)
}

func (m *made) submitted(by string, needs int) {
	m.add("handover.submit", by, m.handover, nil, map[string]any{"state": "AWAITING_APPROVAL", "digest": m.f.Handover.Digest, "approvalsRequired": needs})
}

func (m *made) approved(by string) {
	m.add("handover.approve", "MEMBER "+by, m.handover, nil, map[string]any{"state": "READY", "decision": "APPROVED", "digest": m.f.Handover.Digest})
	m.f.Approvals = append(m.f.Approvals, offline.Approval{Approver: by, Decision: "APPROVED", Digest: m.f.Handover.Digest, At: m.at})
}

func (m *made) executed(by, responsible string) {
	after := map[string]any{"state": "COMPLETED", "digest": m.f.Handover.Digest, "transfers": 1, "completed": 1}
	if responsible != "" {
		after["responsible"] = responsible
	}
	m.add("handover.execute", by, m.handover, nil, after)
}

// pack makes the package.
func (m *made) pack() []byte {
	m.t.Helper()
	transfer := offline.Transfer{ID: nid.New(nid.Transfer).String(), Kind: "CONTACT", Item: m.item, From: m.leaver, To: m.to, Status: "COMPLETED", Version: 1, Finished: &m.at}
	m.add("transfer.finish", "SYSTEM", transfer.ID, map[string]any{"item": m.item, "owner": m.leaver, "ownerVersion": 1},
		map[string]any{"status": "COMPLETED", "owner": m.to, "merged": false})
	if m.told != nil {
		m.told(&transfer)
	}
	root, err := tlog.TreeHash(m.size, m.log)
	ok(m.t, err)
	note, err := signing.Sign(m.corp, m.size, [32]byte(root), m.at, false)
	ok(m.t, err)
	if m.untimed { // as earlier versions signed
		public := strings.Split(m.f.Key, "+")
		signer, err := sumdb.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", public[0], public[1], base64.StdEncoding.EncodeToString(append([]byte{1}, signing[0].Seed()...))))
		ok(m.t, err)
		b, err := sumdb.Sign(&sumdb.Note{Text: strings.Join(strings.SplitAfter(note, "\n")[:3], "")}, signer)
		ok(m.t, err)
		note = string(b)
	}
	report, err := offline.NewReporter(m.f.Corp, m.handover, m.plan)
	ok(m.t, err)
	report.Transfer(transfer)
	files := map[string]string{offline.CheckpointFile: note, offline.KeysFile: "", offline.PlanFile: string(m.plan), offline.GrantsFile: "", offline.OpeningsFile: "",
		offline.TransfersFile: text(m.t, &transfer), offline.ReadmeFile: offline.HowTo}
	for _, e := range m.entries {
		proof, err := tlog.ProveRecord(m.size, e.Index, m.log)
		ok(m.t, err)
		e.Proof = []string{}
		for _, p := range proof {
			e.Proof = append(e.Proof, hex.EncodeToString(p[:]))
		}
		files[offline.EntriesFile] += text(m.t, &e)
		if err := report.Entry([]byte(e.Leaf), nil); m.change == nil {
			ok(m.t, err)
		}
	}
	files[offline.CaseFile] = text(m.t, &m.f)
	for _, lang := range offline.Languages {
		var b bytes.Buffer
		ok(m.t, report.Report(&b, lang, &m.f, note))
		files[offline.ReportFile+lang+".html"] = b.String()
	}
	return repack(m.t, files)
}

func text(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	ok(t, offline.Line(&b, v))
	return b.String()
}

// The verifier checks the four-eyes rule itself: a company that signs a log in which
// somebody approved what is their own does not get it past whoever receives the package.
func TestTheVerifierKnowsTheFourEyesRule(t *testing.T) {
	admin, maker, voter, other := nid.New(nid.Member).String(), nid.New(nid.Member).String(), nid.New(nid.Member).String(), nid.New(nid.Member).String()
	person, token, rule := "MEMBER "+admin, "TOKEN "+nid.New(nid.Token).String(), "SYSTEM"
	for name, c := range map[string]struct {
		planner, responsible string
		needs                int
		votes                []string // "leaver" and "to" are the plan's
		executor, then       string   // and whom its entry names responsible
		is                   offline.FourEyes
		says                 string
	}{
		"kept":                                   {person, admin, 1, []string{voter}, admin, "", offline.Proven, ""},
		"kept with two":                          {person, admin, 2, []string{voter, other}, admin, "", offline.Proven, ""},
		"nothing needed":                         {person, admin, 0, nil, admin, "", offline.NotNeeded, ""},
		"the requester votes":                    {person, admin, 1, []string{admin}, other, "", "", "own"},
		"the token's maker votes":                {token, maker, 1, []string{maker}, admin, "", "", "own"},
		"the token's maker votes, and another":   {token, maker, 1, []string{maker, voter}, admin, "", offline.Proven, ""},
		"who answers for the plan is not said":   {token, "", 1, []string{voter}, admin, "", offline.NotProven, ""},
		"the executor votes":                     {person, admin, 1, []string{voter}, voter, "", "", "own"},
		"who executes a rule's plan votes":       {rule, "", 1, []string{voter}, voter, voter, "", "own"},
		"a rule's plan":                          {rule, "", 1, []string{voter}, admin, admin, offline.Proven, ""},
		"who becomes responsible at the end":     {rule, "", 1, []string{voter}, admin, voter, "", "own"},
		"the leaver votes":                       {person, admin, 1, []string{"leaver"}, admin, "", "", "own"},
		"a successor votes":                      {person, admin, 1, []string{"to"}, admin, "", "", "own"},
		"one vote where two are needed":          {person, admin, 2, []string{voter}, admin, "", "", "needed 2 approvals"},
		"one of two is the responsible person's": {token, maker, 2, []string{voter, maker}, admin, "", "", "own"},
	} {
		m := newMade(t)
		m.planned(c.planner, c.responsible)
		m.submitted(person, c.needs)
		for _, v := range c.votes {
			m.approved(strings.NewReplacer("leaver", m.leaver, "to", m.to).Replace(v))
		}
		m.executed("MEMBER "+c.executor, c.then)
		h := &m.f.Handover
		h.Executor, h.Responsible = c.executor, c.responsible
		if c.then != "" {
			h.Responsible = c.then
		}
		if c.planner == person {
			h.Requester = admin
		}
		s, err := verify(m.pack(), signing.Public(m.corp))
		if c.says == "" && (err != nil || s.FourEyes != c.is) {
			t.Errorf("%s: %s, %v", name, s.FourEyes, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: want %q, got %v", name, c.says, err)
		}
	}
}

// What a log leaves out does not help: that nobody executed a plan, that another plan was
// approved and executed, that no member voted.
func TestWhatALogLeavesOutDoesNotHelp(t *testing.T) {
	admin, voter := nid.New(nid.Member).String(), nid.New(nid.Member).String()
	for says, log := range map[string]func(m *made){
		"before anybody executed": func(m *made) {
			m.add("handover.cancel", "MEMBER "+admin, m.handover, nil, map[string]any{"state": "COMPLETED", "completed": 1})
		},
		"another plan than plan.json": func(m *made) {
			digest := m.f.Handover.Digest
			m.f.Handover.Digest = strings.Repeat("0", 64)
			m.submitted("MEMBER "+admin, 1)
			m.approved(m.to)
			m.executed("MEMBER "+admin, "")
			m.f.Handover.Digest, m.f.Approvals[0].Digest = digest, digest
			m.add("handover.finish", "SYSTEM", m.handover, nil, map[string]any{"digest": digest})
		},
		"needed 1 approvals": func(m *made) {
			m.submitted("MEMBER "+admin, 1)
			m.add("handover.approve", "TOKEN "+voter, m.handover, nil, map[string]any{"state": "READY", "decision": "APPROVED", "digest": m.f.Handover.Digest})
			m.f.Approvals = append(m.f.Approvals, offline.Approval{Approver: voter, Decision: "APPROVED", Digest: m.f.Handover.Digest, At: m.at})
			m.executed("MEMBER "+admin, "")
		},
	} {
		m := newMade(t)
		m.planned("MEMBER "+admin, admin)
		log(m)
		m.f.Handover.Requester, m.f.Handover.Responsible, m.f.Handover.Executor = admin, admin, admin
		if _, err := verify(m.pack(), signing.Public(m.corp)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

// What the format of the log does not name is refused in a signed entry too.
func TestUnknownMembersOfALeafAreRefused(t *testing.T) {
	admin := nid.New(nid.Member).String()
	for is, says := range map[string]string{`"v":1`: "", `"note":"x","v":1`: "unknown field", `"v":1,"V":1`: "stands twice", `"v":2`: "version 2"} {
		m := newMade(t)
		m.change = func(leaf string) string { return strings.Replace(leaf, `"v":1`, is, 1) }
		m.planned("MEMBER "+admin, admin)
		m.executed("MEMBER "+admin, "")
		m.f.Handover.Requester, m.f.Handover.Responsible, m.f.Handover.Executor = admin, admin, admin
		if _, err := verify(m.pack()); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: want %q, got %v", is, says, err)
		}
	}
}

// A case of which an earlier version signed the log is proven, and the time is not.
func TestACheckpointWithoutItsTime(t *testing.T) {
	m := newMade(t)
	m.untimed = true
	asks := nid.New(nid.Member).String()
	m.f.Handover.Requester, m.f.Handover.Executor = asks, asks
	m.planned("MEMBER "+asks, "")
	m.executed("MEMBER "+asks, "")
	pack := m.pack()
	s, err := verify(pack, m.f.Key)
	if err != nil || !s.Trusted || !s.At.IsZero() || s.Entries != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	var b bytes.Buffer
	ok(t, s.Print(&b, "x.zip"))
	if !strings.Contains(b.String(), "signed with no time that a signature vouches for") || strings.Contains(b.String(), "0001") {
		t.Error(b.String())
	}
	files := unpack(t, pack)
	for name, says := range map[string]string{"report.en.html": "signed without its time", "report.zh-CN.html": "签名未包含时间"} {
		if !strings.Contains(files[name], says) {
			t.Errorf("%s does not say %q", name, says)
		}
	}
	files[offline.CheckpointFile] = strings.Replace(files[offline.CheckpointFile], "\n\n", "\ntime 2026-03-02T09:00:00.000000Z\n\n", 1)
	if _, err := verify(repack(t, files), m.f.Key); err == nil || !strings.Contains(err.Error(), "the signature is wrong") {
		t.Errorf("a time that nobody signed: %v", err)
	}
}
