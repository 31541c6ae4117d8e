package identity

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Patience is how long an action that needs two people waits for the second one, and
// the shortest time for which a reset makes two accounts one pair of hands.
const Patience = 72 * time.Hour

// Responsible is the responsible person of what an actor plans: the person themselves,
// and for a service token the member who made it. It is zero for the system, and for a
// token made at the machine.
func Responsible(ctx context.Context, q store.Querier, a *access.Actor) (nid.ID, error) {
	switch a.Kind {
	case access.Person:
		return a.ID, nil
	case access.Token:
		maker, _, err := store.SelectOne(ctx, q, func(id *nid.ID) []any { return []any{id} },
			`SELECT created_by_id FROM service_tokens WHERE corp_id = $1 AND id = $2`, a.Corp, a.ID)
		return maker, err
	}
	return nid.ID{}, nil
}

// Hands has, for each member, all accounts that could have acted as that member; the
// member is one of them.
type Hands map[nid.ID]map[nid.ID]bool

// Apart reports whether two members are two pairs of hands: nobody could have acted as
// both of them.
func (h Hands) Apart(a, b nid.ID) bool {
	for id := range h[a] {
		if h[b][id] {
			return false
		}
	}
	return true
}

// TwoHands demands that a member and each of the others are two pairs of hands (see
// HandsOf); FORBIDDEN otherwise. The member and the zero id among the others are
// passed over.
func TwoHands(ctx context.Context, tx *store.Tx, member nid.ID, others ...nid.ID) error {
	hands, err := HandsOf(ctx, tx, append([]nid.ID{member}, others...)...)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other != member && !hands.Apart(member, other) {
			return OneHand()
		}
	}
	return nil
}

// OneHand is the FORBIDDEN fault for an account that is not independent of another.
func OneHand() *fault.Error {
	return fault.Denied("this account is not independent of another one that takes part: one of them reset the other's password or authenticators, or set up the identity provider "+
		"through which the other was linked, or the same person did so for both. A third person has to do this. "+
		"The restriction ends after 72 hours, when the member concerned has also changed the password and enrolled an authenticator or passkey themselves",
		"此账号与另一参与者的账号不相互独立：其中一方重置过另一方的密码或身份验证器，或设置了另一方关联所用的身份提供方，或双方均由同一人经手。须由第三人完成此操作。"+
			"满 72 小时且相关成员已自行修改密码并绑定身份验证器或通行密钥后，此限制解除")
}

// HandsOf finds out from the log who could have acted as the members. Somebody could
// have acted as a member whom they gave access to, that is,
//
//   - whose password or authenticators they reset, or
//   - who was linked through an identity provider that they had saved or switched on,
//     where the provider was last saved within Patience before the link; all who saved
//     it before the link count, since one may write it down and another switch it on; or
//   - who was linked by a claim, within Patience after a service token of theirs had made
//     the member or said what the claim is compared with.
//
// Somebody who could have acted as that person could have acted as the member too,
// whether they could do so when access was given or now: going through a second account
// does not shorten the time in which its owner can notice. Access ends when Patience has
// passed and the member has changed the password and enrolled a factor themselves since.
//
// The log keeps all of this and forgets nothing, also what was unlinked or deleted
// later. It is read by the index audit_entries_hands: one statement for each step from
// member to member, in most cases one, and one more for each link by a claim.
func HandsOf(ctx context.Context, tx *store.Tx, members ...nid.ID) (Hands, error) {
	p := past{accounts: map[nid.ID]*custody{}}
	now := moment{math.MaxInt64, tx.Now()}
	type key struct {
		member, account nid.ID
		index           int64
	}
	out, seen := Hands{}, map[key]bool{}
	var next []visit
	add := func(v visit) {
		if k := (key{v.member, v.account, v.at.index}); !seen[k] {
			seen[k] = true
			out[v.member][v.account] = true
			next = append(next, v)
		}
	}
	for _, m := range members {
		if !m.IsZero() && out[m] == nil {
			out[m] = map[nid.ID]bool{}
			add(visit{m, m, now})
		}
	}
	for len(next) > 0 {
		visits := next
		next = nil
		if err := p.load(ctx, tx, visits); err != nil {
			return nil, err
		}
		for _, v := range visits {
			a := p.accounts[v.account]
			for _, g := range a.given {
				if g.since.index <= v.at.index && !a.ended(g, v.at) {
					add(visit{v.member, g.by, g.acted})
					add(visit{v.member, g.by, v.at})
				}
			}
		}
	}
	return out, nil
}

// moment is a place in the log and its time.
type moment struct {
	index int64
	at    time.Time
}

// visit asks who could have acted as the account at a moment, on behalf of a member.
type visit struct {
	member, account nid.ID
	at              moment
}

// custody is what the log has of who held one member's account.
type custody struct {
	given              []holding
	passwords, factors []int64 // what the member set themselves: places in the log
}

// holding is access that somebody gave, and by that had, to an account.
type holding struct {
	by    nid.ID
	acted moment // when they did what gave it
	since moment
}

// ended reports whether the member had the account back at a moment.
func (a *custody) ended(g holding, at moment) bool {
	own := func(places []int64) bool {
		return slices.ContainsFunc(places, func(i int64) bool { return g.since.index < i && i <= at.index })
	}
	return !at.at.Before(g.since.at.Add(Patience)) && own(a.passwords) && own(a.factors)
}

// past is the part of the log that was read.
type past struct {
	accounts map[nid.ID]*custody
	saves    []save // of identity providers, in order; nil: not read
}

type save struct {
	moment
	provider, by nid.ID
}

// load reads what the log has of accounts that were not read yet.
func (p *past) load(ctx context.Context, tx *store.Tx, visits []visit) error {
	var ids []nid.ID
	for _, v := range visits {
		if p.accounts[v.account] == nil {
			p.accounts[v.account] = &custody{}
			ids = append(ids, v.account)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	type row struct {
		moment
		of, by nid.ID
		action access.Action
		leaf   []byte
	}
	// The list of actions is that of the index, to the letter: it is used only so.
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.of, &r.by, &r.action, &r.index, &r.at, &r.leaf} }, `
		SELECT subject_id, actor_id, action, "index", at, CASE WHEN action = 'identity.link' THEN leaf END FROM audit_entries
		WHERE corp_id = $1 AND subject_id `+tx.DB().In(2)+` AND actor_id IS NOT NULL
		  AND action IN ('credential.reset', 'credential.set', 'credential.enrol', 'identity.link') ORDER BY "index"`, tx.Corp(), tx.DB().IDs(ids))
	if err != nil {
		return err
	}
	for _, r := range rows {
		a := p.accounts[r.of]
		switch {
		case r.action == access.CredentialReset:
			a.given = append(a.given, holding{r.by, r.moment, r.moment})
		case r.action == access.CredentialSet && r.by == r.of:
			a.passwords = append(a.passwords, r.index)
		case r.action == access.CredentialEnrol && r.by == r.of:
			a.factors = append(a.factors, r.index)
		case r.action == access.IdentityLink:
			given, err := p.linked(ctx, tx, r.of, r.moment, r.leaf)
			if err != nil {
				return err
			}
			a.given = append(a.given, given...)
		}
	}
	return nil
}

// linked is the access that those who set a provider up, and those whose tokens said who
// the member is, had by a link.
func (p *past) linked(ctx context.Context, tx *store.Tx, member nid.ID, link moment, leaf []byte) ([]holding, error) {
	var entry struct {
		After struct {
			Provider string `json:"provider"`
			Own      bool   `json:"own"`
		} `json:"after"`
	}
	if err := json.Unmarshal(leaf, &entry); err != nil {
		return nil, err
	}
	provider, err := nid.Parse(entry.After.Provider)
	if err != nil {
		return nil, err
	}
	out, err := p.connected(ctx, tx, provider, link)
	if err != nil || entry.After.Own { // they had proven otherwise who they are
		return out, err
	}
	named, err := named(ctx, tx, member, link)
	return append(out, named...), err
}

// connected is the access of those who set the provider of a link up.
func (p *past) connected(ctx context.Context, tx *store.Tx, provider nid.ID, link moment) (out []holding, err error) {
	if p.saves == nil {
		if p.saves, err = store.Select(ctx, tx, func(s *save) []any { return []any{&s.provider, &s.by, &s.index, &s.at} }, `
			SELECT subject_id, actor_id, "index", at FROM audit_entries WHERE corp_id = $1 AND action = $2 AND actor_id IS NOT NULL ORDER BY "index"`,
			tx.Corp(), string(access.ProviderSave)); err != nil {
			return nil, err
		}
	}
	last := time.Time{}
	for _, s := range p.saves {
		if s.provider == provider && s.index < link.index {
			out = append(out, holding{s.by, s.moment, link})
			last = s.at
		}
	}
	if !last.Add(Patience).After(link.at) {
		return nil, nil // the corp has had time to look at it
	}
	return out, nil
}

// named is the access of those whose service tokens made the member, or changed what a
// claim is compared with, within Patience before a link.
func named(ctx context.Context, tx *store.Tx, member nid.ID, link moment) (out []holding, err error) {
	type row struct {
		moment
		by   nid.ID
		leaf []byte
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.by, &r.index, &r.at, &r.leaf} }, `
		SELECT t.created_by_id, e."index", e.at, e.leaf FROM audit_entries AS e JOIN service_tokens AS t ON t.corp_id = e.corp_id AND t.id = e.actor_id
		WHERE e.corp_id = $1 AND e.subject_id = $2 AND e.action IN ('member.create', 'member.update') AND e."index" < $3 AND e.at > $4
		  AND t.created_by_id IS NOT NULL ORDER BY e."index"`, tx.Corp(), member, link.index, link.at.Add(-Patience))
	for _, r := range rows {
		var entry struct {
			After map[string]json.RawMessage `json:"after"`
		}
		if err := json.Unmarshal(r.leaf, &entry); err != nil {
			return nil, err
		}
		if entry.After["userName"] != nil || entry.After["externalId"] != nil {
			out = append(out, holding{r.by, r.moment, link})
		}
	}
	return out, err
}
