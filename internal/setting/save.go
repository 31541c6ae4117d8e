package setting

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use case of changing settings.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// SaveInput changes settings. Nil leaves one as it is.
type SaveInput struct {
	// Version is the one the caller saw; nil or 0 where nothing has been saved yet.
	Version                              *int
	MovesPerContact, MovesWithinDays     *int
	GroupsPerDay                         *int
	DeparturesPerHour, DeparturesPercent *int
	RevertibleDays                       *int

	MaskPhones, MaskIDCards, MaskBankCards *bool

	DualControl *bool

	// Own replaces all of what belongs to the company.
	Own *detect.Own
	// MessagesKeptDays: 0 keeps messages for good.
	MessagesKeptDays *int

	NoticeReadsPerDay, NoticeMessagesPerDay *int
	NoticeReadsRefused                      *bool
	HistoryForSuccessors                    *bool
	HistoryMaxDays                          *int
	ReadReceipts                            *bool
}

// Kinds of work that a changed setting calls for.
const (
	// WorkScans looks at archived messages again where what is the company's has changed.
	WorkScans = "scans"
	// WorkRetention removes messages whose time is over.
	WorkRetention = "retention"
)

// part is one setting: where it is kept, what is asked for, and what it may be.
type part struct {
	name       string
	kept       *int
	wanted     *int
	least, max int
	guarded    bool // guards changes it: two people make it weaker
}

// parts pairs what is asked for with what there is.
func (in *SaveInput) parts(s *Settings) []part {
	return []part{
		{name: "movesPerContact", kept: &s.MovesPerContact, wanted: in.MovesPerContact, least: 1, max: 1000},
		{name: "movesWithinDays", kept: &s.MovesWithinDays, wanted: in.MovesWithinDays, least: 1, max: 365},
		{name: "groupsPerDay", kept: &s.GroupsPerDay, wanted: in.GroupsPerDay, least: 1, max: 10_000},
		{name: "departuresPerHour", kept: &s.DeparturesPerHour, wanted: in.DeparturesPerHour, least: 1, max: 10_000, guarded: true},
		{name: "departuresPercent", kept: &s.DeparturesPercent, wanted: in.DeparturesPercent, least: 1, max: 100, guarded: true},
		{name: "revertibleDays", kept: &s.RevertibleDays, wanted: in.RevertibleDays, least: 1, max: 365},
		{name: "historyMaxDays", kept: &s.HistoryMaxDays, wanted: in.HistoryMaxDays, least: 1, max: 3650, guarded: true},
	}
}

// alone refuses dual control that nobody could satisfy: it takes two who manage the
// roles of the whole corp.
func (in *SaveInput) alone(ctx context.Context, tx *store.Tx, was *Settings, roles []nid.ID) (fault.List, error) {
	if in.DualControl == nil || !*in.DualControl || was.DualControl {
		return nil, nil
	}
	all, err := identity.RoleManagers(ctx, tx, roles)
	people := map[nid.ID]bool{}
	for _, m := range all {
		people[m.Member] = true
	}
	if err != nil || len(people) > 1 {
		return nil, err
	}
	return fault.List{fault.Bad("input.dualControl", "only one person manages the roles of the whole corp for good; make somebody else administrator first",
		"目前只有一人长期管理整个企业的角色,请先指定另一位管理员")}, nil
}

// Save changes the corp's settings. It needs MANAGE_POLICIES over the whole corp
// and a fresh proof of identity. What is as it was already is no change and leaves
// no entry. What makes a guarded setting weaker (Settings.guards) takes a second person who
// saves the same within 72 hours; where nobody else could, it takes effect after 24 hours.
// The rest holds at once.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, INVALID naming the setting that is out of
// bounds, and CONFLICT for a stale version and on a setting that the actor has asked for
// already.
func (s *Service) Save(ctx context.Context, in SaveInput) error {
	return s.Log.Tx(ctx, s.DB, access.SettingsSave, func(ctx context.Context, tx *store.Tx) error {
		roles, err := identity.LockRoles(ctx, tx)
		if err != nil {
			return err
		}
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if !actor.Scope(access.ManagePolicies).All {
			return fault.Denied("settings need MANAGE_POLICIES over the whole corp", "修改设置需要对整个企业的 MANAGE_POLICIES 权限")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		was, err := load(ctx, tx, tx.DB().ForNoKeyUpdate())
		if err != nil {
			return err
		}
		is := was
		w := saving{before: map[string]any{}, after: map[string]any{}}
		bad, err := in.alone(ctx, tx, &was, roles)
		if err != nil {
			return err
		}
		bad = append(bad, in.numbers(&is, w.before, w.after)...)
		bad = append(bad, in.own(&is, w.before, w.after)...)
		bad = append(bad, in.retention()...)
		if err := bad.Err(); err != nil {
			return err
		}
		seen := 0
		if in.Version != nil {
			seen = *in.Version
		}
		if seen != was.Version {
			return fault.Stale("input.version", was.Version)
		}
		if err := w.guard(ctx, tx, actor, &is, in.wanted()); err != nil {
			return err
		}
		if len(w.after) == 0 && len(w.entries) == 0 {
			return nil
		}
		if err := is.store(ctx, tx, was.Version); err != nil {
			return err
		}
		for kind, wanted := range map[string]bool{WorkScans: in.Own != nil, WorkRetention: in.MessagesKeptDays != nil} {
			if !wanted {
				continue
			}
			if err := tx.Wake(ctx, kind, tx.Now()); err != nil {
				return err
			}
		}
		if len(w.after) > 0 {
			w.entries = append(w.entries, audit.Entry{Action: access.SettingsSave, Subject: tx.Corp(), Before: w.before, After: w.after, Covers: w.covers})
		} else {
			w.entries[0].Covers = append(w.entries[0].Covers, tx.Corp()) // the version has changed, for a change that waits
		}
		return s.Log.Append(ctx, tx, w.entries...)
	})
}

// numbers changes the settings that are numbers.
func (in *SaveInput) numbers(is *Settings, before, after map[string]any) (bad fault.List) {
	for _, p := range append(in.parts(is), in.notice(is)...) {
		switch {
		case p.wanted == nil || *p.wanted == *p.kept:
		case *p.wanted < p.least || *p.wanted > p.max:
			bad = append(bad, fault.Bad("input."+p.name, "must be between %d and %d", "请输入 %d 到 %d 之间的数字", p.least, p.max))
		case !p.guarded:
			before[p.name], after[p.name] = *p.kept, *p.wanted
			*p.kept = *p.wanted
		}
	}
	return bad
}

// store writes the settings over those of a version.
func (s *Settings) store(ctx context.Context, tx *store.Tx, version int) error {
	// Whoever saves first finds no row to lock, so the version is compared once more.
	ids, err := tx.Change(ctx, "corp_settings", `INSERT INTO corp_settings (corp_id, moves_per_contact, moves_within_days, groups_per_day,
		departures_per_hour, departures_percent, revertible_days, mask_phones, mask_id_cards, mask_bank_cards, dual_control, own, messages_kept_days, version, updated_at,
		notice_reads_per_day, notice_messages_per_day, notice_reads_refused, history_for_successors, history_max_days, read_receipts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
		ON CONFLICT (corp_id) DO UPDATE SET moves_per_contact = excluded.moves_per_contact, moves_within_days = excluded.moves_within_days,
		groups_per_day = excluded.groups_per_day, departures_per_hour = excluded.departures_per_hour, departures_percent = excluded.departures_percent,
		revertible_days = excluded.revertible_days, mask_phones = excluded.mask_phones, mask_id_cards = excluded.mask_id_cards,
		mask_bank_cards = excluded.mask_bank_cards, dual_control = excluded.dual_control, own = excluded.own, messages_kept_days = excluded.messages_kept_days,
		notice_reads_per_day = excluded.notice_reads_per_day, notice_messages_per_day = excluded.notice_messages_per_day, notice_reads_refused = excluded.notice_reads_refused,
		history_for_successors = excluded.history_for_successors, history_max_days = excluded.history_max_days, read_receipts = excluded.read_receipts,
		version = excluded.version, updated_at = excluded.updated_at
		WHERE corp_settings.version = excluded.version - 1 RETURNING corp_id`, tx.Corp(), s.MovesPerContact, s.MovesWithinDays, s.GroupsPerDay,
		s.DeparturesPerHour, s.DeparturesPercent, s.RevertibleDays, s.MaskPhones, s.MaskIDCards, s.MaskBankCards, s.DualControl, owned(s.Own),
		s.MessagesKeptDays, version+1, tx.Now(),
		s.NoticeReadsPerDay, s.NoticeMessagesPerDay, s.NoticeReadsRefused, s.HistoryForSuccessors, s.HistoryMaxDays, s.ReadReceipts)
	if err != nil || len(ids) > 0 {
		return err
	}
	now, err := Load(ctx, tx)
	if err != nil {
		return err
	}
	return fault.Stale("input.version", now.Version)
}
