package graph

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

var dataPolicies = tableOf("data_policies", nid.Policy, func(v *ent.DataPolicy) nid.ID { return v.ID },
	func(c *ent.Client) *ent.DataPolicyQuery { return c.DataPolicy.Query() })

// atWork is the condition that members are at work.
const atWork = "members.status IN ('ACTIVE', 'LEAVING') AND members.archived_at IS NULL"

func listPolicies(ctx context.Context, s span) (*model.DataPolicyConnection, error) {
	var w store.Where
	w.And("data_policies.ended_at IS NULL")
	return page(ctx, dataPolicies, &w, byAge[*ent.DataPolicy](), s)
}

type (
	acksOf   struct{}
	myAcksOf struct{}
)

// acks are how many have acknowledged a revision, and how many have not.
type acks struct{ done, outstanding int }

func acknowledgements(ctx context.Context, p *ent.DataPolicy) (acks, error) {
	found, err := siblings.Load(ctx, p, acksOf{}, func(ctx context.Context, rows []*ent.DataPolicy) (map[nid.ID]acks, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		all, _, err := store.SelectOne(ctx, q, func(n *int) []any { return []any{n} },
			`SELECT COUNT(*) FROM members WHERE members.corp_id = $1 AND `+atWork, corpOf(ctx))
		if err != nil {
			return nil, err
		}
		type count struct {
			of nid.ID
			n  int
		}
		counts, err := store.Select(ctx, q, func(c *count) []any { return []any{&c.of, &c.n} }, `SELECT pa.policy_id, COUNT(*)
			FROM policy_acknowledgements AS pa JOIN members ON members.corp_id = pa.corp_id AND members.id = pa.member_id
			WHERE pa.corp_id = $1 AND pa.policy_id `+q.DB().In(2)+` AND `+atWork+` GROUP BY pa.policy_id`, corpOf(ctx), q.DB().IDs(idsOf(rows, dataPolicies.id)))
		done := map[nid.ID]int{}
		for _, c := range counts {
			done[c.of] = c.n
		}
		out := make(map[nid.ID]acks, len(rows))
		for _, p := range rows {
			a := acks{done: done[p.ID]}
			if p.EndedAt == nil {
				a.outstanding = all - a.done
			}
			out[p.ID] = a
		}
		return out, err
	})
	return found[p.ID], err
}

// acknowledgedAt is when the viewer acknowledged a revision.
func acknowledgedAt(ctx context.Context, p *ent.DataPolicy) (*time.Time, error) {
	actor := access.From(ctx)
	if actor.Kind != access.Person {
		return nil, nil
	}
	found, err := siblings.Load(ctx, p, myAcksOf{}, func(ctx context.Context, rows []*ent.DataPolicy) (map[nid.ID]*time.Time, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		type ack struct {
			of nid.ID
			at time.Time
		}
		mine, err := store.Select(ctx, q, func(a *ack) []any { return []any{&a.of, &a.at} }, `SELECT policy_id, at FROM policy_acknowledgements
			WHERE corp_id = $1 AND member_id = $2 AND policy_id `+q.DB().In(3), actor.Corp, actor.ID, q.DB().IDs(idsOf(rows, dataPolicies.id)))
		out := make(map[nid.ID]*time.Time, len(mine))
		for _, a := range mine {
			at := a.at.UTC()
			out[a.of] = &at
		}
		return out, err
	})
	return found[p.ID], err
}

// lacking is how members hang on the policies in force that they have not acknowledged.
var lacking = branch{
	field: "outstandingMembers",
	from: `members JOIN data_policies AS op ON op.corp_id = members.corp_id AND op.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM policy_acknowledgements AS pa
		WHERE pa.corp_id = members.corp_id AND pa.policy_id = op.id AND pa.member_id = members.id)`,
	parent: "op.id",
	of: `EXISTS (SELECT 1 FROM data_policies AS op WHERE op.corp_id = members.corp_id AND op.id = ? AND op.ended_at IS NULL AND NOT EXISTS (SELECT 1
		FROM policy_acknowledgements AS pa WHERE pa.corp_id = members.corp_id AND pa.policy_id = op.id AND pa.member_id = members.id))`,
}

func outstandingMembers(ctx context.Context, p *ent.DataPolicy, s span) (*model.MemberConnection, error) {
	var w store.Where
	w.And(atWork)
	if condition, args := rule.InScope(access.From(ctx), "members.corp_id", "members.id", access.ManagePolicies, access.ReadAuditLog); condition != "" {
		w.And(condition, args...)
	}
	return nested(ctx, p, dataPolicies.id, lacking, members, &w, byAge[*ent.Member](), s)
}

func dataPolicyOf(ctx context.Context, id nid.ID) (*ent.DataPolicy, error) {
	return reread(ctx, func(c *ent.Client) (*ent.DataPolicy, error) { return c.DataPolicy.Get(ctx, id) })
}
