package rule

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of rule sets.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// Input is a rule set as somebody gives it.
type Input struct {
	ID        *nid.ID // nil: a new one
	Version   *int    // what the caller saw, with ID
	Name      string
	Rules     []Rule
	Fallback  *nid.ID
	Automatic bool
	// Department is whose leavers the set plans for by itself, with the departments below;
	// nil: the corp's.
	Department *nid.ID
	History    *History
	Message    *string
}

// Sizes of a rule set, beyond which it is INVALID.
const (
	maxRules       = 50
	maxMembers     = 200
	maxDepartments = 200
	maxTags        = 20
	maxDays        = 3650
)

// Save creates or changes a rule set. It needs MANAGE_RULES over the whole corp and a
// fresh proof of identity, since rules decide who gets customers. Plans made before
// keep what the rules said then. Fails with FORBIDDEN, STEP_UP_REQUIRED, INVALID
// naming the field, NOT_FOUND for an unknown set, member or department, CONFLICT for a
// stale version or a name that another set has.
func (s *Service) Save(ctx context.Context, in Input) (id nid.ID, err error) {
	err = s.Log.Tx(ctx, s.DB, access.RuleSetSave, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Scope(access.ManageRules).All {
			return fault.Denied("you may not change rules", "您无权更改规则")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		before, err := in.before(ctx, tx)
		if err != nil {
			return err
		}
		if err := in.known(ctx, tx); err != nil {
			return err
		}
		if id, err = in.write(ctx, tx); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.RuleSetSave, Subject: id, Before: said(before), After: said(&in)})
	})
	return id, err
}

func (in *Input) check() error {
	var l fault.List
	bad := func(field, en, zh string, args ...any) {
		l = append(l, fault.Bad("input."+field, en, zh, args...))
	}
	if problem, ok := name.Check(in.Name); !ok {
		l = append(l, fault.New(fault.Invalid, "input.name", problem))
	}
	if (in.ID == nil) != (in.Version == nil) {
		bad("version", "a version goes with the id of a rule set that exists", "version 需与已有规则集的 id 一起提供")
	}
	if len(in.Rules) > maxRules {
		bad("rules", "at most %d rules", "最多 %d 条规则", maxRules)
		return l.Err()
	}
	if len(in.Rules) == 0 && in.Fallback == nil {
		bad("rules", "give at least one rule or a fallback", "请至少提供一条规则或兜底成员")
	}
	for i, r := range in.Rules {
		r.check(func(field, en, zh string, args ...any) { bad(fmt.Sprintf("rules.%d.%s", i, field), en, zh, args...) })
	}
	in.History.check(bad)
	if in.Message != nil {
		l = append(l, NoMessage("input.message"))
	}
	return l.Err()
}

// NoMessage refuses a message to customers: no platform carries one yet.
func NoMessage(field string) *fault.Error {
	return fault.Bad(field, "no connected platform can carry a message; leave message out", "尚未接入可以传递消息的平台，请不要填写 message")
}

func (h *History) check(bad func(field, en, zh string, args ...any)) {
	if h == nil {
		return
	}
	switch {
	case h.Mode == "WINDOW" && (h.Days < 1 || h.Days > maxDays):
		bad("history.days", "days must be between 1 and %d with WINDOW", "WINDOW 的 days 必须在 1 到 %d 之间", maxDays)
	case h.Mode != "WINDOW" && h.Days != 0:
		bad("history.days", "days goes with WINDOW only", "仅 WINDOW 可以使用 days")
	case h.Mode == "NONE" && h.ExpiresAfter != 0:
		bad("history.expiresAfterDays", "expiresAfterDays needs a mode other than NONE", "mode 为 NONE 时不能使用 expiresAfterDays")
	case h.ExpiresAfter < 0 || h.ExpiresAfter > maxDays:
		bad("history.expiresAfterDays", "expiresAfterDays must be between 1 and %d", "expiresAfterDays 必须在 1 到 %d 之间", maxDays)
	}
}

func (r *Rule) check(bad func(field, en, zh string, args ...any)) {
	n := len(r.Members)
	switch {
	case !slices.Contains(Methods, r.Method):
		bad("method", "there is no such method", "没有此方法")
	case r.Method == ToMember && n != 1:
		bad("memberIds", "MEMBER needs exactly one member", "MEMBER 需要且只能指定一名成员")
	case (r.Method == Even || r.Method == LeastLoaded || r.Method == Weighted) && n == 0:
		bad("memberIds", "%s needs members to share among", "%s 需要指定成员", r.Method)
	case r.Method == Manager && n > 0:
		bad("memberIds", "MANAGER finds the member by itself", "MANAGER 无需指定成员")
	case n > maxMembers:
		bad("memberIds", "at most %d members", "最多 %d 名成员", maxMembers)
	case r.Method == Weighted && len(r.Weights) != n:
		bad("weights", "WEIGHTED needs one weight for each member", "WEIGHTED 需要为每位成员提供一个权重")
	case r.Method != Weighted && len(r.Weights) > 0:
		bad("weights", "weights go with WEIGHTED only", "仅 WEIGHTED 可以使用权重")
	}
	seen := map[nid.ID]bool{}
	for i, m := range r.Members {
		if seen[m] {
			bad(fmt.Sprintf("memberIds.%d", i), "a member is named twice", "成员重复")
		}
		seen[m] = true
	}
	for i, w := range r.Weights {
		if w < 1 || w > 1000 {
			bad(fmt.Sprintf("weights.%d", i), "a weight is from 1 to 1000", "权重范围为 1 到 1000")
		}
	}
	if len(r.Departments) > maxDepartments {
		bad("departmentIds", "at most %d departments", "最多 %d 个部门", maxDepartments)
	}
	if len(r.Tags) > maxTags {
		bad("tags", "at most %d tags", "最多 %d 个标签", maxTags)
	}
	for i, t := range r.Tags {
		if _, ok := name.Check(t); !ok {
			bad(fmt.Sprintf("tags.%d", i), "this is not a tag", "不是有效的标签")
		}
	}
}

// before locks the set that is changed and gives what it was; nil: it is new.
func (in *Input) before(ctx context.Context, tx *store.Tx) (*Input, error) {
	if in.ID == nil {
		return nil, nil
	}
	type row struct {
		name                 string
		rules, history       []byte
		fallback, department nid.ID
		automatic            bool
		version              int
	}
	was, ok, err := store.SelectOne(ctx, tx, func(r *row) []any {
		return []any{&r.name, &r.rules, &r.fallback, &r.automatic, &r.version, &r.department, &r.history}
	},
		`SELECT name, rules, fallback_id, automatic, version, department_id, history FROM rule_sets
		WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), *in.ID)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fault.Missing("input.id")
	case was.version != *in.Version:
		return nil, fault.Stale("input.version", was.version)
	}
	old := &Input{Name: was.name, Automatic: was.automatic}
	if !was.fallback.IsZero() {
		old.Fallback = &was.fallback
	}
	if !was.department.IsZero() {
		old.Department = &was.department
	}
	if err := json.Unmarshal(was.rules, &old.Rules); err != nil {
		return nil, err
	}
	old.History, err = ReadHistory(was.history)
	return old, err
}

// known finds the first member or department that is not the corp's.
func (in *Input) known(ctx context.Context, tx *store.Tx) error {
	var members, departments []named
	for i, r := range in.Rules {
		for j, m := range r.Members {
			members = append(members, named{m, fmt.Sprintf("input.rules.%d.memberIds.%d", i, j)})
		}
		for j, d := range r.Departments {
			departments = append(departments, named{d, fmt.Sprintf("input.rules.%d.departmentIds.%d", i, j)})
		}
	}
	if in.Fallback != nil {
		members = append(members, named{*in.Fallback, "input.fallbackId"})
	}
	if in.Department != nil {
		departments = append(departments, named{*in.Department, "input.departmentId"})
	}
	if err := allOf(ctx, tx, "members", members); err != nil {
		return err
	}
	return allOf(ctx, tx, "departments", departments)
}

// named is an id with the field that names it.
type named struct {
	id    nid.ID
	field string
}

func allOf(ctx context.Context, tx *store.Tx, table string, names []named) error {
	ids := make([]nid.ID, len(names))
	for i, n := range names {
		ids[i] = n.id
	}
	found, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM `+table+` WHERE corp_id = $1 AND archived_at IS NULL AND id `+tx.DB().In(2), tx.Corp(), tx.DB().IDs(ids))
	if err != nil {
		return err
	}
	there := make(map[nid.ID]bool, len(found))
	for _, id := range found {
		there[id] = true
	}
	for _, n := range names {
		if !there[n.id] {
			return fault.Missing(n.field)
		}
	}
	return nil
}

func (in *Input) write(ctx context.Context, tx *store.Tx) (nid.ID, error) {
	rules, err := json.Marshal(in.Rules)
	if err != nil {
		return nid.ID{}, err
	}
	var history any
	if in.History != nil {
		b, err := json.Marshal(in.History)
		if err != nil {
			return nid.ID{}, err
		}
		history = string(b)
	}
	var fallback, department nid.ID
	if in.Fallback != nil {
		fallback = *in.Fallback
	}
	if in.Department != nil {
		department = *in.Department
	}
	id := tx.NewID(nid.RuleSet)
	if in.ID != nil {
		id = *in.ID
	}
	_, taken, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM rule_sets WHERE corp_id = $1 AND name = $2 AND id <> $3`, tx.Corp(), in.Name, id)
	if err != nil {
		return id, err
	}
	if taken {
		return id, fault.Clash("input.name", "another rule set has this name", "已有同名规则集")
	}
	query := `INSERT INTO rule_sets (id, corp_id, created_at, version, updated_at, name, rules, fallback_id, automatic, department_id, history)
		VALUES ($2, $1, $3, 1, $3, $4, $5, $6, $7, $8, $9) RETURNING id`
	if in.ID != nil {
		query = `UPDATE rule_sets SET version = version + 1, updated_at = $3, name = $4, rules = $5, fallback_id = $6, automatic = $7,
			department_id = $8, history = $9 WHERE corp_id = $1 AND id = $2 RETURNING id`
	}
	_, err = tx.Change(ctx, "rule_sets", query, tx.Corp(), id, tx.Now(), in.Name, string(rules), fallback, in.Automatic, department, history)
	return id, err
}

// Load reads a rule set with its name; false: there is none.
func Load(ctx context.Context, q store.Querier, id nid.ID) (Set, string, bool, error) {
	return read(ctx, q, `WHERE r.corp_id = $1 AND r.id = $2`, id)
}

// Automatic gives the set that plans by itself when this leaver departs: of those for
// the leaver's departments, with all above, the one of the nearest; then one for the
// whole corp; of several the oldest. False: there is none.
func Automatic(ctx context.Context, q store.Querier, leaver nid.ID) (Set, bool, error) {
	set, _, ok, err := read(ctx, q, `LEFT JOIN member_departments AS md ON md.corp_id = r.corp_id AND md.member_id = $2 AND r.department_id IS NOT NULL
		LEFT JOIN department_closure AS dc ON dc.corp_id = r.corp_id AND dc.descendant_id = md.department_id AND dc.ancestor_id = r.department_id
		WHERE r.corp_id = $1 AND r.automatic AND (r.department_id IS NULL OR dc.depth IS NOT NULL)
		ORDER BY CASE WHEN dc.depth IS NULL THEN 1 ELSE 0 END, dc.depth, md.position, r.created_at, r.id LIMIT 1`, leaver)
	return set, ok, err
}

func read(ctx context.Context, q store.Querier, which string, arg any) (set Set, title string, ok bool, err error) {
	type row struct {
		Set
		name           string
		rules, history []byte
	}
	r, ok, err := store.SelectOne(ctx, q, func(r *row) []any { return []any{&r.ID, &r.name, &r.rules, &r.Fallback, &r.history} },
		`SELECT r.id, r.name, r.rules, r.fallback_id, r.history FROM rule_sets AS r `+which, access.From(ctx).Corp, arg)
	if err != nil || !ok {
		return Set{}, "", false, err
	}
	if err := json.Unmarshal(r.rules, &r.Rules); err != nil {
		return Set{}, "", false, err
	}
	r.History, err = ReadHistory(r.history)
	return r.Set, r.name, true, err
}

// ReadHistory reads what a rule set stores; nil: nothing.
func ReadHistory(stored []byte) (h *History, err error) {
	if stored != nil {
		err = json.Unmarshal(stored, &h)
	}
	return h, err
}
