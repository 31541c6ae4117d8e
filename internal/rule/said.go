package rule

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/nid"
)

// An entry of the audit log has room for both sets, before and after, of up to longSet
// each. In one that is longer every rule over longRule is told by its sizes and its
// SHA-256, which maxRules of them keep within longSet.
const (
	longSet  = 100_000
	longRule = longSet / maxRules
)

// said is the set as the audit log keeps it; nothing of none.
func said(in *Input) map[string]any {
	if in == nil {
		return nil
	}
	rules, sizes, sum := make([]any, len(in.Rules)), make([]int, len(in.Rules)), 0
	for i := range in.Rules {
		rules[i] = in.Rules[i].said()
		sizes[i] = len(encoded(in.Rules[i].said()))
		sum += sizes[i]
	}
	for i, size := range sizes {
		if sum > longSet && size > longRule {
			rules[i] = in.Rules[i].summary()
		}
	}
	out := map[string]any{"name": in.Name, "rules": rules, "automatic": in.Automatic}
	if in.Fallback != nil {
		out["fallback"] = *in.Fallback
	}
	if in.Department != nil {
		out["department"] = *in.Department
	}
	if h := in.History; h != nil {
		out["history"] = map[string]any{"mode": h.Mode, "days": h.Days, "expiresAfter": h.ExpiresAfter}
	}
	return out
}

func (r *Rule) said() map[string]any {
	same, kind := func(s string) string { return s }, func(k Kind) string { return string(k) }
	number := func(n int) int { return n }
	return map[string]any{"method": string(r.Method), "members": list(r.Members, nid.ID.String), "departments": list(r.Departments, nid.ID.String),
		"kinds": list(r.Kinds, kind), "importance": r.Importance, "tags": list(r.Tags, same), "addWay": list(r.AddWay, number), "weights": list(r.Weights, number)}
}

// summary tells a long rule. Its digest is of what said gives, as canonical JSON.
func (r *Rule) summary() map[string]any {
	sum := sha256.Sum256(encoded(r.said()))
	return map[string]any{"method": string(r.Method), "members": len(r.Members), "departments": len(r.Departments), "tags": len(r.Tags),
		"sha256": hex.EncodeToString(sum[:])}
}

func encoded(rule map[string]any) []byte {
	b, _ := canon.Marshal(rule) // texts and small numbers can be written
	return b
}

func list[T, U any](from []T, as func(T) U) []any {
	out := make([]any, len(from))
	for i, v := range from {
		out[i] = as(v)
	}
	return out
}
