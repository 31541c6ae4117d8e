package evidence_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// A case that is told otherwise than the entries tell it is found out, with a manifest
// that fits, and also where the entries that say otherwise are left out.
func TestACaseToldOtherwiseIsFoundOut(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	s.seal()
	pack, err := s.write(s.Verified(s.Admin))
	ok(t, err)
	approver := testcorp.Value[nid.ID](s.Corp, `SELECT approver_id FROM approvals WHERE handover_id = $1`, s.id).String()
	other := s.Member("somebody", s.Root).String()
	without := func(file, what string) func(map[string]string) {
		return func(f map[string]string) {
			f[file] = regexp.MustCompile(`(?m)^.*`+what+`.*\n`).ReplaceAllStringFunc(f[file], func(line string) string {
				if index := regexp.MustCompile(`^\{"index":(\d+),`).FindStringSubmatch(line); index != nil { // its openings too
					f["openings.jsonl"] = regexp.MustCompile(`(?m)^\{"entry":`+index[1]+`,.*\n`).ReplaceAllString(f["openings.jsonl"], "")
				}
				return ""
			})
		}
	}
	first := func(f map[string]string) (line, id string) {
		line, _, _ = strings.Cut(f["transfers.jsonl"], "\n")
		return line, line[strings.Index(line, "trf_"):][:30]
	}
	both := func(changes ...func(map[string]string)) func(map[string]string) {
		return func(f map[string]string) {
			for _, c := range changes {
				c(f)
			}
		}
	}
	put := func(file, old, is string) func(map[string]string) {
		return func(f map[string]string) { replace(f, file, old, is) }
	}
	member := func(role string) func(map[string]string) {
		return func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`"`+role+`":"[^"]*"`).ReplaceAllString(f["case.json"], `"`+role+`":"`+other+`"`)
		}
	}
	noVotes := func(f map[string]string) {
		f["case.json"] = f["case.json"][:strings.Index(f["case.json"], `"approvals":`)] + `"approvals":[]}` + "\n"
	}
	for name, is := range map[string]struct {
		change func(map[string]string)
		says   string
	}{
		"another approver": {put("case.json", approver, other), "no such vote"},
		"another decision": {put("case.json", `"decision":"APPROVED"`, `"decision":"REJECTED"`), "no such vote"},
		"another time of a vote": {func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`("at":"\d{3})\d`).ReplaceAllString(f["case.json"], "${1}9")
		}, "no such vote"},
		"votes left out":             {noVotes, "is missing"},
		"votes and entries left out": {both(noVotes, without("entries.jsonl", "handover.approve")), "before it is missing"},
		"the submission left out":    {without("entries.jsonl", "handover.submit"), "before it is missing"},
		"another state":              {put("case.json", `"state":"COMPLETED"`, `"state":"CANCELLED"`), "state"},
		"another leaver":             {member("leaver"), "leaver"},
		"another requester":          {member("requester"), "requester"},
		"another executor":           {member("executor"), "executor"},
		"nobody executed it": {func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`"executor":"[^"]*",`).ReplaceAllString(f["case.json"], "")
		}, "executor"},
		"somebody else is responsible": {func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`"responsible":"[^"]*"`).ReplaceAllString(f["case.json"], `"responsible":"`+other+`"`)
		}, "responsible"},
		"nobody is responsible": {func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`"responsible":"[^"]*",`).ReplaceAllString(f["case.json"], "")
		}, "responsible"},
		"another kind": {put("case.json", `"kind":"RESIGNED"`, `"kind":"ON_JOB"`), "kind"},
		"another time of planning": {func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`("createdAt":"\d{3})\d`).ReplaceAllString(f["case.json"], "${1}9")
		}, "createdAt"},
		"another end": {func(f map[string]string) {
			f["case.json"] = regexp.MustCompile(`("finishedAt":"\d{3})\d`).ReplaceAllString(f["case.json"], "${1}9")
		}, "finishedAt"},
		"taken back by another":  {put("case.json", `"createdAt"`, `"revertedBy":"hov_x","createdAt"`), "revertedBy"},
		"a name twice":           {put("case.json", `"leaver":`, `"leaver":"`+other+`","leaver":`), "only spelling"},
		"a name in another case": {put("case.json", `"leaver":`, `"Leaver":`), "only spelling"},
		"a member of its own":    {put("case.json", `"leaver":`, `"note":"x","leaver":`), "unknown field"},
		"a member of a transfer": {put("transfers.jsonl", `"merged":`, `"because":"x","merged":`), "unknown field"},
		"white space":            {put("case.json", `{`, `{ `), "only spelling"},
		"a line without its end": {func(f map[string]string) { f["transfers.jsonl"] = strings.TrimSuffix(f["transfers.jsonl"], "\n") }, "no end"},
		"another report":         {put("report.en.html", "COMPLETED", "FAILED"), "report.en.html: it is not what the entries say"},
		"another Chinese report": {put("report.zh-CN.html", "大客户", "小客户"), "report.zh-CN.html: it is not"},
		"other instructions":     {put("README.txt", "1.", "9."), "README.txt: it is not"},
		"another name":           {put("openings.jsonl", "大客户", "小客户"), "not what the entry has committed to"},
		"another salt":           {put("openings.jsonl", `"salt":"`, `"salt":"00`), "not what the entry has committed to"},
		"a name of nothing": {func(f map[string]string) {
			f["openings.jsonl"] += `{"entry":999999,"c":"x","salt":"","value":"x"}` + "\n"
		}, "belongs to no entry"},
		"a name kept back":        {without("openings.jsonl", "大客户"), "report.en.html: it is not"},
		"a plan with a word more": {put("plan.json", `"kind":`, `"x":1,"kind":`), "unknown field"},
		"nested without end":      {func(f map[string]string) { f["case.json"] = strings.Repeat("[", 32<<20) }, ""},
		"a plan without end":      {func(f map[string]string) { f["plan.json"] += strings.Repeat(" ", 65<<20) }, "too long"},
		"a plan of nothing":       {func(f map[string]string) { f["plan.json"] = `{"items":[` + strings.Repeat("{},", 1<<20) + `{}]}` }, "too much"},
		"a scope of nothing":      {func(f map[string]string) { f["plan.json"] = `{"history":[` + strings.Repeat("0,", 1<<20) + `0]}` }, "history"},
		"votes of nobody":         {func(f map[string]string) { f["case.json"] = `{"approvals":[` + strings.Repeat("{},", 1<<20) + `{}]}` }, "too much"},
		"a leaf twice":            {put("entries.jsonl", `"leaf":`, `"leaf":"x","leaf":`), "only spelling"},
		"more was moved":          {put("case.json", `"completed":23`, `"completed":24`), "completed"},
		"more was planned":        {put("case.json", `"total":23`, `"total":24`), "total"},
		"a transfer left out":     {func(f map[string]string) { _, f["transfers.jsonl"], _ = strings.Cut(f["transfers.jsonl"], "\n") }, "is missing"},
		"a transfer twice":        {func(f map[string]string) { line, _ := first(f); f["transfers.jsonl"] += line + "\n" }, "listed before"},
		"all transfers left out":  {func(f map[string]string) { f["transfers.jsonl"] = "" }, "is missing"},
		"a transfer and its entry": {func(f map[string]string) {
			_, id := first(f)
			without("transfers.jsonl", id)(f)
			without("entries.jsonl", id)(f)
		}, "transfers: 22"},
		"a transfer for another person": {func(f map[string]string) {
			f["transfers.jsonl"] = regexp.MustCompile(`"to":"[^"]*"`).ReplaceAllString(f["transfers.jsonl"], `"to":"`+other+`"`)
		}, "no such item"},
		"a transfer that was cancelled": {func(f map[string]string) {
			_, id := first(f)
			put("transfers.jsonl", `"COMPLETED"`, `"CANCELLED"`)(f)
			without("entries.jsonl", id)(f)
		}, "the log records"},
		"a transfer not carried out": {func(f map[string]string) {
			_, id := first(f)
			put("transfers.jsonl", `"COMPLETED"`, `"PLANNED"`)(f)
			without("entries.jsonl", id)(f)
		}, "planned still"},
		"a transfer taken back": {put("transfers.jsonl", `"COMPLETED"`, `"REVERTED"`), "taken back"},
		"a transfer merged":     {put("transfers.jsonl", `"merged":false`, `"merged":true`), "another outcome"},
		"another time of a transfer": {func(f map[string]string) {
			f["transfers.jsonl"] = regexp.MustCompile(`("finishedAt":"\d{3})\d`).ReplaceAllString(f["transfers.jsonl"], "${1}9")
		}, "another time"},
		"grants of history left out": {func(f map[string]string) { f["history-grants.jsonl"] = "" }, "is missing"},
		"another window of a grant":  {put("history-grants.jsonl", `"from":null`, `"from":"2020-01-01T00:00:00Z"`), "no such grant"},
		"a grant for another person": {func(f map[string]string) {
			f["history-grants.jsonl"] = regexp.MustCompile(`"successor":"[^"]*"`).ReplaceAllString(f["history-grants.jsonl"], `"successor":"`+other+`"`)
		}, "no such grant"},
		"a grant invented": {func(f map[string]string) {
			f["history-grants.jsonl"] += `{"id":"hgr_1","successor":"","item":"","transfer":"","from":null,"until":null,"expiresAt":null}` + "\n"
		}, "no such grant"},
	} {
		files := unpack(t, pack)
		is.change(files)
		if maps.Equal(files, unpack(t, pack)) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := verify(repack(t, files)); err == nil || !strings.Contains(err.Error(), is.says) {
			t.Errorf("%s: want %q, got %v", name, is.says, err)
		}
	}
}

// A plan that was planned anew is not the plan, though an entry records its digest.
func TestAFormerPlanIsFoundOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		lina, wang, zhao := s.Member("lina two", s.Root), s.Member("wang two", s.Root), s.Member("zhao", s.Root)
		s.Contact("customer", "NORMAL", lina)
		s.Depart(lina)
		service, admin := &handover.Service{DB: db, Log: s.Log}, s.Verified(s.Admin)
		plan := func(to nid.ID) handover.Input {
			return handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &to}}
		}
		version := func() int { return testcorp.Value[int](s.Corp, `SELECT version FROM handovers WHERE id = $1`, s.id) }
		digest := func() string {
			return testcorp.Value[string](s.Corp, `SELECT digest FROM handovers WHERE id = $1`, s.id)
		}
		var err error
		s.id, err = service.Create(admin, plan(wang), nil, nil, "two")
		ok(t, err)
		s.seal()
		first, err := s.write(admin)
		ok(t, err)
		former := digest()
		ok(t, service.Replan(admin, s.id, version(), plan(zhao)))
		ok(t, service.Submit(admin, s.id, version()))
		ok(t, service.Execute(admin, s.id, digest(), "run"))
		s.seal()
		last, err := s.write(admin)
		ok(t, err)
		_, err = verify(last)
		ok(t, err)
		was, is := unpack(t, first), unpack(t, last)
		is["plan.json"] = was["plan.json"]
		if _, err := verify(repack(t, is)); err == nil || !strings.Contains(err.Error(), "plan.json") {
			t.Errorf("the former plan: %v", err)
		}
		is["case.json"] = strings.ReplaceAll(is["case.json"], digest(), former)
		if _, err := verify(repack(t, is)); err == nil || !strings.Contains(err.Error(), "plan.json") {
			t.Errorf("the former plan and its digest: %v", err)
		}
	})
}

// That somebody had rejected the plan, before it was submitted again and approved by
// another, cannot be left out.
func TestARejectionCannotBeLeftOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		lina, wang := s.Member("lina two", s.Root), s.Member("wang two", s.Root)
		against, agreed := s.Member("against", s.Root), s.Member("agreed", s.Root)
		s.Grant(against, access.Approver.Name, nid.ID{})
		s.Grant(agreed, access.Approver.Name, nid.ID{})
		s.Contact("important", "KEY", lina)
		s.Depart(lina)
		service, admin := &handover.Service{DB: db, Log: s.Log}, s.Verified(s.Admin)
		plan := handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}}
		version := func() int { return testcorp.Value[int](s.Corp, `SELECT version FROM handovers WHERE id = $1`, s.id) }
		var err error
		s.id, err = service.Create(admin, plan, nil, nil, "two")
		ok(t, err)
		digest, why := testcorp.Value[string](s.Corp, `SELECT digest FROM handovers WHERE id = $1`, s.id), "not to wang"
		ok(t, service.Submit(admin, s.id, version()))
		_, err = service.Reject(s.Verified(against), s.id, digest, why)
		ok(t, err)
		ok(t, service.Replan(admin, s.id, version(), plan))
		ok(t, service.Submit(admin, s.id, version()))
		_, err = service.Approve(s.Verified(agreed), s.id, digest, nil)
		ok(t, err)
		ok(t, service.Execute(admin, s.id, digest, "run"))
		s.seal()
		pack, err := s.write(admin)
		ok(t, err)
		_, err = verify(pack)
		ok(t, err)
		files := unpack(t, pack)
		lines := strings.SplitAfter(files["entries.jsonl"], "\n")
		for _, line := range lines[2:5] { // the rejection, the new plan, its submission, and what is open of them
			index, _, _ := strings.Cut(strings.TrimPrefix(line, `{"index":`), ",")
			files["openings.jsonl"] = regexp.MustCompile(`(?m)^\{"entry":`+index+`,.*\n`).ReplaceAllString(files["openings.jsonl"], "")
		}
		files["entries.jsonl"] = strings.Join(slices.Delete(lines, 2, 5), "")
		before := files["case.json"]
		files["case.json"] = regexp.MustCompile(`\{"approver":"[^"]*","decision":"REJECTED"[^}]*\},?`).ReplaceAllString(before, "")
		if files["case.json"] == before {
			t.Fatal("the vote is there still: ", before)
		}
		if _, err := verify(repack(t, files)); err == nil || !strings.Contains(err.Error(), "before it is missing") {
			t.Errorf("got %v", err)
		}
	})
}
