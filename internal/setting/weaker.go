package setting

import (
	"context"
	"maps"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// operation is what weaker settings are proposed as.
const operation = "saveSettings"

// Off is that somebody wants dual control switched off.
type Off struct {
	siblings.Kin
	By nid.ID
	// LapsesAt is when the request is forgotten. Where nobody else could second it, it
	// takes effect at EffectiveAt instead.
	LapsesAt, EffectiveAt *time.Time
}

const (
	dualControl      = "dualControl"
	messagesKeptDays = "messagesKeptDays"
)

// guarded is one setting that is made weaker by two people, or after a day.
type guarded struct {
	name   string
	kept   any // what holds: a bool, or a number as an int
	set    func(any)
	weaker func(wanted any) bool
}

// guards lists the settings that two people make weaker: those by which the corp shows
// more, guards less, takes more departures for plausible, or destroys messages earlier.
func (s *Settings) guards() []guarded {
	// flag is weaker when it is not strict.
	flag := func(name string, b *bool, strict bool) guarded {
		return guarded{name, *b, func(v any) { *b, _ = v.(bool) }, func(v any) bool { return v != strict }}
	}
	// limit is weaker when it is higher.
	limit := func(name string, n *int) guarded {
		kept := *n
		return guarded{name, kept, func(v any) { *n, _ = v.(int) }, func(v any) bool { most, _ := v.(int); return most > kept }}
	}
	days := 0 // for good
	if s.MessagesKeptDays != nil {
		days = *s.MessagesKeptDays
	}
	return []guarded{
		flag("maskPhones", &s.MaskPhones, true), flag("maskIdCards", &s.MaskIDCards, true), flag("maskBankCards", &s.MaskBankCards, true),
		flag(dualControl, &s.DualControl, true), flag("noticeReadsRefused", &s.NoticeReadsRefused, true),
		flag("historyForSuccessors", &s.HistoryForSuccessors, false), flag("readReceipts", &s.ReadReceipts, true), limit("historyMaxDays", &s.HistoryMaxDays),
		limit("noticeReadsPerDay", &s.NoticeReadsPerDay), limit("noticeMessagesPerDay", &s.NoticeMessagesPerDay),
		limit("departuresPerHour", &s.DeparturesPerHour), limit("departuresPercent", &s.DeparturesPercent),
		{messagesKeptDays, days, func(v any) {
			if s.MessagesKeptDays = nil; v != 0 {
				n, _ := v.(int)
				s.MessagesKeptDays = &n
			}
		}, func(v any) bool { n, _ := v.(int); return n != 0 && (days == 0 || n < days) }},
	}
}

// wanted is what a save asks of the guarded settings, by name.
func (in *SaveInput) wanted() map[string]any {
	out := map[string]any{}
	for name, b := range map[string]*bool{
		"maskPhones": in.MaskPhones, "maskIdCards": in.MaskIDCards, "maskBankCards": in.MaskBankCards, dualControl: in.DualControl,
		"noticeReadsRefused":   in.NoticeReadsRefused,
		"historyForSuccessors": in.HistoryForSuccessors, "readReceipts": in.ReadReceipts,
	} {
		if b != nil {
			out[name] = *b
		}
	}
	for name, n := range map[string]*int{
		messagesKeptDays: in.MessagesKeptDays, "noticeReadsPerDay": in.NoticeReadsPerDay, "noticeMessagesPerDay": in.NoticeMessagesPerDay,
		"historyMaxDays": in.HistoryMaxDays, "departuresPerHour": in.DeparturesPerHour, "departuresPercent": in.DeparturesPercent,
	} {
		if n != nil {
			out[name] = *n
		}
	}
	return out
}

// apply reads the changes that wait: those whose time has come hold.
func (s *Settings) apply(ctx context.Context, q store.Querier) error {
	waiting, err := identity.PendingOf(ctx, q, operation)
	if err != nil {
		return err
	}
	now := store.EngineOf(q).Now()
	for _, p := range waiting {
		switch {
		case p.InEffect(now):
			var asked map[string]any
			if err := p.Asked(&asked); err != nil {
				return err
			}
			for _, g := range s.guards() {
				if v, ok := asked[g.name]; ok {
					if n, number := v.(float64); number {
						v = int(n)
					}
					g.set(v)
				}
			}
			s.inEffect = append(s.inEffect, p)
		case p.EffectiveAt != nil && (s.ChangesAt.IsZero() || p.EffectiveAt.Before(s.ChangesAt)):
			s.ChangesAt = *p.EffectiveAt
		}
		if p.Field == dualControl && p.Waits(now) {
			s.DualControlOff = &Off{By: p.RequestedByID, LapsesAt: p.LapsesAt, EffectiveAt: p.EffectiveAt}
		}
	}
	return nil
}

// saving is one save under way.
type saving struct {
	before, after map[string]any
	covers        []nid.ID
	entries       []audit.Entry // of changes that wait, and of those taken back
}

// guard changes the settings that two people make weaker. A stricter one holds at once; as
// it is kept takes back what was asked about it.
func (w *saving) guard(ctx context.Context, tx *store.Tx, actor *access.Actor, is *Settings, wanted map[string]any) error {
	for _, p := range is.inEffect { // they are stored now
		w.covers = append(w.covers, p.ID)
		var asked map[string]any
		if err := p.Asked(&asked); err != nil {
			return err
		}
		maps.Copy(w.after, asked)
		if _, err := identity.Dismiss(ctx, tx, p.ID); err != nil {
			return err
		}
	}
	firsts := map[string]any{}
	for _, g := range is.guards() {
		v, ok := wanted[g.name]
		if !ok {
			continue
		}
		change := v != g.kept
		if change && g.weaker(v) {
			d, err := identity.Propose(ctx, tx, actor, identity.Proposal{Operation: operation, Subject: tx.Corp(),
				Field: g.name, Input: "input." + g.name, Asked: map[string]any{g.name: v},
				Needs: []access.Permission{access.ManagePolicies}})
			if err != nil {
				return err
			}
			w.covers, w.entries = append(w.covers, d.Covers...), append(w.entries, d.Entries...)
			if !d.Made {
				continue
			}
			if !d.First.IsZero() {
				firsts[g.name] = d.First
			}
		}
		gone, err := identity.DismissAll(ctx, tx, operation, tx.Corp(), g.name)
		if err != nil {
			return err
		}
		if change {
			w.before[g.name], w.after[g.name] = g.kept, v
			w.covers = append(w.covers, gone...)
			g.set(v)
		} else if len(gone) > 0 {
			w.entries = append(w.entries, audit.Entry{Action: access.ChangeWithdraw, Subject: tx.Corp(), Covers: gone,
				Before: map[string]any{"operation": operation, "field": g.name}})
		}
	}
	if len(firsts) > 0 {
		w.after["requestedBy"] = firsts
	}
	return nil
}

// retention demands a time that messages may be kept for.
func (in *SaveInput) retention() fault.List {
	if days := in.MessagesKeptDays; days != nil && *days != 0 && (*days < leastKept || *days > mostKept) {
		return fault.List{fault.Bad("input.messagesKeptDays", "must be between %d and %d, or 0 to keep messages for good",
			"请输入 %d 到 %d 之间的数字，或填 0 表示永久保留", leastKept, mostKept)}
	}
	return nil
}
