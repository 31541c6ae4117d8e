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
}

// Sizes of a rule set, beyond which it is INVALID.
const (
	maxRules       = 50
	maxMembers     = 200
	maxDepartments = 200
	maxTags        = 20
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
		if i > 0 && in.Rules[i-1].Unconditional() {
			bad(fmt.Sprintf("rules.%d", i), "it is never reached: the rule before it has no condition", "该规则不会生效:前一条规则没有条件")
		}
	}
	return l.Err()
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
		name      string
		rules     []byte
		fallback  nid.ID
		automatic bool
		version   int
	}
	was, ok, err := store.SelectOne(ctx, tx, func(r *row) []any { return []any{&r.name, &r.rules, &r.fallback, &r.automatic, &r.version} },
		`SELECT name, rules, fallback_id, automatic, version FROM rule_sets WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), *in.ID)
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
	if err := json.Unmarshal(was.rules, &old.Rules); err != nil {
		return nil, err
	}
	return old, nil
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
	var fallback nid.ID
	if in.Fallback != nil {
		fallback = *in.Fallback
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
	query := `INSERT INTO rule_sets (id, corp_id, created_at, version, updated_at, name, rules, fallback_id, automatic) VALUES ($2, $1, $3, 1, $3, $4, $5, $6, $7) RETURNING id`
	if in.ID != nil {
		query = `UPDATE rule_sets SET version = version + 1, updated_at = $3, name = $4, rules = $5, fallback_id = $6, automatic = $7 WHERE corp_id = $1 AND id = $2 RETURNING id`
	}
	_, err = tx.Change(ctx, "rule_sets", query, tx.Corp(), id, tx.Now(), in.Name, string(rules), fallback, in.Automatic)
	return id, err
}

// Load reads a rule set with its name; false: there is none.
func Load(ctx context.Context, q store.Querier, id nid.ID) (Set, string, bool, error) {
	sets, names, err := read(ctx, q, `id = $2`, id)
	if err != nil || len(sets) == 0 {
		return Set{}, "", false, err
	}
	return sets[0], names[0], true, nil
}

// Automatic lists the sets that plan by themselves when a member departs, oldest
// first: the first of them plans.
func Automatic(ctx context.Context, q store.Querier) ([]Set, error) {
	sets, _, err := read(ctx, q, `automatic = $2`, true)
	return sets, err
}

func read(ctx context.Context, q store.Querier, condition string, arg any) (sets []Set, names []string, err error) {
	type row struct {
		Set
		name  string
		rules []byte
	}
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.ID, &r.name, &r.rules, &r.Fallback} },
		`SELECT id, name, rules, fallback_id FROM rule_sets WHERE corp_id = $1 AND `+condition+` ORDER BY created_at, id`, access.From(ctx).Corp, arg)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if err := json.Unmarshal(r.rules, &r.Rules); err != nil {
			return nil, nil, err
		}
		sets, names = append(sets, r.Set), append(names, r.name)
	}
	return sets, names, nil
}
