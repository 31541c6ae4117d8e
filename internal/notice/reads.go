package notice

import (
	"context"
	"fmt"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// WorkNotice is the kind of work that Work does, for store.Tx.Wake.
const WorkNotice = "notice"

// PageSize is how many contacts, groups or messages a member who is LEAVING reads in one
// request.
const PageSize = 25

// Kind is what is read.
type Kind string

// The kinds, in the order in which they are counted.
const (
	Contacts Kind = "CONTACTS"
	Groups   Kind = "GROUPS"
	Messages Kind = "MESSAGES"
)

var kinds = []Kind{Contacts, Groups, Messages}

// finding is the kind of leak_findings that a passed budget makes.
const finding = "READING_BEFORE_LEAVING"

// Count adds what the actor, who is LEAVING, is shown in a request to their numbers of the
// day in the corp's time zone, in a transaction of its own: what could not be counted must
// not be shown. Each kind has a budget a day (setting.Settings). The first time it is passed,
// the log and a finding for the auditor say so.
//
// Fails with LIMIT where the budget would be passed and the corp refuses that; then the
// request is not to be answered, and is counted as refused.
func (s *Service) Count(ctx context.Context, shown map[Kind]int) error {
	var beyond *fault.Error
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		beyond = nil // the transaction may run again
		zone, err := corp.Zone(ctx, tx)
		if err != nil {
			return err
		}
		settings, err := setting.Load(ctx, tx)
		if err != nil {
			return err
		}
		c := &counting{ctx: ctx, tx: tx, now: tx.Now().In(zone), refuses: settings.NoticeReadsRefused}
		for _, kind := range kinds {
			budget := settings.NoticeReadsPerDay
			if kind == Messages {
				budget = settings.NoticeMessagesPerDay
			}
			if n := shown[kind]; n > 0 {
				if err := c.add(kind, n, budget); err != nil {
					return err
				}
			}
		}
		if beyond = c.beyond; beyond != nil {
			// Nothing is shown, so nothing of the request is read.
			for _, kind := range kinds {
				if err := c.takeBack(kind, shown[kind]); err != nil {
					return err
				}
			}
		}
		if c.first {
			if err := tx.Wake(ctx, WorkNotice, midnight(c.now)); err != nil {
				return err
			}
		}
		if len(c.entries) == 0 {
			return nil
		}
		return s.Log.Append(ctx, tx, c.entries...)
	})
	if err == nil && beyond != nil {
		return beyond
	}
	return err
}

// midnight is when the day after begins.
func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+1, 0, 5, 0, 0, t.Location()).UTC()
}

// counting is one Count under way.
type counting struct {
	ctx     context.Context
	tx      *store.Tx
	now     time.Time // in the corp's zone
	refuses bool
	first   bool // of the day
	beyond  *fault.Error
	entries []audit.Entry
}

func (c *counting) day() string { return c.now.Format(time.DateOnly) }

func (c *counting) add(kind Kind, n, budget int) error {
	me := access.From(c.ctx).ID
	type row struct {
		requests, items int
		told            bool
	}
	rows, err := store.KeepInto(c.ctx, c.tx, func(r *row) []any { return []any{&r.requests, &r.items, &r.told} }, "notice_reads",
		`INSERT INTO notice_reads (corp_id, member_id, day, kind, requests, items, refused, told) VALUES ($1, $2, $3, $4, 1, $5, 0, false)
		ON CONFLICT (corp_id, member_id, day, kind) DO UPDATE SET requests = notice_reads.requests + 1, items = notice_reads.items + excluded.items
		RETURNING requests, items, told`, c.tx.Corp(), me, c.day(), string(kind), n)
	if err != nil || len(rows) == 0 {
		return err
	}
	r := rows[0]
	c.first = c.first || r.requests == 1
	if r.items <= budget {
		return nil
	}
	if c.refuses && c.beyond == nil {
		c.beyond = fault.New(fault.Limit, "", fault.T("a member who is leaving can read at most %d of these a day; read the rest tomorrow",
			"离职流程中的成员每天最多读取 %d 条，请明天再试", budget)).
			With("kind", string(kind)).With("perDay", budget)
	}
	if r.told {
		return nil
	}
	if _, err := c.tx.Keep(c.ctx, "notice_reads", `UPDATE notice_reads SET told = true WHERE corp_id = $1 AND member_id = $2 AND day = $3 AND kind = $4`,
		c.tx.Corp(), me, c.day(), string(kind)); err != nil {
		return err
	}
	c.entries = append(c.entries, audit.Entry{Action: access.NoticeRead, Subject: me, After: map[string]any{
		"day": c.day(), "kind": string(kind), "items": r.items, "perDay": budget, "refused": c.refuses,
	}})
	return c.find(me, kind, r.items, budget)
}

// takeBack turns what was added into a refused request.
func (c *counting) takeBack(kind Kind, n int) error {
	if n == 0 {
		return nil
	}
	_, err := c.tx.Keep(c.ctx, "notice_reads", `UPDATE notice_reads SET requests = requests - 1, items = items - $5, refused = refused + 1
		WHERE corp_id = $1 AND member_id = $2 AND day = $3 AND kind = $4`, c.tx.Corp(), access.From(c.ctx).ID, c.day(), string(kind), n)
	return err
}

// find makes the finding of the day, or adds a kind to it.
func (c *counting) find(me nid.ID, kind Kind, items, budget int) error {
	day := time.Date(c.now.Year(), c.now.Month(), c.now.Day(), 0, 0, 0, 0, c.now.Location()).UTC()
	word := map[Kind]fault.Text{
		Contacts: fault.T("contacts", "客户"), Groups: fault.T("groups", "客户群"), Messages: fault.T("messages", "聊天记录"),
	}[kind]
	why := fault.Text{EN: fmt.Sprintf("%d %s read in one day, more than the %d of the settings", items, word.EN, budget),
		ZH: fmt.Sprintf("一天内读取%s %d 条，超过设置的 %d 条", word.ZH, items, budget)}
	ids, err := c.tx.Change(c.ctx, "leak_findings", `INSERT INTO leak_findings (id, corp_id, created_at, updated_at, version, kind, member_id, at, score, why_en, why_zh, marks)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $7, $8, $9, '[]')
		ON CONFLICT (corp_id, member_id, at, kind) WHERE message_id IS NULL DO UPDATE SET why_en = leak_findings.why_en || '; ' || excluded.why_en,
		why_zh = leak_findings.why_zh || '；' || excluded.why_zh, version = leak_findings.version + 1, updated_at = excluded.updated_at RETURNING id`,
		c.tx.NewID(nid.LeakFinding), c.tx.Corp(), c.tx.Now(), finding, me, day, min(1, float64(items)/float64(2*budget)), why.EN, why.ZH)
	if err == nil {
		c.entries = append(c.entries, audit.Entry{Action: access.FindingSave, Subject: c.tx.Corp(), Covers: ids,
			After: map[string]any{"members": 1, "found": len(ids)}})
	}
	return err
}

// Work writes the days that are over into the log, one entry for each member, day and kind,
// and forgets baselines of what has been handed over. It says when there is work again; zero:
// when something wakes it.
func (s *Service) Work(ctx context.Context, in nid.ID) (next time.Time, err error) {
	ctx = store.System(ctx, in, "the day is over")
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		zone, err := corp.Zone(ctx, tx)
		if err != nil {
			return err
		}
		now := tx.Now().In(zone)
		type row struct {
			member                   nid.ID
			day, kind                string
			requests, items, refused int
		}
		rows, err := store.KeepInto(ctx, tx, func(r *row) []any { return []any{&r.member, &r.day, &r.kind, &r.requests, &r.items, &r.refused} }, "notice_reads",
			`DELETE FROM notice_reads WHERE corp_id = $1 AND day < $2 RETURNING member_id, day, kind, requests, items, refused`, tx.Corp(), now.Format(time.DateOnly))
		if err != nil {
			return err
		}
		entries := make([]audit.Entry, len(rows))
		for i, r := range rows {
			entries[i] = audit.Entry{Action: access.NoticeRead, Subject: r.member, After: map[string]any{
				"day": r.day, "kind": r.kind, "requests": r.requests, "items": r.items, "refusedRequests": r.refused,
			}}
		}
		if err := Tidy(ctx, tx); err != nil {
			return err
		}
		open, _, err := store.SelectOne(ctx, tx, func(b *bool) []any { return []any{b} },
			`SELECT EXISTS (SELECT 1 FROM notice_baselines WHERE corp_id = $1) OR EXISTS (SELECT 1 FROM notice_reads WHERE corp_id = $1)`, tx.Corp())
		next = time.Time{}
		if open {
			next = midnight(now)
		}
		if err != nil || len(entries) == 0 {
			return err
		}
		return s.Log.Append(ctx, tx, entries...)
	})
	return next, err
}
