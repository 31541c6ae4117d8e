// Package setting is what a corp decides beyond its approval policy: how often a
// customer may be moved, how many departures are plausible, how long a handover can
// be taken back, what is hidden in old messages.
package setting

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/store"
)

// Settings are a corp's. The zero value is none; Load gives the defaults where the
// corp has decided nothing.
type Settings struct {
	// MovesPerContact is how often a contact may be handed over in service within
	// MovesWithinDays days.
	MovesPerContact, MovesWithinDays int
	// GroupsPerDay is how many groups of one owner may be handed over on a day of the
	// corp's time zone.
	GroupsPerDay int
	// DeparturesPerHour and DeparturesPercent (of those at work) are how many members
	// may depart or be disabled within an hour before a person has to confirm.
	DeparturesPerHour, DeparturesPercent int
	// RevertibleDays is for how many days a finished handover can be taken back.
	RevertibleDays int
	// What is hidden in the text of messages that somebody else wrote or received:
	// the middle of phone, identity-card and bank-card numbers.
	MaskPhones, MaskIDCards, MaskBankCards bool
	// DualControl: a sensitive role is given by two administrators.
	DualControl bool
	// DualControlOff is who wants it switched off; nil: nobody.
	DualControlOff *Off
	// ChangesAt is when the next change that waits for its time takes effect; zero: none waits.
	ChangesAt time.Time
	// inEffect are changes whose time has come; Load has applied them, and the next Save
	// stores them.
	inEffect []identity.Pending
	// Own is what belongs to the company: the chat audit does not report it.
	Own detect.Own
	// MessagesKeptDays is for how many days archived messages are kept after they were
	// sent; nil: for good.
	MessagesKeptDays *int
	// NoticeReadsPerDay is how many contacts, and how many groups, a member who is LEAVING
	// reads a day before the auditor is told; NoticeMessagesPerDay the same of messages.
	// NoticeReadsRefused: more than that is refused.
	NoticeReadsPerDay, NoticeMessagesPerDay int
	NoticeReadsRefused                      bool
	// HistoryForSuccessors: successors may read a leaver's chats by a history grant.
	HistoryForSuccessors bool
	// HistoryMaxDays is how long a grant lasts at most whose leaver is at work, or whose
	// successor is who stands behind the handover.
	HistoryMaxDays int
	// ReadReceipts: members see who read their messages by a history grant.
	ReadReceipts bool
	// Version is 0 while the corp has decided nothing.
	Version int
}

// Defaults are the figures of a corp that has decided nothing. The first three are
// WeCom's: 2 moves of a customer in 90 days, 300 groups a day from one owner.
var Defaults = Settings{
	MovesPerContact: 2, MovesWithinDays: 90, GroupsPerDay: 300,
	DeparturesPerHour: 20, DeparturesPercent: 10, RevertibleDays: 30,
	MaskIDCards: true, MaskBankCards: true,
	NoticeReadsPerDay: 200, NoticeMessagesPerDay: 2000,
	HistoryForSuccessors: true, HistoryMaxDays: 90,
}

// Load reads the settings of the actor's corp, with the weaker ones whose time has come.
func Load(ctx context.Context, q store.Querier) (Settings, error) { return load(ctx, q, "") }

func load(ctx context.Context, q store.Querier, lock string) (Settings, error) {
	type row struct {
		Settings
		own     string
		waiting bool
	}
	s, ok, err := store.SelectOne(ctx, q, func(s *row) []any {
		return []any{&s.MovesPerContact, &s.MovesWithinDays, &s.GroupsPerDay, &s.DeparturesPerHour, &s.DeparturesPercent, &s.RevertibleDays,
			&s.MaskPhones, &s.MaskIDCards, &s.MaskBankCards, &s.DualControl, &s.own, &s.MessagesKeptDays,
			&s.NoticeReadsPerDay, &s.NoticeMessagesPerDay, &s.NoticeReadsRefused, &s.HistoryForSuccessors, &s.HistoryMaxDays, &s.ReadReceipts, &s.Version, &s.waiting}
	}, `SELECT moves_per_contact, moves_within_days, groups_per_day, departures_per_hour, departures_percent, revertible_days,
		mask_phones, mask_id_cards, mask_bank_cards, dual_control, own, messages_kept_days,
		notice_reads_per_day, notice_messages_per_day, notice_reads_refused, history_for_successors, history_max_days, read_receipts, version,
		EXISTS (SELECT 1 FROM pending_changes AS p WHERE p.corp_id = $1 AND p.operation = $2)
		FROM corp_settings WHERE corp_id = $1`+lock, access.From(ctx).Corp, operation)
	if err == nil && !ok {
		return Defaults, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(s.own), &s.Own)
	}
	if err == nil && s.waiting {
		err = s.apply(ctx, q)
	}
	return s.Settings, err
}
