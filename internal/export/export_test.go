package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestContactsAreThoseInScopeAndNoneThatALeaverLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.Contact("east one", "KEY", s.wang)
		s.Contact("both", "NORMAL", s.wang, s.zhao)
		s.Contact("west one", "NORMAL", s.zhao)
		s.Contact("left behind", "NORMAL", s.lina)
		s.Contact("left and kept", "NORMAL", s.lina, s.wang)
		s.Group("east chat", s.wang)
		s.Group("west chat", s.zhao)
		s.Group("left chat", s.lina)
		s.Depart(s.lina)
		// She exports for east, and sees everything.
		clerk := s.Member("clerk", s.west)
		s.GrantRole(clerk, s.Role("exports", access.ExportContacts, access.ExportGroups), s.east)
		s.GrantRole(clerk, s.Role("looks", access.ViewContacts, access.ViewGroups), nid.ID{})
		own := s.Contact("her own", "NORMAL", clerk)
		as := s.Verified(clerk)
		rows := s.table(as, export.Input{Subject: export.Contacts})
		if got := column(rows, "name"); got != "east one both" {
			t.Errorf("she exports %s", got)
		}
		if r := rows[0]; r["importance"] != "KEY" || r["exported_by"] != "clerk (clerk)" || r["exported_at"] != db.Now().Format(time.RFC3339) || !strings.HasPrefix(r["export_id"], "exp_") || r["accountable_userid"] != "wang" {
			t.Errorf("a row is %v", r)
		}
		if got := column(rows, "follower_userids"); got != "wang wang;zhao" {
			t.Errorf("followers are %s", got)
		}
		if got := column(s.table(as, export.Input{Subject: export.Groups}), "name"); got != "east chat" {
			t.Errorf("she exports the groups %s", got)
		}
		// Who may hand over what lina left may export it.
		s.GrantRole(clerk, s.Role("hands over", access.ExecuteResignedContacts, access.ExecuteResignedGroups), s.east)
		as = s.Verified(clerk)
		if got := column(s.table(as, export.Input{Subject: export.Contacts}), "name"); got != "east one both left behind left and kept" {
			t.Errorf("with the permission to hand over she exports %s", got)
		}
		if got := column(s.table(as, export.Input{Subject: export.Groups}), "name"); got != "east chat left chat" {
			t.Errorf("with the permission to hand over she exports the groups %s", got)
		}
		key := "KEY"
		if got := column(s.table(as, export.Input{Subject: export.Contacts, Contacts: &contact.Filter{Importance: &key}}), "name"); got != "east one" {
			t.Errorf("filtered: %s", got)
		}
		// What she does not see she does not export: sight and export have to agree.
		blind := s.Member("blind", s.west)
		s.GrantRole(blind, s.Role("exports only", access.ExportContacts), nid.ID{})
		if got := s.table(s.Verified(blind), export.Input{Subject: export.Contacts, Contacts: &contact.Filter{IDs: []nid.ID{own}}}); len(got) != 0 {
			t.Errorf("unseen: %v", got)
		}
	})
}

func TestWhoMayAskForWhat(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		other := testcorp.New(t, db, clock, "other")
		lead := s.Member("lead", s.east)
		s.GrantRole(lead, s.Role("part of the log", access.ReadAuditLog), s.east)
		h, foreign := s.case_(), nid.New(nid.Handover)
		for name, c := range map[string]struct {
			as    nid.ID
			in    export.Input
			code  fault.Code
			field string
		}{
			"staff, contacts":          {s.wang, export.Input{Subject: export.Contacts, Format: export.CSV}, fault.Forbidden, ""},
			"staff, groups":            {s.wang, export.Input{Subject: export.Groups, Format: export.CSV}, fault.Forbidden, ""},
			"staff, transfers":         {s.wang, export.Input{Subject: export.Transfers, Format: export.CSV}, fault.Forbidden, ""},
			"part of the log":          {lead, export.Input{Subject: export.AuditLog, Format: export.CSV}, fault.Forbidden, ""},
			"part of the log's cases":  {lead, export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &h}, fault.Forbidden, ""},
			"evidence of nothing":      {s.Admin, export.Input{Subject: export.Evidence, Format: export.CSV}, fault.Invalid, "input.handoverId"},
			"evidence as a sheet":      {s.Admin, export.Input{Subject: export.Evidence, Format: export.XLSX, HandoverID: &h}, fault.Invalid, "input.format"},
			"contacts of a handover":   {s.Admin, export.Input{Subject: export.Contacts, Format: export.CSV, HandoverID: &h}, fault.Invalid, "input.handoverId"},
			"groups by contact filter": {s.Admin, export.Input{Subject: export.Groups, Format: export.CSV, Contacts: &contact.Filter{}}, fault.Invalid, "input.contacts"},
			"a long filter":            {s.Admin, export.Input{Subject: export.Contacts, Format: export.CSV, Contacts: &contact.Filter{IDs: make([]nid.ID, 5001)}}, fault.Invalid, "input.contacts.ids"},
			"a hostile filter":         {s.Admin, export.Input{Subject: export.Contacts, Format: export.CSV, Contacts: &contact.Filter{Tags: []string{"a\x00b"}}}, fault.Invalid, "input.contacts.tags"},
			"an unknown handover":      {s.Admin, export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &foreign}, fault.NotFound, "input.handoverId"},
			"another thing's id":       {s.Admin, export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &s.wang}, fault.NotFound, "input.handoverId"},
		} {
			_, err := s.s.Create(s.Verified(c.as), c.in, "key")
			t.Run(name, func(t *testing.T) { refused(t, err, c.code, c.field) })
		}
		_, err := s.s.Create(other.Verified(other.Admin), export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &h}, "key")
		refused(t, err, fault.NotFound, "input.handoverId")
		_, err = s.s.Create(s.SignedIn(s.Admin, false), export.Input{Subject: export.Contacts, Format: export.CSV}, "key")
		refused(t, err, fault.StepUpRequired, "")
		_, err = s.s.Create(store.System(t.Context(), s.ID, "job"), export.Input{Subject: export.Contacts, Format: export.CSV}, "key")
		refused(t, err, fault.Forbidden, "")
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM exports WHERE corp_id = $1`, s.ID); n != 0 {
			t.Errorf("%d exports were made of what was refused", n)
		}
		// The same key gives the same export; with other input it is refused. Five wait at most.
		in := export.Input{Subject: export.Contacts, Format: export.CSV}
		first, err := s.s.Create(s.Verified(s.Admin), in, "one")
		ok(t, err)
		again, err := s.s.Create(s.SignedIn(s.Admin, false), in, "one")
		if ok(t, err); again != first {
			t.Error("a repeated request made another export")
		}
		_, err = s.s.Create(s.Verified(s.Admin), export.Input{Subject: export.Groups, Format: export.CSV}, "one")
		refused(t, err, fault.Conflict, "input.idempotencyKey")
		for range export.MaxOpen - 1 {
			s.ask(s.Verified(s.Admin), in)
		}
		_, err = s.s.Create(s.Verified(s.Admin), in, "six")
		refused(t, err, fault.Limit, "")
	})
}

// case_ makes a handover of lina's that is done.
func (s *scene) case_() nid.ID {
	s.t.Helper()
	c := s.Contact("=HYPERLINK(\"x\")", "NORMAL", s.lina)
	s.Group("lina's chat", s.lina)
	_ = c
	s.Depart(s.lina)
	h := &handover.Service{DB: s.DB, Log: s.Log}
	admin := s.Verified(s.Admin)
	id, err := h.Create(admin, handover.Input{Kind: handover.Resigned, LeaverID: s.lina, Successors: handover.Choice{MemberID: &s.wang}}, nil, nil, "case")
	ok(s.t, err)
	ok(s.t, h.Submit(admin, id, 1))
	ok(s.t, h.Execute(admin, id, testcorp.Value[string](s.Corp, `SELECT digest FROM handovers WHERE id = $1`, id), "run"))
	return id
}

func TestTransfersLogAndEvidence(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		h := s.case_()
		s.Contact("another", "NORMAL", s.zhao)
		admin := s.Verified(s.Admin)
		rows := s.table(admin, export.Input{Subject: export.Transfers, HandoverID: &h})
		if column(rows, "status") != "COMPLETED COMPLETED" || column(rows, "from_userid") != "lina lina" || column(rows, "to_userid") != "wang wang" ||
			column(rows, "contact_name") != "'=HYPERLINK(\"x\") " || column(rows, "group_name") != " lina's chat" || rows[0]["because"] == "" {
			t.Errorf("transfers are %v", rows)
		}
		// Who may export contacts of west has no transfer in east, and no group.
		west := s.Member("west-lead", s.west)
		s.GrantRole(west, s.Role("west", access.ExportContacts, access.PlanHandover, access.ViewContacts), s.west)
		if got := s.table(s.Verified(west), export.Input{Subject: export.Transfers}); len(got) != 0 {
			t.Errorf("of another branch: %v", got)
		}
		east := s.Member("east-lead", s.east)
		s.GrantRole(east, s.Role("east", access.ExportContacts, access.PlanHandover, access.ViewContacts), s.east)
		if got := column(s.table(s.Verified(east), export.Input{Subject: export.Transfers}), "kind"); got != "CONTACT" {
			t.Errorf("without EXPORT_GROUPS: %s", got)
		}
		log := s.table(s.Verified(s.Admin), export.Input{Subject: export.AuditLog})
		n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action <> 'export.finish' AND action <> 'export.download'`, s.ID)
		if len(log) == 0 || log[0]["index"] != "0" || !strings.Contains(column(log, "action"), "export.create") || len(log) < n {
			t.Errorf("the log has %d rows: %s", len(log), column(log, "action"))
		}
		for i, r := range log {
			if r["after"] != "" && !json.Valid([]byte(r["after"])) {
				t.Errorf("row %d: %s", i, r["after"])
			}
		}
		if of := s.table(s.Verified(s.Admin), export.Input{Subject: export.AuditLog, HandoverID: &h}); len(of) == 0 || len(of) >= len(log) || strings.Contains(column(of, "action"), "grant") {
			t.Errorf("of the handover: %s", column(of, "action"))
		}
		id := s.ask(s.Verified(s.Admin), export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &h})
		s.work()
		pack := s.taken(id)
		sum, err := offline.Verify(bytes.NewReader(pack), int64(len(pack)))
		if ok(t, err); sum.Handover != h.String() || sum.Transfers != 2 {
			t.Errorf("%+v", sum)
		}
		// Asking for it, making it and fetching it are no part of the case.
		id = s.ask(s.Verified(s.Admin), export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &h})
		s.work()
		if again := s.taken(id); !bytes.Equal(pack, again) {
			t.Errorf("two packages of one case differ: %d and %d bytes", len(pack), len(again))
		}
		s.s.Seal = nil
		ok(t, db.Tx(store.System(context.Background(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			return s.Log.Append(ctx, tx, audit.Entry{Action: access.HandoverRetry, Subject: h, Handover: h})
		}))
		id = s.ask(s.Verified(s.Admin), export.Input{Subject: export.Evidence, Format: export.CSV, HandoverID: &h})
		if s.work(); s.state(id) != "FAILED NOT_SEALED" {
			t.Errorf("unsealed it is %s", s.state(id))
		}
	})
}

func TestTheFormatsSayTheSame(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		names := []string{"=1+1", "'quoted", "李娜, \"VIP\"", "＝全角", "+86 138", "two\nlines", "<b>&amp;</b>", " padded "}
		for _, n := range names {
			s.Contact(n, "NORMAL", s.wang)
		}
		csvID, xlsxID, jsonID := s.ask(s.Verified(s.Admin), export.Input{Subject: export.Contacts, Format: export.CSV}),
			s.ask(s.Verified(s.Admin), export.Input{Subject: export.Contacts, Format: export.XLSX}),
			s.ask(s.Verified(s.Admin), export.Input{Subject: export.Contacts, Format: export.JSONL})
		s.work()
		for i, r := range parse(t, s.taken(csvID)) {
			if want := names[i]; strings.ContainsAny(want[:1], "='+") || strings.HasPrefix(want, "＝") {
				if r["name"] != "'"+want {
					t.Errorf("CSV has %q for %q", r["name"], want)
				}
			} else if r["name"] != want {
				t.Errorf("CSV has %q for %q", r["name"], want)
			}
		}
		d := json.NewDecoder(bytes.NewReader(s.taken(jsonID)))
		for _, want := range names {
			var r struct {
				Name      string
				Tags      []string
				Protected bool
				ExportID  string `json:"export_id"`
			}
			if ok(t, d.Decode(&r)); r.Name != want || r.Tags == nil || r.ExportID != jsonID.String() {
				t.Errorf("JSONL has %+v for %q", r, want)
			}
		}
		if d.More() {
			t.Error("JSONL has more rows")
		}
		x, err := excelize.OpenReader(bytes.NewReader(s.taken(xlsxID)))
		ok(t, err)
		defer x.Close()
		rows, err := x.GetRows("Data")
		if ok(t, err); len(rows) != len(names)+1 || rows[0][1] != "name" {
			t.Fatalf("the sheet has %d rows, headed %v", len(rows), rows[0])
		}
		for i, want := range names {
			if rows[i+1][1] != want {
				t.Errorf("XLSX has %q for %q", rows[i+1][1], want)
			}
			at, _ := excelize.CoordinatesToCellName(2, i+2)
			if f, err := x.GetCellFormula("Data", at); err != nil || f != "" {
				t.Errorf("%s runs %q, %v", at, f, err)
			}
		}
		about, err := x.GetRows("About")
		if ok(t, err); len(about) != 4 || about[0][1] != "root-admin (root-admin)" || about[2][1] != xlsxID.String() || about[3][1] != "8" {
			t.Errorf("it says of itself %v", about)
		}
		footer, err := x.GetHeaderFooter("Data")
		if ok(t, err); footer == nil || !strings.Contains(footer.OddFooter, xlsxID.String()) {
			t.Errorf("printed it says %+v", footer)
		}
		if p, err := x.GetDocProps(); err != nil || p.Identifier != xlsxID.String() {
			t.Errorf("its properties are %+v, %v", p, err)
		}
		for _, f := range s.files() {
			info, err := os.Stat(f)
			if ok(t, err); info.Mode().Perm() != 0o600 {
				t.Errorf("%s is %s", f, info.Mode())
			}
		}
		if len(s.files()) != 3 {
			t.Errorf("there are %v", s.files())
		}
	})
}
