package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Every spot of the schema that takes an id is given one of another corp's things, and
// one of nothing. Both answers are the same: data, texts, codes, and the statements that
// were run. A mutation says NOT_FOUND, and where.
func TestForeignAndUnknownIdsCannotBeToldApart(t *testing.T) {
	spots := idSpots(served())
	if len(spots) < 120 {
		t.Fatalf("only %d places take an id", len(spots))
	}
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		theirs, ours := newWorld(t, db, clock, "acme"), newWorld(t, db, clock, "globex")
		foreign := theirs.oneOfEach()
		c := &comparison{world: ours, own: ours.oneOfEach(), admin: ours.SignedIn(ours.Admin, true)}
		for _, p := range spots {
			kind, ok := kindOf(p)
			if !ok {
				t.Errorf("%s: say of what kind this id is, in kindOf", p)
				continue
			}
			unknown := nid.New(kind)
			if kind == delivery {
				unknown = nid.New(0)
			}
			theirs, nobodys := c.ask(t, p, foreign[kind]), c.ask(t, p, unknown)
			if d := cmp.Diff(theirs.told, nobodys.told); d != "" {
				t.Errorf("%s: another corp's is told from nobody's:\n%s", p, d)
			}
			if d := cmp.Diff(theirs.statements, nobodys.statements); d != "" {
				t.Errorf("%s: another corp's takes other statements than nobody's:\n%s", p, d)
			}
			if want := c.expected(p); strings.ReplaceAll(theirs.code, ".0", "") != want {
				t.Errorf("%s: answers %q, want %q\n%s", p, theirs.code, want, theirs.told)
			}
		}
	})
}

// spot is where an id can be given: the operation, and the path into its arguments.
type spot struct {
	kind, field string
	def         *ast.FieldDefinition
	path        []string
}

func (p spot) String() string { return p.kind + "." + p.field + " " + strings.Join(p.path, ".") }

func (p spot) last() string { return p.path[len(p.path)-1] }

// idSpots walks the arguments of all operations.
func idSpots(s *ast.Schema) (out []spot) {
	var walk func(p spot, typ *ast.Type, seen []string)
	walk = func(p spot, typ *ast.Type, seen []string) {
		d := s.Types[typ.Name()]
		if d.Name == "ID" {
			p.path = slices.Clone(p.path)
			out = append(out, p)
		}
		if d.Kind != ast.InputObject || slices.Contains(seen, d.Name) {
			return
		}
		for _, f := range d.Fields {
			walk(spot{p.kind, p.field, p.def, append(p.path, f.Name)}, f.Type, append(seen, d.Name))
		}
	}
	for _, root := range []*ast.Definition{s.Query, s.Mutation} { // of the subscription: TestProgressOfWhatCannotBeSeen
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			for _, a := range f.Arguments {
				walk(spot{root.Name, f.Name, f, []string{a.Name}}, a.Type, nil)
			}
		}
	}
	return out
}

// delivery stands for deliveries of webhooks, whose ids are plain UUIDs.
const delivery = nid.Kind(255)

// kinds are what ids are of, by the name of the argument.
var kinds = map[string]nid.Kind{
	"memberId": nid.Member, "memberIds": nid.Member, "leaverId": nid.Member, "successorId": nid.Member, "caretakerId": nid.Member, "followerId": nid.Member,
	"ownerId": nid.Member, "fallbackId": nid.Member, "requestedById": nid.Member, "fromId": nid.Member, "toId": nid.Member, "actorId": nid.Member, "createdById": nid.Member,
	"departmentId": nid.Department, "departmentIds": nid.Department, "parentId": nid.Department, "fromDepartmentId": nid.Department,
	"roleId": nid.Role, "contactId": nid.Contact, "contactIds": nid.Contact, "groupId": nid.Group, "groupIds": nid.Group, "subjectId": nid.Contact, "chatOf": nid.Contact,
	"handoverId": nid.Handover, "transferIds": nid.Transfer, "ruleSetId": nid.RuleSet, "replacesId": nid.Policy, "followId": nid.Follow,
}

// kindsOfID are what "id" and "ids" are of, by the argument or the operation they stand in.
var kindsOfID = map[string]nid.Kind{
	"contacts": nid.Contact, "groups": nid.Group, "members": nid.Member, "departments": nid.Department, "handovers": nid.Handover, "transfers": nid.Transfer,
	"node": nid.Contact, "nodes": nid.Handover, "acknowledgeDataPolicy": nid.Policy, "withdrawDataPolicy": nid.Policy,
	"approveHandover": nid.Handover, "rejectHandover": nid.Handover, "executeHandover": nid.Handover, "cancelHandover": nid.Handover, "submitHandover": nid.Handover,
	"replanHandover": nid.Handover, "revertHandover": nid.Handover, "decideReviewItem": nid.ReviewItem, "saveRole": nid.Role, "deleteRole": nid.Role,
	"saveRuleSet": nid.RuleSet, "saveWebhook": nid.Webhook, "deleteWebhook": nid.Webhook, "replayDelivery": delivery, "revokeGrant": nid.Grant,
	"revokeHistoryGrant": nid.HistoryGrant, "revokeServiceToken": nid.Token, "revokeSession": nid.Session, "removePasskey": nid.Passkey, "reviewLeakFinding": nid.LeakFinding,
	"saveIdentityProvider": nid.Provider, "deleteIdentityProvider": nid.Provider, "linkIdentity": nid.Provider, "withdrawPendingChange": nid.Change,
	"saveDepartment": nid.Department, "updateContact": nid.Contact, "updateFollow": nid.Follow, "updateGroup": nid.Group,
}

func kindOf(p spot) (k nid.Kind, ok bool) {
	if k, ok = kinds[p.last()]; ok {
		return k, true
	}
	if len(p.path) > 1 {
		if k, ok = kindsOfID[p.path[len(p.path)-2]]; ok {
			return k, true
		}
	}
	k, ok = kindsOfID[p.field]
	return k, ok
}

// oneOfEach gives something of each kind that the corp has.
func (w *world) oneOfEach() map[nid.Kind]nid.ID {
	t := w.api.t
	t.Helper()
	admin := w.SignedIn(w.Admin, true)
	for _, m := range []string{
		fmt.Sprintf(`saveRuleSet(input: {name: "rules", rules: [{method: EVEN, memberIds: ["%s"]}]}) { __typename }`, w.sun),
		`saveWebhook(input: {name: "hook", url: "https://example.com/hook"}) { __typename }`,
		`createServiceToken(input: {name: "token", permissions: [VIEW_CONTACTS], expiresAt: "` + w.DB.Now().Add(time.Hour).Format(time.RFC3339) + `"}) { __typename }`,
		`publishDataPolicy(input: {title: "policy", body: "text"}) { __typename }`,
		`startAccessReview(input: {dueAt: "` + w.DB.Now().Add(240*time.Hour).Format(time.RFC3339) + `"}) { __typename }`,
		`saveIdentityProvider(input: {name: "company", issuer: "https://login.example.com", clientId: "x", claim: "sub", matches: USER_ID, active: false}) { __typename }`,
		`saveRole(input: {name: "own", permissions: [VIEW_CONTACTS]}) { __typename }`,
		fmt.Sprintf(`createHandover(input: {plan: {kind: ON_JOB, leaverId: "%s", successors: {memberId: "%s"}}, idempotencyKey: "open"}) { __typename }`, w.sun, w.lin),
	} {
		w.api.good(admin, `mutation { `+m+` }`, nil, nil)
	}
	w.Said(w.lin, w.ofLin, w.DB.Now(), "text")
	err := w.DB.Tx(store.System(t.Context(), w.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		now := tx.Now()
		ids, err := tx.Change(ctx, "passkeys", `INSERT INTO passkeys (corp_id, id, member_id, credential_id, public_key, flags, sign_count, name, created_at)
			VALUES ($1, $2, $3, $4, $4, 0, 0, 'key', $5) RETURNING id`, w.ID, nid.New(nid.Passkey), w.Admin, []byte("key of "+w.ID.String()), now)
		if err != nil {
			return err
		}
		found, err := tx.Change(ctx, "leak_findings", `INSERT INTO leak_findings (id, corp_id, created_at, updated_at, version, kind, member_id, at, score, why_en, why_zh, marks)
			VALUES ($1, $2, $3, $3, 1, 'EXPORT_BEFORE_LEAVING', $4, $3, 1, 'why', 'why', '[]') RETURNING id`, nid.New(nid.LeakFinding), w.ID, now, w.lin)
		if err != nil {
			return err
		}
		waits, err := tx.Change(ctx, "pending_changes", `INSERT INTO pending_changes (corp_id, id, operation, subject_id, asked, fingerprint, requested_by_id, created_at, lapses_at)
			VALUES ($1, $2, 'saveApprovalPolicy', $1, '{}', $3, $4, $5, $6) RETURNING id`, w.ID, nid.New(nid.Change), []byte{1}, w.Admin, now, now.Add(time.Hour))
		if err != nil {
			return err
		}
		read, err := tx.Change(ctx, "history_grants", `INSERT INTO history_grants (id, corp_id, created_at, successor_id, leaver_id, contact_id, handover_id, transfer_id)
			SELECT $2, corp_id, $3, to_id, from_id, contact_id, handover_id, id FROM transfers WHERE corp_id = $1 AND handover_id = $4 RETURNING id`,
			w.ID, nid.New(nid.HistoryGrant), now, w.handedSales)
		if err != nil {
			return err
		}
		tx.Cover(slices.Concat(ids, found, waits, read)...)
		_, err = tx.Keep(ctx, "webhook_deliveries", `INSERT INTO webhook_deliveries (corp_id, id, webhook_id, event, subject_id, body, state, attempts, created_at, next_at)
			SELECT corp_id, $2, id, 'handover.completed', $3, '{}', 'DELIVERED', 1, $4, $4 FROM webhooks WHERE corp_id = $1`, w.ID, nid.New(0), w.handedSales, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.fail(w.handedSales)
	out := map[nid.Kind]nid.ID{}
	for k, table := range map[nid.Kind]string{
		nid.Member: "members WHERE id = '" + w.lin.UUID() + "' AND", nid.Contact: "contacts WHERE id = '" + w.ofLin.UUID() + "' AND", nid.Department: "departments WHERE id = '" + w.south.UUID() + "' AND",
		nid.Follow: "follows WHERE ended_at IS NULL AND", nid.Group: "groups WHERE id = '" + w.groupLin.UUID() + "' AND", nid.Handover: "handovers WHERE state = 'DRAFT' AND",
		nid.Transfer: "transfers WHERE", nid.RuleSet: "rule_sets WHERE", nid.Role: "roles WHERE NOT built_in AND", nid.Grant: "grants WHERE member_id = '" + w.kim.UUID() + "' AND",
		nid.ReviewItem: "review_items WHERE", nid.Token: "service_tokens WHERE", nid.Policy: "data_policies WHERE", nid.LeakFinding: "leak_findings WHERE",
		nid.Webhook: "webhooks WHERE", nid.Provider: "identity_providers WHERE", nid.Session: "sessions WHERE", nid.Passkey: "passkeys WHERE", nid.Change: "pending_changes WHERE",
		nid.HistoryGrant: "history_grants WHERE", delivery: "webhook_deliveries WHERE",
	} {
		if out[k] = testcorp.Value[nid.ID](w.Corp, `SELECT id FROM `+table+` corp_id = $1 ORDER BY id LIMIT 1`, w.ID); out[k].IsZero() {
			t.Fatalf("%s has nothing of %s", w.ID, table)
		}
	}
	return out
}

// fail makes a handover one that has failed.
func (w *world) fail(id nid.ID) {
	err := w.DB.Tx(store.System(context.Background(), w.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		for _, q := range []struct{ table, set string }{
			{"transfers", `UPDATE transfers SET status = 'FAILED', reason = 'INTERNAL' WHERE corp_id = $1 AND handover_id = $2 RETURNING id`},
			{"handovers", `UPDATE handovers SET state = 'FAILED', failed = total, completed = 0 WHERE corp_id = $1 AND id = $2 RETURNING id`},
		} {
			ids, err := tx.Change(ctx, q.table, q.set, w.ID, id)
			if err != nil {
				return err
			}
			tx.Cover(ids...)
		}
		return nil
	})
	if err != nil {
		w.api.t.Fatal(err)
	}
}

// comparison asks with one id or another.
type comparison struct {
	*world
	own   map[nid.Kind]nid.ID
	admin context.Context
	n     int
}

type outcome struct {
	told, code string
	statements []string
}

// ask gives the id at the spot, in arguments that are right otherwise.
func (c *comparison) ask(t *testing.T, p spot, id nid.ID) outcome {
	t.Helper()
	c.n++
	c.forgetExports()
	var declared, given []string
	variables := map[string]any{}
	for _, a := range p.def.Arguments {
		if a.Name != p.path[0] && (!a.Type.NonNull || a.DefaultValue != nil) {
			continue
		}
		declared = append(declared, "$"+a.Name+": "+a.Type.String())
		given = append(given, a.Name+": $"+a.Name)
		variables[a.Name] = c.value(p, []string{a.Name}, a.Type, id)
	}
	document := fmt.Sprintf("%s(%s) { %s(%s) %s }", strings.ToLower(p.kind), strings.Join(declared, ", "), p.field, strings.Join(given, ", "), selection(p.def.Type, 0))
	got := c.api.ask(c.admin, document, variables)
	out := outcome{told: string(got.Data) + "\n", statements: got.statements}
	for _, e := range got.Errors {
		out.code = e.Extensions.Code + " " + e.Extensions.Field
		out.told += fmt.Sprintf("%s %s %v\n", out.code, e.Message, e.Path)
	}
	own, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	out.told = string(bytes.ReplaceAll([]byte(out.told), own, []byte(`"the id"`)))
	return out
}

// forgetExports makes room: somebody has five at once at most.
func (c *comparison) forgetExports() {
	err := c.DB.Tx(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "exports", `DELETE FROM exports WHERE corp_id = $1 RETURNING id`, c.ID)
		tx.Cover(ids...)
		return err
	})
	if err != nil {
		c.api.t.Fatal(err)
	}
}

// selection asks for what is plain in an answer, and how many there are.
func selection(typ *ast.Type, depth int) string {
	d := served().Types[typ.Name()]
	if d.IsLeafType() {
		return ""
	}
	out := "{ __typename "
	for _, f := range d.Fields {
		plain := served().Types[f.Type.Name()].IsLeafType()
		switch {
		case len(f.Arguments) > 0 || slices.Contains([]string{"digest", "secret", "token"}, f.Name):
		case plain && (f.Type.Name() != "ID" || depth == 0):
			out += f.Name + " "
		case !plain && depth == 0 && f.Name != "handover":
			out += f.Name + " " + selection(f.Type, depth+1) + " "
		}
	}
	return out + "}"
}

// value makes an argument: what must be there, and what is on the way to the spot.
func (c *comparison) value(p spot, at []string, typ *ast.Type, id nid.ID) any {
	here := len(at) == len(p.path) && slices.Equal(at, p.path)
	if typ.Elem != nil {
		return []any{c.value(p, at, typ.Elem, id)}
	}
	d := served().Types[typ.NamedType]
	switch {
	case here:
		return idText(id)
	case d.Name == "ID":
		if at[len(at)-1] == "leaverId" {
			return c.sun.String()
		}
		k, _ := kindOf(spot{p.kind, p.field, p.def, at})
		if k == nid.Handover && p.field == "retryTransfers" {
			return c.handedSales.String()
		}
		return idText(c.own[k])
	case d.Kind == ast.Enum:
		return c.word(p, at, d)
	case d.Kind != ast.InputObject:
		return c.plain(at[len(at)-1], d.Name)
	}
	out := map[string]any{}
	for _, f := range d.Fields {
		next := append(slices.Clone(at), f.Name)
		towards := len(next) <= len(p.path) && slices.Equal(next, p.path[:len(next)])
		if towards || c.needed(p, next, f) {
			out[f.Name] = c.value(p, next, f.Type, id)
		}
	}
	return out
}

func idText(id nid.ID) string {
	if id.Kind() == 0 {
		return id.UUID()
	}
	return id.String()
}
