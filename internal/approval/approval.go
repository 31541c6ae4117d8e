// Package approval is dual control: which plans need somebody else's consent, how
// much of it, and which votes count.
package approval

import (
	"context"
	"database/sql"
	"encoding/json"
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
}

// Load reads the corp's policy.
func Load(ctx context.Context, q store.Querier) (Policy, error) { return load(ctx, q, "") }

func load(ctx context.Context, q store.Querier, lock string) (Policy, error) {
	type row struct {
		above            sql.NullInt64
		key              bool
		approvals, hours int
		version          int
	}
	r, ok, err := store.SelectOne(ctx, q, func(r *row) []any { return []any{&r.above, &r.key, &r.approvals, &r.hours, &r.version} },
		`SELECT above, key_contacts, approvals, expires_after_hours, version FROM approval_policies WHERE corp_id = $1`+lock, access.From(ctx).Corp)
	if err != nil {
		return Policy{}, err
	}
	if !ok {
		return Policy{}, fmt.Errorf("approval: the corp has no policy")
	}
	p := Policy{KeyContacts: r.key, Approvals: r.approvals, ExpiresAfter: time.Duration(r.hours) * time.Hour, Version: r.version}
	if r.above.Valid {
		n := int(r.above.Int64)
		p.Above = &n
	}
	return p, nil
}

// Need is how many votes a plan needs, and why. Reasons are codes with a number,
// "key:9", "above:100" or "above24h:100", or without one; Say puts them in words.
type Need struct {
	Votes   int
	Reasons []string
}

// Of works out what a plan needs under the policy.
func (p Policy) Of(total, keyContacts int) Need {
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
	return n.Stricter(Need{Votes: p.Approvals, Reasons: reasons})
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
	case "key":
		return fault.T("it moves %s key contacts", "涉及 %s 位重要客户", n)
	case "above":
		return fault.T("it moves more than %s contacts and groups", "涉及的客户和客户群超过 %s 个", n)
	case HistoryActive:
		return fault.T("it gives successors the chat history of a member who is still at work", "接替成员将可查看仍在职成员的聊天记录")
	case HistorySelf:
		return fault.T("it gives chat history to somebody who requests or executes it", "发起人或执行人将可查看聊天记录")
	case "above24h":
		return fault.T("together with what the requester has moved within 24 hours it is more than %s contacts and groups", "连同申请人 24 小时内的其他交接,涉及的客户和客户群超过 %s 个", n)
	}
	return fault.T("the approval policy asks for it", "审批策略要求")
}

// Required is the APPROVAL_REQUIRED fault: how many votes are needed, how many
// are there, and why.
func (n Need) Required(have int) *fault.Error {
	en, zh := make([]string, len(n.Reasons)), make([]string, len(n.Reasons))
	for i, r := range n.Reasons {
		en[i], zh[i] = Say(r).EN, Say(r).ZH
	}
	return fault.New(fault.ApprovalRequired, "", fault.Text{
		EN: fmt.Sprintf("this needs %d approval(s) by somebody else and has %d: %s. Create the handover, submit it and have it approved", n.Votes, have, strings.Join(en, "; ")),
		ZH: fmt.Sprintf("此交接需要 %d 次他人审批(已有 %d 次):%s。请创建并提交交接,等待审批", n.Votes, have, strings.Join(zh, ";")),
	}).With("approvalsRequired", n.Votes).With("approvals", have).With("approvalReasons", n.Reasons)
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

// Count reads a handover's votes and says how many count now: approvals of this
// digest that have not expired, by people who are still at work, still hold
// APPROVE_HANDOVER over the leaver and are not excluded (requester, leaver,
// successors, and who executes what nobody requested).
func Count(ctx context.Context, q store.Querier, handover nid.ID, digest string, leaver nid.ID, now time.Time, excluded []nid.ID) (int, []Vote, error) {
	type row struct {
		Vote
		active      bool
		permissions []byte
		department  nid.ID
	}
	rows, err := store.Select(ctx, q, func(r *row) []any {
		return []any{&r.ID, &r.Approver, &r.Decision, &r.Digest, &r.ExpiresAt, &r.active, &r.permissions, &r.department}
	}, `SELECT a.id, a.approver_id, a.decision, a.digest, a.expires_at, m.answers, r.permissions, g.department_id
		FROM approvals AS a JOIN members AS m ON m.corp_id = a.corp_id AND m.id = a.approver_id
		LEFT JOIN grants AS g ON g.corp_id = a.corp_id AND g.member_id = a.approver_id AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $3)
		  AND (g.department_id IS NULL OR EXISTS (SELECT 1 FROM member_departments AS md JOIN department_closure AS dc
		    ON dc.corp_id = md.corp_id AND dc.descendant_id = md.department_id
		    WHERE md.corp_id = a.corp_id AND md.member_id = $4 AND dc.ancestor_id = g.department_id))
		LEFT JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
		WHERE a.corp_id = $1 AND a.handover_id = $2 ORDER BY a.id`, access.From(ctx).Corp, handover, now, leaver)
	if err != nil {
		return 0, nil, err
	}
	var votes []Vote
	for _, r := range rows {
		if len(votes) == 0 || votes[len(votes)-1].ID != r.ID {
			votes = append(votes, r.Vote)
		}
		if r.permissions == nil || !r.active {
			continue
		}
		var ps []access.Permission
		if err := json.Unmarshal(r.permissions, &ps); err != nil {
			return 0, nil, err
		}
		if slices.Contains(ps, access.ApproveHandover) {
			votes[len(votes)-1].may = true
		}
	}
	n := 0
	for _, v := range votes {
		if v.may && v.Decision == "APPROVED" && v.Digest == digest && v.ExpiresAt.After(now) && !slices.Contains(excluded, v.Approver) {
			n++
		}
	}
	return n, votes, nil
}
