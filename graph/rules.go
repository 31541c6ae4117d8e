package graph

import (
	"context"
	"encoding/json"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/handover"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/siblings"
)

// rulesOf gives a set's rules, joined with those of its siblings so that their
// members are read together.
func rulesOf(ctx context.Context, set *ent.RuleSet) ([]*model.Rule, error) {
	by, err := siblings.Load(ctx, set, oneOf{"rules"}, func(_ context.Context, sets []*ent.RuleSet) (map[nid.ID][]*model.Rule, error) {
		out := map[nid.ID][]*model.Rule{}
		var all []*model.Rule
		for _, s := range sets {
			var rules []rule.Rule
			if err := json.Unmarshal(s.Rules, &rules); err != nil {
				return nil, err
			}
			out[s.ID] = []*model.Rule{}
			for _, r := range rules {
				m := &model.Rule{Rule: r}
				out[s.ID], all = append(out[s.ID], m), append(all, m)
			}
		}
		siblings.Join(all)
		return out, nil
	})
	return by[set.ID], err
}

// namedBy gives what a rule names, in its order; what is archived is left out.
func namedBy[T siblings.Row](ctx context.Context, r *model.Rule, field string, t *table[T], ids func(*model.Rule) []nid.ID) ([]T, error) {
	found, err := siblings.Load(ctx, r, oneOf{field}, func(ctx context.Context, rules []*model.Rule) (map[nid.ID]T, error) {
		var all []nid.ID
		for _, r := range rules {
			all = append(all, ids(r)...)
		}
		return t.byID(ctx, all...)
	})
	out := make([]T, 0, len(ids(r)))
	for _, id := range ids(r) {
		if v, ok := found[id]; ok {
			out = append(out, v)
		}
	}
	return out, err
}

// givenDays gives what is absent as 0, and a 0 as a number that is refused.
func givenDays(n *int) int {
	switch {
	case n == nil:
		return 0
	case *n == 0:
		return -1
	}
	return *n
}

// ruleHistory gives what a rule set stores of a history scope the shape of the API.
func ruleHistory(set *ent.RuleSet) (*model.RuleSetHistory, error) {
	h, err := rule.ReadHistory(set.History)
	if err != nil || h == nil {
		return nil, err
	}
	out := &model.RuleSetHistory{Mode: handover.HistoryMode(h.Mode)}
	if h.Days > 0 {
		out.Days = &h.Days
	}
	if h.ExpiresAfter > 0 {
		out.ExpiresAfterDays = &h.ExpiresAfter
	}
	return out, nil
}

// ruleInput gives what the API takes the shape of the use case.
func ruleInput(in model.SaveRuleSetInput) rule.Input {
	out := rule.Input{ID: in.ID, Version: in.Version, Name: in.Name, Fallback: in.FallbackID, Automatic: in.Automatic,
		Department: in.DepartmentID, Message: in.Message}
	if h := in.History; h != nil {
		out.History = &rule.History{Mode: string(h.Mode), Days: givenDays(h.Days), ExpiresAfter: givenDays(h.ExpiresAfterDays)}
	}
	for _, r := range in.Rules {
		one := rule.Rule{Tags: r.Tags, Departments: r.DepartmentIds, AddWay: r.AddWay, Method: r.Method, Members: r.MemberIds, Weights: r.Weights}
		if r.Importance != nil {
			one.Importance = string(*r.Importance)
		}
		for _, k := range r.Kinds {
			one.Kinds = append(one.Kinds, rule.Kind(k))
		}
		out.Rules = append(out.Rules, one)
	}
	return out
}
