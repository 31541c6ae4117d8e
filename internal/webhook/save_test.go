package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
	"github.com/openhandover/openhandover/internal/webhook"
)

// fails checks an error's code and field.
func fails(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	e, _ := err.(*fault.Error) //nolint:errorlint // a fault is returned as it is
	if fault.CodeOf(err) != code || e == nil || e.Field != field {
		t.Errorf("want %s on %q, got %v", code, field, err)
	}
}

func TestSave(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		ctx := s.Verified(s.Admin)
		good := webhook.Input{Name: "bi", URL: "https://example.com/hook?token=t", Active: true}
		save := func(ctx context.Context, change func(*webhook.Input)) error {
			in := good
			change(&in)
			_, _, err := s.s.Save(ctx, in)
			return err
		}
		one, two := 1, 2
		unknown := nid.New(nid.Webhook)
		other := testcorp.New(t, db, clock, "other")
		foreign, _, err := service(t, other).Save(other.Verified(other.Admin), good)
		if err != nil {
			t.Fatal(err)
		}
		east := s.Department("east", s.Root)
		boss, part, staff := s.Member("boss", east), s.Member("part", east), s.Member("staff", east)
		s.Grant(boss, access.Manager.Name, nid.ID{})
		s.Grant(part, access.Administrator.Name, east)
		for name, c := range map[string]struct {
			ctx    context.Context
			change func(*webhook.Input)
			code   fault.Code
			field  string
		}{
			"no proof":                {s.SignedIn(s.Admin, false), func(*webhook.Input) {}, fault.StepUpRequired, ""},
			"manager":                 {s.Verified(boss), func(*webhook.Input) {}, fault.Forbidden, ""},
			"administrator of a part": {s.Verified(part), func(*webhook.Input) {}, fault.Forbidden, ""},
			"staff":                   {s.Verified(staff), func(*webhook.Input) {}, fault.Forbidden, ""},
			"name":                    {ctx, func(in *webhook.Input) { in.Name = " " }, fault.Invalid, "input.name"},
			"same name":               {ctx, func(in *webhook.Input) { in.Name = "crm" }, fault.Conflict, "input.name"},
			"event":                   {ctx, func(in *webhook.Input) { in.Events = []notify.Event{"handover.invented"} }, fault.Invalid, "input.events"},
			"version alone":           {ctx, func(in *webhook.Input) { in.Version = &one }, fault.Invalid, "input.version"},
			"no version":              {ctx, func(in *webhook.Input) { in.ID = &s.hook }, fault.Invalid, "input.version"},
			"stale":                   {ctx, func(in *webhook.Input) { in.ID, in.Version = &s.hook, &two }, fault.Conflict, "input.version"},
			"unknown":                 {ctx, func(in *webhook.Input) { in.ID, in.Version = &unknown, &one }, fault.NotFound, "input.id"},
			"foreign":                 {ctx, func(in *webhook.Input) { in.ID, in.Version = &foreign, &one }, fault.NotFound, "input.id"},
			"another kind":            {ctx, func(in *webhook.Input) { in.ID, in.Version = &s.Admin, &one }, fault.NotFound, "input.id"},
		} {
			t.Run(name, func(t *testing.T) { fails(t, save(c.ctx, c.change), c.code, c.field) })
		}
		for i := range 19 {
			if err := save(ctx, func(in *webhook.Input) { in.Name = fmt.Sprint("hook ", i) }); err != nil {
				t.Fatal(err)
			}
		}
		fails(t, save(ctx, func(*webhook.Input) {}), fault.Limit, "")
		if err := save(ctx, func(in *webhook.Input) { in.ID, in.Version, in.Name = &s.hook, &one, "renamed" }); err != nil {
			t.Fatal(err)
		}
		if err := save(ctx, func(in *webhook.Input) { in.ID, in.Version, in.Name = &s.hook, &two, "renamed" }); err != nil {
			t.Fatal(err)
		}
		if v := testcorp.Value[int](s.Corp, `SELECT version FROM webhooks WHERE id = $1`, s.hook); v != 2 {
			t.Errorf("what is as it was raised the version to %d", v)
		}
		fails(t, s.s.Delete(s.SignedIn(s.Admin, false), s.hook), fault.StepUpRequired, "")
		fails(t, s.s.Delete(s.Verified(part), s.hook), fault.Forbidden, "")
		fails(t, s.s.Delete(ctx, foreign), fault.NotFound, "input.id")
		if err := s.s.Delete(ctx, s.hook); err != nil {
			t.Fatal(err)
		}
		fails(t, s.s.Delete(ctx, s.hook), fault.NotFound, "input.id")
		if err := save(ctx, func(in *webhook.Input) { in.Name = "renamed" }); err != nil {
			t.Errorf("the name of a deleted webhook is not free again: %v", err)
		}
	})
}

// The log says who points messages where, and holds nothing that opens a door.
func TestTheLogHasNoSecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		_, shown, err := s.s.Save(s.Verified(s.Admin), webhook.Input{Name: "bi", URL: "https://example.com/hook/marked-path?token=marked-token", Active: true})
		if err != nil {
			t.Fatal(err)
		}
		leaf := string(testcorp.Value[[]byte](s.Corp, `SELECT leaf FROM audit_entries WHERE corp_id = $1 ORDER BY "index" DESC LIMIT 1`, s.ID))
		if !holds(leaf, "example.com") || holds(leaf, "marked") || holds(leaf, strings.TrimPrefix(shown, "whsec_")) {
			t.Errorf("the entry is %s", leaf)
		}
		stored := testcorp.Value[[]byte](s.Corp, `SELECT secret FROM webhooks WHERE name = 'bi'`)
		if holds(string(stored), shown) || len(stored) < 60 {
			t.Error("the secret is not sealed")
		}
	})
}

func TestWhereWebhooksMayBe(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	strict := *s.s
	strict.AllowPrivate = false
	ctx := s.Verified(s.Admin)
	n := 0
	for address, want := range map[string]struct{ usual, private bool }{
		"https://example.com/hook":             {true, true},
		"https://example.com:8443/?a=b":        {true, true},
		"https://8.8.8.8/":                     {true, true},
		"https://[2606:4700:4700::1111]/":      {true, true},
		"https://钩子.example/":                  {true, true},
		"http://example.com/":                  {false, false},
		"ftp://example.com/":                   {false, false},
		"https://":                             {false, false},
		"https:example.com":                    {false, false},
		"/hook":                                {false, false},
		"https://user:pass@example.com/":       {false, false},
		"https://example.com/#x":               {false, false},
		"https://" + strings.Repeat("a", 2000): {false, false},
		"http://127.0.0.1:8000/":               {false, true},
		"https://127.0.0.1/":                   {false, true},
		"http://localhost:8000/":               {false, true},
		"http://LOCALHOST.:8000/":              {false, true},
		"http://[::1]:8000/":                   {false, true},
		"https://[::ffff:127.0.0.1]/":          {false, true},
		"https://10.1.2.3/":                    {false, true},
		"http://10.1.2.3/":                     {false, false},
		"https://169.254.169.254/latest/":      {false, false},
		"https://[::ffff:169.254.169.254]/":    {false, false},
		"https://[fd00:ec2::254]/":             {false, false},
		"https://100.100.100.200/":             {false, false},
		"https://0.0.0.0/":                     {false, false},
		"https://[fe80::1]/":                   {false, false},
	} {
		for service, ok := range map[*webhook.Service]bool{&strict: want.usual, s.s: want.private} {
			n++
			id, _, err := service.Save(ctx, webhook.Input{Name: fmt.Sprint(n), URL: address, Active: true})
			switch {
			case !ok:
				if fault.CodeOf(err) != fault.Invalid {
					t.Errorf("%s, private %v: %v", address, service.AllowPrivate, err)
				}
			case err != nil:
				t.Errorf("%s, private %v: %v", address, service.AllowPrivate, err)
			default:
				if err := service.Delete(ctx, id); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// A name that meant something else when it was saved is refused when it is dialled.
func TestAForbiddenAddressIsNotDialled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		s.s.Client = outbound.NewClient(false)
		s.emit(1)
		s.deliver()
		s.only(webhook.Waiting, 1, 0, webhook.NoAddress)
		if ids, _ := s.r.got(); len(ids) != 0 {
			t.Error("the receiver on this machine was reached")
		}
	})
}

func TestReplay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		ctx := s.Verified(s.Admin)
		s.emit(1)
		first := s.deliveries()[0].id
		_, err := s.s.Replay(ctx, first)
		fails(t, err, fault.Conflict, "input.id")
		s.deliver()
		again, err := s.s.Replay(ctx, first)
		if err != nil {
			t.Fatal(err)
		}
		if again == first {
			t.Error("a replay is no delivery of its own")
		}
		s.deliver()
		ids, bodies := s.r.got()
		if len(ids) != 2 || ids[0] != ids[1] || bodies[0] != bodies[1] {
			t.Errorf("the receiver got %q", ids)
		}
		for _, d := range s.deliveries() {
			if d.state != webhook.Delivered || d.attempts != 1 {
				t.Errorf("a delivery is %s", d)
			}
		}
		if n := testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE action = 'delivery.replay' AND subject_id = $1`, s.hook); n != 1 {
			t.Errorf("%d entries", n)
		}
		boss := s.Member("boss", s.Root)
		s.Grant(boss, access.Manager.Name, nid.ID{})
		other := testcorp.New(t, db, clock, "other")
		for name, c := range map[string]struct {
			ctx   context.Context
			id    nid.ID
			code  fault.Code
			field string
		}{
			"no proof":     {s.SignedIn(s.Admin, false), first, fault.StepUpRequired, ""},
			"manager":      {s.Verified(boss), first, fault.Forbidden, ""},
			"unknown":      {ctx, nid.New(0), fault.NotFound, "input.id"},
			"none":         {ctx, nid.ID{}, fault.NotFound, "input.id"},
			"another corp": {other.Verified(other.Admin), first, fault.NotFound, "input.id"},
		} {
			_, err := service(t, s.Corp).Replay(c.ctx, c.id)
			t.Run(name, func(t *testing.T) { fails(t, err, c.code, c.field) })
		}
		if err := s.s.Delete(ctx, s.hook); err != nil {
			t.Fatal(err)
		}
		_, err = s.s.Replay(ctx, first)
		fails(t, err, fault.Conflict, "input.id")
	})
}

// What happens to somebody with a marked name reaches nobody by that name.
func TestNoNameInAnyMessage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		const mark = "Zzmarked"
		s := newScene(t, db, clock, mark)
		ctx := s.Verified(s.Admin)
		lina := s.Member(mark+"lina", s.Department(mark+"east", s.Root))
		s.Contact(mark+"customer", "KEY", lina)
		s.Group(mark+"group", lina)
		people := &member.Service{DB: db, Log: s.Log}
		reason := mark + " went"
		deactivate := func(mode member.Mode) {
			if _, err := people.Deactivate(ctx, member.DeactivateInput{MemberID: lina, Mode: mode, Reason: &reason}); err != nil {
				t.Fatal(err)
			}
		}
		deactivate(member.Disable)
		if err := people.Reinstate(ctx, member.ReinstateInput{MemberID: lina, Reason: reason}); err != nil {
			t.Fatal(err)
		}
		deactivate(member.Depart)
		s.deliver()
		_, bodies := s.r.got()
		all := strings.Join(bodies, "\n")
		for _, want := range []string{`"type":"member.disabled"`, `"type":"member.reinstated"`, `"type":"member.departed"`, `"subject":"` + lina.String(), `"corp":"` + s.ID.String(), `"contacts":1`, `"groups":1`} {
			if !holds(all, want) {
				t.Errorf("no message has %s:\n%s", want, all)
			}
		}
		if holds(all, mark) {
			t.Errorf("a name leaves:\n%s", all)
		}
	})
}
