// Package notify is the outbox: what is to be told to the outside is written in
// the transaction that does it, and sent afterwards by package webhook. So a
// message exists if and only if the change does.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Event names what happened. The names are part of the public contract.
type Event string

// The events. The subject of the first five is a member, of those that begin with
// handover a handover, of the digest the successor.
const (
	MemberDeparted     Event = "member.departed"
	MemberDisabled     Event = "member.disabled"
	MemberReinstated   Event = "member.reinstated"
	DepartureScheduled Event = "departure.scheduled"
	DepartureHeld      Event = "departure.held"
	HandoverSubmitted  Event = "handover.submitted"
	HandoverApproved   Event = "handover.approved"
	HandoverRejected   Event = "handover.rejected"
	HandoverStarted    Event = "handover.started"
	HandoverFinished   Event = "handover.finished"
	HandoverCancelled  Event = "handover.cancelled"
	HandoverReverted   Event = "handover.reverted"
	SuccessorDigest    Event = "successor.digest"
)

// Events lists all of them.
var Events = []Event{
	MemberDeparted, MemberDisabled, MemberReinstated, DepartureScheduled, DepartureHeld,
	HandoverSubmitted, HandoverApproved, HandoverRejected, HandoverStarted, HandoverFinished, HandoverCancelled, HandoverReverted,
	SuccessorDigest,
}

// The kinds of work whose alarms this package sets; see store.Tx.Wake.
const (
	WorkDeliveries = "deliveries"
	WorkDigests    = "digests"
)

// Body is the JSON that is sent, after the specification at standardwebhooks.com.
// ID is the same for every webhook that is told of the event and for every time
// that it is sent; it also stands in the header webhook-id.
type Body struct {
	ID        string         `json:"id"`
	Type      Event          `json:"type"`
	Timestamp time.Time      `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

// Heard reports whether the corp has an active webhook at all, so that a transaction
// in which much happens asks once.
func Heard(ctx context.Context, tx *store.Tx) (bool, error) {
	_, heard, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} },
		`SELECT id FROM webhooks WHERE corp_id = $1 AND active AND archived_at IS NULL LIMIT 1`, tx.Corp())
	return heard, err
}

// Emit writes one delivery for each active webhook that wants the event, in the
// caller's transaction and before its audit entry. data goes into the message
// beside the ids of corp and subject: ids, numbers, booleans, times and
// upper-case words (states, kinds) only. Anything else could be a name; it is a
// mistake in our program and an error, whether or not there is a webhook.
func Emit(ctx context.Context, tx *store.Tx, e Event, subject nid.ID, data map[string]any) error {
	id := nid.New(0).UUID() // identifies an event: nothing that node(id) could find
	body := Body{ID: id, Type: e, Timestamp: tx.Now(), Data: map[string]any{"corp": tx.Corp(), "subject": subject}}
	maps.Copy(body.Data, data)
	text, err := body.text()
	if err != nil {
		return err
	}
	hooks, err := wanting(ctx, tx, e)
	if err != nil || len(hooks) == 0 {
		return err
	}
	rows := make([]map[string]any, len(hooks))
	for i, hook := range hooks {
		rows[i] = map[string]any{"id": nid.New(0), "webhook": hook}
	}
	if _, err := tx.Keep(ctx, "webhook_deliveries", `INSERT INTO webhook_deliveries
		(corp_id, id, webhook_id, event, subject_id, body, state, attempts, created_at, next_at)
		SELECT $2, id, webhook, $3, $4, $5, 'WAITING', 0, $6, $6 FROM `+tx.DB().Rows(1, "r", "id uuid", "webhook uuid"),
		tx.DB().Batch(rows), tx.Corp(), string(e), subject, text, tx.Now()); err != nil {
		return err
	}
	return tx.Wake(ctx, WorkDeliveries, tx.Now())
}

// wanting finds the webhooks that an event is for.
func wanting(ctx context.Context, tx *store.Tx, e Event) (ids []nid.ID, err error) {
	type row struct {
		id     nid.ID
		events []byte
	}
	rows, err := store.Select(ctx, tx, func(r *row) []any { return []any{&r.id, &r.events} },
		`SELECT id, events FROM webhooks WHERE corp_id = $1 AND active AND archived_at IS NULL ORDER BY id`, tx.Corp())
	for _, r := range rows {
		var wants []Event
		if err := json.Unmarshal(r.events, &wants); err != nil {
			return nil, err
		}
		if len(wants) == 0 || slices.Contains(wants, e) {
			ids = append(ids, r.id)
		}
	}
	return ids, err
}

var word = regexp.MustCompile(`^[A-Z][A-Z_]*$`)

// text writes the body and refuses what may not leave.
func (b Body) text() (string, error) {
	if !slices.Contains(Events, b.Type) {
		return "", fmt.Errorf("notify: there is no event %q", b.Type)
	}
	text, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	var back struct{ Data any }
	if err := json.Unmarshal(text, &back); err != nil {
		return "", err
	}
	return string(text), plain(string(b.Type), back.Data)
}

// plain demands that no text in the value could be anybody's name.
func plain(path string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if err := plain(path+"."+k, x); err != nil {
				return err
			}
		}
	case []any:
		for _, x := range v {
			if err := plain(path, x); err != nil {
				return err
			}
		}
	case string:
		_, notID := nid.Parse(v)
		_, notTime := time.Parse(time.RFC3339, v)
		if v != "" && notID != nil && notTime != nil && !word.MatchString(v) {
			return fmt.Errorf("notify: %s holds text that is neither an id, a time nor an upper-case word", path)
		}
	}
	return nil
}
