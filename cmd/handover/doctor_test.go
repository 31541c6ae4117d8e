package main

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func TestDoctorOnTheWayToTheServer(t *testing.T) {
	for raw, want := range map[string]string{
		"postgres://db.example.com/handover?sslmode=verify-full":   well,
		"postgres://db.example.com/handover?sslmode=verify-ca":     warn,
		"postgres://db.example.com/handover?sslmode=require":       warn,
		"postgres://db.example.com/handover?sslmode=disable":       warn,
		"postgres:///handover?host=db.example.com&sslmode=disable": warn,
		"postgres://192.0.2.7/handover?sslmode=disable":            warn,
		"postgres://127.0.0.1/handover":                            "",
		"postgres://[::1]/handover?sslmode=disable":                "",
		"postgres://localhost/handover?sslmode=disable":            "",
		"postgres:///handover?host=/var/run/postgresql":            "",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		var d doctor
		d.encryption(u)
		got := ""
		for _, f := range d.list {
			got = f.Grade
			if (f.Cure == "") != (f.Grade == well) {
				t.Errorf("%s: %+v", raw, f)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestDoctorOnDiskSpace(t *testing.T) {
	for bytes, want := range map[uint64]string{0: broken, noSpace - 1: broken, noSpace: warn, littleSpace - 1: warn, littleSpace: well} {
		var d doctor
		d.space("data", bytes)
		if len(d.list) != 1 || d.list[0].Grade != want {
			t.Errorf("%d bytes: %+v, want %s", bytes, d.list, want)
		}
	}
	if bytes, known := free(t.TempDir()); known && bytes == 0 {
		t.Error("nothing can be written where tests write")
	}
	if _, known := free("no such folder"); known {
		t.Error("a folder that is not there has space")
	}
}

func TestDoctorOnPolicyAndDepartures(t *testing.T) {
	clock := storetest.NewClock()
	c := testcorp.New(t, storetest.SQLite(t, clock), clock, "acme")
	look := func(approvers int) string {
		d := doctor{db: c.DB}
		if err := c.DB.View(store.System(t.Context(), c.ID, "test"), func(ctx context.Context, r *store.Read) error {
			if err := d.departures(ctx, r, c.ID, "acme"); err != nil {
				return err
			}
			if err := d.reviews(ctx, r, c.ID, "acme"); err != nil {
				return err
			}
			return d.policy(ctx, r, "acme", approvers)
		}); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, f := range d.list {
			if f.Grade != warn || f.Cure == "" {
				t.Errorf("%+v", f)
			}
			texts = append(texts, f.Text)
		}
		return strings.Join(texts, "\n")
	}
	want := func(what, got, part string) {
		t.Helper()
		if part == "" && got != "" || !strings.Contains(got, part) {
			t.Errorf("%s: %q", what, got)
		}
	}
	want("the administrator alone", look(1), "a plan could get 0 approval(s) at most")
	for _, name := range []string{"anna", "ben"} {
		c.Grant(c.Member(name, c.Root), access.Approver.Name, nid.ID{})
	}
	want("two others", look(3), "")
	want("of whom one has no authenticator", look(2), "approvals hang on a single person")
	c.Held(c.Member("lina", c.Root), "2026-02-28")
	want("one is held back", look(3), "corp acme: departures held back until a person decides: 1")
	reviews := &review.Service{DB: c.DB, Log: c.Log}
	if _, err := reviews.Start(c.Verified(c.Admin), clock.Now().AddDate(0, 0, 7)); err != nil {
		t.Fatal(err)
	}
	clock.Add(7 * 24 * time.Hour)
	if _, err := reviews.Work(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	want("nobody reviewed the administrator", look(3), "corp acme: access nobody has reviewed in time: 1")
}
