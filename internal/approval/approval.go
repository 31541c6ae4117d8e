// Package approval is dual control: which plans need somebody else's consent, how
// much of it, and which votes count.
package approval

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Policy is a corp's approval policy.
type Policy struct {
	// Above is the number of transfers beyond which approval is needed; nil: no threshold.
	Above *int
	// KeyContacts: a plan that moves a KEY contact needs approval.
	KeyContacts bool
	// Approvals is how many votes a plan needs that needs any.
	Approvals    int
	ExpiresAfter time.Duration
	Version      int
	// Earlier are the policies that still count beside this one: those that were replaced
	// within Window. Load reads them.
	Earlier []Earlier
}

// ExpiresAfterHours is ExpiresAfter in hours.
func (p Policy) ExpiresAfterHours() int { return int(p.ExpiresAfter / time.Hour) }

// Earlier is a policy that was replaced and still counts.
type Earlier struct {
	Policy
	// Until is when it no longer counts.
	Until time.Time
}

// Load reads the corp's policy with what still counts of the last 24 hours. No plan needs
// less than it would have needed at any time within them, and votes expire as early.
func Load(ctx context.Context, q store.Querier) (Policy, error) {
	type both struct{ now, was row }
	rows, err := store.Select(ctx, q, func(b *both) []any { return append(b.now.dest(), append(b.was.dest(), &b.was.ended)...) }, `
		SELECT p.version, p.above, p.key_contacts, p.approvals, p.expires_after_hours,
			h.version, h.above, h.key_contacts, h.approvals, h.expires_after_hours, h.ended_at
		FROM approval_policies AS p LEFT JOIN approval_policy_history AS h ON h.corp_id = p.corp_id AND h.ended_at > $2
		WHERE p.corp_id = $1 ORDER BY h.version DESC`, access.From(ctx).Corp, store.EngineOf(q).Now().Add(-Window))
	if err == nil && len(rows) == 0 {
		err = errNoPolicy
	}
	if err != nil {
		return Policy{}, err
	}
	p := rows[0].now.policy()
	for _, r := range rows {
		if r.was.ended.Valid {
			p.Earlier = append(p.Earlier, Earlier{r.was.policy(), r.was.ended.Time.Add(Window)})
		}
	}
	return p, nil
}

var errNoPolicy = errors.New("approval: the corp has no policy")

// saved reads the corp's policy as it was saved last.
func saved(ctx context.Context, tx *store.Tx, lock string) (Policy, error) {
	r, ok, err := store.SelectOne(ctx, tx, (*row).dest, `SELECT version, above, key_contacts, approvals, expires_after_hours
		FROM approval_policies WHERE corp_id = $1`+lock, tx.Corp())
	if err == nil && !ok {
		err = errNoPolicy
	}
	return r.policy(), err
}

// row is a policy as it is stored.
type row struct {
	version, above, approvals, hours sql.NullInt64
	key                              sql.NullBool
	ended                            sql.NullTime
}

func (r *row) dest() []any { return []any{&r.version, &r.above, &r.key, &r.approvals, &r.hours} }

func (r *row) policy() Policy {
	p := Policy{KeyContacts: r.key.Bool, Approvals: int(r.approvals.Int64), ExpiresAfter: time.Duration(r.hours.Int64) * time.Hour, Version: int(r.version.Int64)}
	if r.above.Valid {
		n := int(r.above.Int64)
		p.Above = &n
	}
	return p
}

// Need is how many votes a plan needs, and why. Reasons are codes with a number,
// "key:9", "above:100", "above24h:100" or "earlier:2026-01-05T09:00:00Z", or without one; Say
// puts them in words.
type Need struct {
	Votes   int
	Reasons []string
}

// Of works out what a plan needs under the policy, and under those that still count.
func (p Policy) Of(total, keyContacts int) Need {
	return p.strictest(func(p Policy) Need { return p.of(total, keyContacts) })
}

// strictest joins what a plan needs under the policy with what it needs under the earlier
// ones. That is exact for each plan, and asks for no more votes than one of the policies
// did: the lowest threshold with the most approvals could be more than anybody ever
// wanted, and more than anybody can give.
func (p Policy) strictest(under func(Policy) Need) Need {
	n := under(p)
	for _, e := range p.Earlier {
		if m := under(e.Policy); m.Votes > n.Votes {
			m.Reasons = append(m.Reasons, "earlier:"+e.Until.UTC().Format(time.RFC3339))
			n = n.Stricter(m)
		}
	}
	return n
}

// Sums reports whether a threshold counts, which is held against the sum of a day.
func (p Policy) Sums() bool {
	return p.Above != nil || slices.ContainsFunc(p.Earlier, func(e Earlier) bool { return e.Above != nil })
}

// Expiry is after how long a vote, and a plan without enough of them, no longer counts:
// the shortest time of the policies that count.
func (p Policy) Expiry() time.Duration {
	shortest := p.ExpiresAfter
	for _, e := range p.Earlier {
		shortest = min(shortest, e.ExpiresAfter)
	}
	return shortest
}

// weakerThan reports whether the policy asks for less in any respect than another one
// does. Approvals and expiry count for every policy, also for one without a rule for key
// contacts and without a threshold: plans that give history ask whatever the rules are.
func (p Policy) weakerThan(was Policy) bool {
	return p.Approvals < was.Approvals || was.KeyContacts && !p.KeyContacts || p.ExpiresAfter > was.ExpiresAfter ||
		was.Above != nil && (p.Above == nil || *p.Above > *was.Above)
}

// of works out what a plan needs under this policy alone.
func (p Policy) of(total, keyContacts int) Need {
	var n Need
	if p.KeyContacts && keyContacts > 0 {
		n.Reasons = append(n.Reasons, fmt.Sprintf("key:%d", keyContacts))
	}
	if p.Above != nil && total > *p.Above {
		n.Reasons = append(n.Reasons, fmt.Sprintf("above:%d", *p.Above))
	}
	if len(n.Reasons) > 0 {
		n.Votes = p.Approvals
	}
	return n
}

// Reasons for approval that lie in the chat history that a plan gives its successors.
const (
	// HistoryActive: of a leaver who is still at work.
	HistoryActive = "history_active"
	// HistorySelf: to one of those who stand behind the plan.
	HistorySelf = "history_self"
)

// Also adds reasons that ask for approval whatever the policy's own rules say.
func (n Need) Also(p Policy, reasons ...string) Need {
	if len(reasons) == 0 {
		return n
	}
	return n.Stricter(p.strictest(func(p Policy) Need { return Need{Votes: p.Approvals, Reasons: slices.Clone(reasons)} }))
}

// Stricter joins two needs: the larger number of votes, and the reasons of both.
func (n Need) Stricter(m Need) Need {
	out := Need{Votes: max(n.Votes, m.Votes), Reasons: slices.Clone(n.Reasons)}
	for _, r := range m.Reasons {
		if !slices.Contains(out.Reasons, r) {
			out.Reasons = append(out.Reasons, r)
		}
	}
	return out
}

// Say puts a reason in words.
func Say(reason string) fault.Text {
	kind, n, _ := strings.Cut(reason, ":")
	switch kind {
	case "earlier":
		return fault.T("an earlier, stricter approval policy counts until %s", "此前更严格的审批策略在 %s 之前仍然有效", n)
	case "key":
		return fault.T("it moves %s contacts that are KEY, or were within 30 days", "涉及 %s 位重要客户（含 30 天内取消标记的客户）", n)
	case "above":
		return fault.T("it moves more than %s contacts and groups", "涉及的客户和客户群超过 %s 个", n)
	case HistoryActive:
		return fault.T("it gives successors the chat history of a member who is still at work", "接替成员将可查看仍在职成员的聊天记录")
	case HistorySelf:
		return fault.T("it gives chat history to somebody who requests or executes it", "发起人或执行人将可查看聊天记录")
	case "above24h":
		return fault.T("together with what the responsible person and the executor have moved within 24 hours it is more than %s contacts and groups",
			"连同方案负责人和执行人 24 小时内的其他交接，涉及的客户和客户群超过 %s 个", n)
	}
	return fault.T("the approval policy asks for it", "审批策略要求")
}

// Required is the APPROVAL_REQUIRED fault: how many votes are needed, how many
// are there, and why.
func (n Need) Required(have int) *fault.Error { return n.Short(have, 0) }

// Short is Required where some votes do not count because their voters are not
// independent of somebody else who takes part.
func (n Need) Short(have, dependent int) *fault.Error {
	en, zh := make([]string, len(n.Reasons)), make([]string, len(n.Reasons))
	for i, r := range n.Reasons {
		en[i], zh[i] = Say(r).EN, Say(r).ZH
	}
	text := fault.Text{
		EN: fmt.Sprintf("this needs %d approval(s) by somebody else and has %d: %s. Create the handover, submit it and have it approved", n.Votes, have, strings.Join(en, "; ")),
		ZH: fmt.Sprintf("此交接需要 %d 次他人审批(已有 %d 次):%s。请创建并提交交接,等待审批", n.Votes, have, strings.Join(zh, ";")),
	}
	out := fault.New(fault.ApprovalRequired, "", text).With("approvalsRequired", n.Votes).With("approvals", have).With("approvalReasons", n.Reasons)
	if dependent == 0 {
		return out
	}
	out.Text.EN += fmt.Sprintf(". %d vote(s) do not count because of a reset: the requester, the responsible person, the executor or another voter has reset the voter's password or "+
		"authenticators, or set up the identity provider through which the voter was linked, or the other way round, or one person did so for both", dependent)
	out.Text.ZH += fmt.Sprintf("。其中 %d 票因重置而不计入：发起人、方案负责人、执行人或其他审批人与该审批人之间，一方重置过另一方的密码或身份验证器，"+
		"或设置了另一方关联所用的身份提供方，或双方均由同一人经手", dependent)
	return out.With("dependentVotes", dependent)
}

// Vote is one stored vote.
type Vote struct {
	ID, Approver nid.ID
	Decision     string
	Digest       string
	ExpiresAt    time.Time
	may          bool
}

// Lock keeps the grants of those who voted as they are until the transaction ends,
// so that executing and the revocation that would take a vote away are strictly
// ordered. It comes with the handover's own lock, before that of any member.
func Lock(ctx context.Context, tx *store.Tx, handover nid.ID) error {
	_, err := store.Select(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM grants WHERE corp_id = $1 AND revoked_at IS NULL
		AND member_id IN (SELECT approver_id FROM approvals WHERE corp_id = $1 AND handover_id = $2) ORDER BY id`+tx.DB().ForShare("grants"), tx.Corp(), handover)
	return err
}

// Count reads a handover's votes and says whose are valid now: approvals of this
// digest that have not expired, by people who are still at work, still hold
// APPROVE_HANDOVER over the leaver and are not excluded (see package handover).
func Count(ctx context.Context, q store.Querier, handover nid.ID, digest string, leaver nid.ID, now time.Time, excluded []nid.ID) (
	valid []nid.ID, votes []Vote, err error) {
	type row struct {
		Vote
		active      bool
		permissions []byte
		department  nid.ID
	}
	rows, err := store.Select(ctx, q, func(r *row) []any {
		return []any{&r.ID, &r.Approver, &r.Decision, &r.Digest, &r.ExpiresAt, &r.active, &r.permissions, &r.department}
	}, `SELECT a.id, a.approver_id, a.decision, a.digest, a.expires_at, m.answers AND NOT m.suspended, r.permissions, g.department_id
		FROM approvals AS a JOIN members AS m ON m.corp_id = a.corp_id AND m.id = a.approver_id
		LEFT JOIN grants AS g ON g.corp_id = a.corp_id AND g.member_id = a.approver_id AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $3)
		  AND (g.department_id IS NULL OR EXISTS (SELECT 1 FROM member_departments AS md JOIN department_closure AS dc
		    ON dc.corp_id = md.corp_id AND dc.descendant_id = md.department_id
		    WHERE md.corp_id = a.corp_id AND md.member_id = $4 AND dc.ancestor_id = g.department_id))
		LEFT JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
		WHERE a.corp_id = $1 AND a.handover_id = $2 ORDER BY a.id`, access.From(ctx).Corp, handover, now, leaver)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if len(votes) == 0 || votes[len(votes)-1].ID != r.ID {
			votes = append(votes, r.Vote)
		}
		if r.permissions == nil || !r.active {
			continue
		}
		var ps []access.Permission
		if err := json.Unmarshal(r.permissions, &ps); err != nil {
			return nil, nil, err
		}
		if slices.Contains(ps, access.ApproveHandover) {
			votes[len(votes)-1].may = true
		}
	}
	for _, v := range votes {
		if v.may && v.Decision == "APPROVED" && v.Digest == digest && v.ExpiresAt.After(now) && !slices.Contains(excluded, v.Approver) {
			valid = append(valid, v.Approver)
		}
	}
	return valid, votes, nil
}
