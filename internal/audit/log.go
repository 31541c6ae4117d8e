// Package audit writes and checks the log of what was done: one for each corp,
// append-only, each entry committed together with the change that it records.
package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Log appends entries.
type Log struct {
	box *secret.Box // wraps the subjects' keys
}

// New makes the log of an installation; box is the secret.ForSubjects box.
func New(box *secret.Box) *Log { return &Log{box: box} }

// Personal is a value about somebody, sealed under that subject's key.
type Personal = leaf.Personal

// Entry is one action to record.
type Entry struct {
	Action access.Action
	// Subject is the one thing the action was about; zero where there is none.
	Subject  nid.ID
	Handover nid.ID
	// Before and After hold plain values and ids; what is personal as Personal.
	Before, After map[string]any
	// Covers are the other rows whose change this entry records. The entry keeps
	// their number and digest.
	Covers []nid.ID
}

// Append writes the entries of a use case, in order. It takes the lock on the
// corp's head, so it comes last in every transaction (semantics.md, lock 7), and
// once. After it the transaction may commit the changes the entries cover. Their
// time is the transaction's, which may have waited: the order of the log is the
// order of commits, and times may go back by as long as such a wait.
//
// An entry that the format does not allow, e.g. one over leaf.MaxBytes, is a
// mistake in our program: the error wraps leaf.ErrEntry and nothing is committed.
func (l *Log) Append(ctx context.Context, tx *store.Tx, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	entries, err := fingerprints(ctx, tx, entries)
	if err == nil {
		entries, err = named(ctx, tx, entries)
	}
	if err != nil {
		return err
	}
	actor := access.From(ctx)
	subjects := map[nid.ID]bool{}
	// An address is a personal value, so it is kept for people only.
	addressed := actor.Kind == access.Person && actor.Address != ""
	if addressed {
		subjects[actor.ID] = true
	}
	for _, e := range entries {
		gather(e.Before, subjects)
		gather(e.After, subjects)
	}
	keys, err := l.sealing(ctx, tx, subjects)
	if err != nil {
		return err
	}
	next, err := lockHead(ctx, tx)
	if err != nil {
		return err
	}
	prev := [32]byte(next.hash)
	sealer := leaf.Sealer{Keys: func(s nid.ID) (leaf.Key, error) { return keys[s], nil }}
	links, err := newLinks(ctx, tx, entries)
	if err != nil {
		return err
	}
	rows := make([]map[string]any, len(entries))
	for i, e := range entries {
		e.After = links.follow(e, next.size+int64(i))
		full := leaf.Entry{
			ID: tx.NewID(nid.Audit), Corp: tx.Corp(), Index: next.size + int64(i), At: tx.Now(),
			Actor: leaf.Actor{Kind: actor.Kind, ID: actor.ID}, Action: string(e.Action), Subject: e.Subject, Handover: e.Handover,
			Request: actor.RequestID, Before: e.Before, After: e.After, Prev: prev,
		}
		if actor.Kind == access.System {
			full.Reason, full.Cause = actor.Label, actor.Cause
		}
		if i == 0 && addressed {
			// Once for each act: the entries of one act share request and time.
			full.Address = leaf.Personal{Subject: actor.ID, Value: actor.Address}
		}
		if len(e.Covers) > 0 {
			full.Set = leaf.SetOf(e.Covers)
		}
		bytes, err := leaf.Encode(full, sealer)
		if err != nil {
			return err
		}
		hash := leaf.Hash(bytes)
		prev = hash
		rows[i] = map[string]any{
			"id": full.ID, "n": full.Index, "actor": full.Actor.ID, "kind": string(full.Actor.Kind), "action": full.Action,
			"subject": e.Subject, "handover": e.Handover, "leaf": bytes, "hash": hash[:],
		}
		if !e.Subject.IsZero() {
			tx.Cover(e.Subject)
		}
		tx.Cover(e.Covers...)
	}
	var request any
	if actor.RequestID != "" {
		request = actor.RequestID
	}
	if _, err := tx.Keep(ctx, "audit_entries", `INSERT INTO audit_entries
		(id, corp_id, created_at, "index", at, actor_id, actor_kind, action, subject_id, handover_id, request_id, leaf, hash)
		SELECT id, $2, $3, n, $3, actor, kind, action, subject, handover, $4, leaf, hash FROM `+
		tx.DB().Rows(1, "e", "id uuid", "n int", "actor uuid", "kind text", "action text", "subject uuid", "handover uuid", "leaf hex", "hash hex"),
		tx.DB().Batch(rows), tx.Corp(), tx.Now(), request); err != nil {
		return err
	}
	size := next.size + int64(len(entries))
	if next.size == 0 {
		err = tx.Wake(ctx, WorkCheckpoints, tx.Now().Add(SealEvery)) // from then on it wakes itself
	} else if next.size/SealAfter != size/SealAfter {
		err = tx.Wake(ctx, WorkCheckpoints, tx.Now())
	}
	if err != nil {
		return err
	}
	_, err = tx.Keep(ctx, "audit_heads", `UPDATE audit_heads SET size = $2, hash = $3 WHERE corp_id = $1`,
		tx.Corp(), size, prev[:])
	return err
}

// head is how far a corp's log goes.
type head struct {
	size int64
	hash []byte
}

// lockHead gives the head of the corp's log and keeps it from moving until the end
// of the transaction; the first to come makes it. Append writes it at its end, so
// all but the first only read it here.
func lockHead(ctx context.Context, tx *store.Tx) (h head, err error) {
	dest := func(h *head) []any { return []any{&h.size, &h.hash} }
	h, found, err := store.SelectOne(ctx, tx, dest, `SELECT size, hash FROM audit_heads WHERE corp_id = $1`+tx.DB().ForNoKeyUpdate(), tx.Corp())
	if err == nil && !found {
		var made []head
		// Two may find none: the second waits here and goes on from where the first ended.
		made, err = store.KeepInto(ctx, tx, dest, "audit_heads", `INSERT INTO audit_heads (corp_id, size, hash) VALUES ($1, 0, $2)
			ON CONFLICT (corp_id) DO UPDATE SET size = audit_heads.size RETURNING size, hash`, tx.Corp(), make([]byte, 32))
		if len(made) == 1 {
			h = made[0]
		}
	}
	if err != nil {
		return h, err
	}
	if len(h.hash) != 32 || h.size < 0 {
		return h, fmt.Errorf("audit: the head of the log of %s is damaged; nothing can be recorded until `handover audit verify` holds", tx.Corp())
	}
	return h, nil
}

// gather finds whom the personal values are about.
func gather(v any, subjects map[nid.ID]bool) {
	switch v := v.(type) {
	case Personal:
		subjects[v.Subject] = true
	case map[string]any:
		for _, inner := range v {
			gather(inner, subjects)
		}
	case []any:
		for _, inner := range v {
			gather(inner, subjects)
		}
	}
}

// sealing gives the keys of the subjects, making those that are missing.
func (l *Log) sealing(ctx context.Context, tx *store.Tx, subjects map[nid.ID]bool) (map[nid.ID]leaf.Key, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	keys, err := l.keys(ctx, tx, subjects)
	if err != nil {
		return nil, err
	}
	var rows []map[string]any
	for s := range subjects {
		if _, ok := keys[s]; !ok {
			k := leaf.NewKey()
			rows = append(rows, map[string]any{"subject": s, "wrapped": l.box.Seal(k[:], row(tx.Corp(), s))})
		}
	}
	if len(rows) == 0 {
		return keys, nil
	}
	slices.SortFunc(rows, func(a, b map[string]any) int { // one order, so that two makers cannot deadlock
		x, y := a["subject"].(nid.ID), b["subject"].(nid.ID)
		return slices.Compare(x[:], y[:])
	})
	made, err := store.KeepInto(ctx, tx, (*wrappedKey).dest, "subject_keys", `INSERT INTO subject_keys (corp_id, subject_id, wrapped, created_at)
		SELECT $2, subject, wrapped, $3 FROM `+tx.DB().Rows(1, "k", "subject uuid", "wrapped hex")+` WHERE true ON CONFLICT DO NOTHING RETURNING subject_id, wrapped`,
		tx.DB().Batch(rows), tx.Corp(), tx.Now())
	if err != nil {
		return nil, err
	}
	if len(made) < len(rows) { // others made some of them meanwhile
		return l.keys(ctx, tx, subjects)
	}
	return keys, l.unwrapped(tx.Corp(), made, keys)
}

// Opens tries the log's secret key on the newest of a corp's subject keys. It fails with
// secret.ErrUnknownKey, wrapped, where another key sealed that.
func (l *Log) Opens(ctx context.Context, q store.Querier) error {
	corp := access.From(ctx).Corp
	k, found, err := store.SelectOne(ctx, q, (*wrappedKey).dest,
		`SELECT subject_id, wrapped FROM subject_keys WHERE corp_id = $1 AND wrapped IS NOT NULL ORDER BY created_at DESC, subject_id LIMIT 1`, corp)
	if err == nil && found {
		_, err = unwrap(l.box, k.wrapped, corp, k.subject)
	}
	return err
}

// keys gives the keys of the subjects that have one already. An erased subject's is
// gone: what is sealed about it from then on is sealed under a key that nobody keeps.
func (l *Log) keys(ctx context.Context, tx *store.Tx, subjects map[nid.ID]bool) (map[nid.ID]leaf.Key, error) {
	rows, err := wrappedKeys(ctx, tx, tx.Corp(), subjects)
	if err != nil {
		return nil, err
	}
	keys := make(map[nid.ID]leaf.Key, len(rows))
	return keys, l.unwrapped(tx.Corp(), rows, keys)
}

func (l *Log) unwrapped(corp nid.ID, rows []wrappedKey, into map[nid.ID]leaf.Key) (err error) {
	for _, r := range rows {
		if r.wrapped == nil {
			into[r.subject] = leaf.NewKey()
			continue
		}
		if into[r.subject], err = unwrap(l.box, r.wrapped, corp, r.subject); err != nil {
			return err
		}
	}
	return nil
}

type wrappedKey struct {
	subject nid.ID
	wrapped []byte // nil once erased
}

func (k *wrappedKey) dest() []any { return []any{&k.subject, &k.wrapped} }

func wrappedKeys(ctx context.Context, q store.Querier, corp nid.ID, subjects map[nid.ID]bool) ([]wrappedKey, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	db := store.EngineOf(q)
	return store.Select(ctx, q, (*wrappedKey).dest,
		`SELECT subject_id, wrapped FROM subject_keys WHERE corp_id = $1 AND subject_id `+db.In(2), corp, db.IDs(slices.Collect(maps.Keys(subjects))))
}

func unwrap(box *secret.Box, wrapped []byte, corp, subject nid.ID) (leaf.Key, error) {
	k, err := box.Open(wrapped, row(corp, subject))
	if err == nil && len(k) != len(leaf.Key{}) {
		err = fmt.Errorf("audit: the key of %s has %d bytes", subject, len(k))
	}
	if err != nil {
		return leaf.Key{}, err
	}
	return leaf.Key(k), nil
}

// row ties a wrapped key to its place.
func row(corp, subject nid.ID) []byte { return append(corp[:], subject[:]...) }

// Tx is store.DB.Tx for a use case: where the use case is FORBIDDEN, the denial is
// recorded in a transaction of its own.
func (l *Log) Tx(ctx context.Context, db *store.DB, action access.Action, fn func(context.Context, *store.Tx) error) error {
	err := db.Tx(ctx, fn)
	if fault.CodeOf(err) == fault.Forbidden {
		if denied := l.Deny(ctx, db, action); denied != nil {
			return denied
		}
	}
	return err
}

// Deny records that an actor was refused: one entry for each actor, action and
// minute, with the number of refusals of the last such minute that had no entry.
func (l *Log) Deny(ctx context.Context, db *store.DB, action access.Action) error {
	actor := access.From(ctx).ID
	return db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if actor.IsZero() {
			actor = tx.Corp() // the system, or nobody known
		}
		minute := tx.Now().Truncate(time.Minute)
		counts, err := store.KeepInto(ctx, tx, func(n *int) []any { return []any{n} }, "denials",
			`INSERT INTO denials (corp_id, actor_id, action, minute, n) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (corp_id, actor_id, action, minute) DO UPDATE SET n = denials.n + 1 RETURNING n`,
			tx.Corp(), actor, string(action), minute)
		if err != nil || counts[0] > 1 {
			return err
		}
		before, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} },
			`SELECT n FROM denials WHERE corp_id = $1 AND actor_id = $2 AND action = $3 AND minute < $4 ORDER BY minute DESC LIMIT 1`,
			tx.Corp(), actor, string(action), minute)
		if err != nil {
			return err
		}
		// What was counted long ago has been told by now; replicas' clocks differ by less than this.
		if _, err := tx.Keep(ctx, "denials", `DELETE FROM denials WHERE corp_id = $1 AND actor_id = $2 AND action = $3 AND minute < $4`,
			tx.Corp(), actor, string(action), minute.Add(-time.Hour)); err != nil {
			return err
		}
		return l.Append(ctx, tx, Entry{Action: access.AccessDeny, After: map[string]any{"action": string(action), "unreportedBefore": max(before-1, 0)}})
	})
}
