package graph

import (
	"context"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// A service token that reads the log gets ids and commitments, and no names.
func TestATokenReadsTheLogSealed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		a, admin := newAPI(t, db, c), c.SignedIn(c.Admin, false)
		err := db.Tx(admin, func(ctx context.Context, tx *store.Tx) error {
			return c.Log.Append(ctx, tx, audit.Entry{Action: access.SessionFail, Subject: c.Admin, After: map[string]any{
				"attempt": "sign-in", "login": audit.Personal{Subject: c.Admin, Value: "personal-value"}, "list": []any{audit.Personal{Subject: c.Admin, Value: "personal-value"}}}})
		})
		if err != nil {
			t.Fatal(err)
		}
		const log = `{ auditEntries(first: 50) { nodes { action actorLabel address before after } } }`
		person := string(a.good(admin, log, nil, nil).Data)
		program := string(a.good(token(c, access.ReadAuditLog), log, nil, nil).Data)
		if strings.Count(person, "personal-value") != 2 || !strings.Contains(person, `"actorLabel":"root-admin"`) {
			t.Errorf("a person: %s", person)
		}
		if strings.Contains(program, "personal-value") || strings.Contains(program, "root-admin") || strings.Count(program, `"sealed `) < 2 && strings.Count(program, `\"sealed `) < 2 || !strings.Contains(program, c.Admin.String()) {
			t.Errorf("a program: %s", program)
		}
	})
}
