package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// durable finds server settings by which a power cut can lose acknowledged changes.
func (d *doctor) durable() {
	careless, err := d.db.Careless(d.ctx)
	switch {
	case err != nil:
		d.find(broken, "look into the server's log", "durability: %s", d.sentence(err))
	case len(careless) > 0:
		d.find(warn, "set it to on: the server's default", "durability: %s; a power cut may take changes that were acknowledged", strings.Join(careless, ", "))
	default:
		d.find(well, "", "durability: an acknowledged change survives a power cut")
	}
}

// erased compares the people whom a corp has erased with the list that restores use, and
// returns when the last of them was erased; the zero time if nobody was.
func (d *doctor) erased(ctx context.Context, r *store.Read, corp nid.ID, name string) (last time.Time, err error) {
	type person struct {
		id nid.ID
		at time.Time
	}
	people, err := store.Select(ctx, r, func(p *person) []any { return []any{&p.id, &p.at} },
		`SELECT subject_id, erased_at FROM subject_keys WHERE corp_id = $1 AND erased_at IS NOT NULL ORDER BY erased_at`, corp)
	if err != nil {
		return last, err
	}
	noted, err := erasure.List(d.config.Checkpoints(false), corp)
	if err != nil {
		return last, err
	}
	unnoted := 0
	for _, p := range people {
		last = p.at
		if !slices.Contains(noted, p.id) {
			unnoted++
		}
	}
	if unnoted > 0 {
		d.find(warn, "run handover erase for them again where the checkpoints folder is, and keep a copy of that folder",
			"corp %s: erased people whom a restored backup would bring back: %d", name, unnoted)
	}
	for _, table := range []string{"contacts", "members"} {
		back, _, err := store.SelectOne(ctx, r, func(n *int) []any { return []any{n} },
			`SELECT count(*) FROM `+table+` WHERE corp_id = $1 AND erased_at IS NULL AND id `+r.DB().In(2), corp, r.DB().IDs(noted))
		if err != nil {
			return last, err
		}
		if back > 0 {
			d.find(broken, "run handover erase for the ids in "+audit.Erased(d.config.Checkpoints(false), corp),
				"corp %s: erased %s that are back: %d", name, table, back)
		}
	}
	return last, nil
}

// remains reports what the server's own files may still hold of erased people.
func (d *doctor) remains(last time.Time) {
	if last.IsZero() {
		return
	}
	tables, archived, err := d.db.Remains(d.ctx, last)
	if err != nil {
		d.find(broken, "look into the server's log", "erased people: %s", d.sentence(err))
		return
	}
	if len(tables) > 0 {
		d.find(warn, "as the owner: VACUUM "+strings.Join(tables, ", "),
			"erased people: the server's files still hold their rows; tables not vacuumed since: %d", len(tables))
	}
	if archived {
		d.find(warn, "keep it no longer than your backups, and say so where people ask what was erased (docs/operations.md)",
			"erased people: the server archives its WAL, which holds them from before %s", last.UTC().Format(time.DateOnly))
	}
}
