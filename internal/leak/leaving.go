package leak

import (
	"context"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/corp"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// notice is the time before a member's last day in which a day is judged, and for
	// which a departure is looked back on.
	notice = 30 * 24 * time.Hour
	// known is how far back the days go that a day is compared with.
	known = 120 * 24 * time.Hour
	// people is how many members are judged in one transaction.
	people = 50
)

// leaver is a member who leaves or has just left.
type leaver struct {
	id    nid.ID
	since time.Time // when they came
	last  time.Time // the end of their last day, as far as it is known
}

// leaving holds each day before leaving against the days before it, and says when to do
// so again: the day after, a while after midnight where the corp is.
func (s *Service) leaving(ctx context.Context) (next time.Time, err error) {
	var zone *time.Location
	var all []leaver
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		if zone, err = corp.Zone(ctx, q); err != nil {
			return err
		}
		all, err = leavers(ctx, q, zone)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	for some := range slices.Chunk(all, people) {
		if err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.judge(ctx, tx, zone, some) }); err != nil {
			return time.Time{}, err
		}
	}
	today := midnight(s.DB.Now(), zone)
	return today.AddDate(0, 0, 1).Add(30 * time.Minute).UTC(), nil
}

func midnight(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)
}

func leavers(ctx context.Context, q *store.Read, zone *time.Location) ([]leaver, error) {
	type row struct {
		id       nid.ID
		since    time.Time
		lastDay  *string
		departed *time.Time
	}
	now := q.DB().Now()
	rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.id, &r.since, &r.lastDay, &r.departed} }, `
		SELECT id, created_at, last_day, departed_at FROM members WHERE corp_id = $1 AND (status = 'LEAVING' OR status IN ('DEPARTED', 'DISABLED') AND departed_at > $2)
		ORDER BY id`, access.From(ctx).Corp, now.Add(-notice))
	var out []leaver
	for _, r := range rows {
		l := leaver{r.id, r.since, now}
		if r.departed != nil {
			l.last = *r.departed
		} else if r.lastDay != nil {
			if day, err := time.ParseInLocation(time.DateOnly, *r.lastDay, zone); err == nil {
				l.last = day.AddDate(0, 0, 1)
			}
		}
		out = append(out, l)
	}
	return out, err
}

// judge stores what is found about some members.
func (s *Service) judge(ctx context.Context, tx *store.Tx, zone *time.Location, some []leaver) error {
	now := tx.Now()
	from := midnight(now.Add(-known), zone)
	did, err := days(ctx, tx, zone, from, some)
	if err != nil {
		return err
	}
	rows := []map[string]any{}
	for _, l := range some {
		var before []detect.Day
		begin := from
		if came := midnight(l.since, zone); came.After(begin) {
			begin = came
		}
		for day := begin; !day.After(now); day = midnight(day.Add(36*time.Hour), zone) {
			d := detect.Day{Date: day}
			if have := did[l.id][day.Unix()]; have != nil {
				d = *have
			}
			if day.After(l.last.Add(-notice)) {
				if f, ok := detect.BeforeLeaving(d, before); ok {
					rows = append(rows, map[string]any{"id": tx.NewID(nid.LeakFinding), "kind": f.Detector.Kind(), "member": l.id, "moment": day.UTC(),
						"score": f.Score, "en": f.Why.EN, "zh": f.Why.ZH})
				}
			}
			before = append(before, d)
		}
	}
	ids, err := tx.Change(ctx, "leak_findings", `INSERT INTO leak_findings (id, corp_id, created_at, updated_at, version, kind, member_id, at, score, why_en, why_zh, marks)
		SELECT v.id, $2, $3, $3, 1, v.kind, v.member, v.moment, v.score, v.en, v.zh, '[]' FROM `+
		tx.DB().Rows(1, "v", "id uuid", "kind text", "member uuid", "moment time", "score float8", "en text", "zh text")+` WHERE true
		ON CONFLICT (corp_id, member_id, at, kind) WHERE message_id IS NULL DO UPDATE SET score = excluded.score, why_en = excluded.why_en, why_zh = excluded.why_zh,
		version = leak_findings.version + 1, updated_at = excluded.updated_at
		WHERE leak_findings.verdict IS NULL AND leak_findings.why_en <> excluded.why_en RETURNING id`, tx.DB().Batch(rows), tx.Corp(), now)
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.FindingSave, Subject: tx.Corp(), Covers: ids, After: map[string]any{"members": len(some), "found": len(ids)}})
}

// days counts what members exported and read on each day, by the day's first second.
func days(ctx context.Context, tx *store.Tx, zone *time.Location, from time.Time, some []leaver) (map[nid.ID]map[int64]*detect.Day, error) {
	ids := make([]nid.ID, len(some))
	out := map[nid.ID]map[int64]*detect.Day{}
	for i, l := range some {
		ids[i], out[l.id] = l.id, map[int64]*detect.Day{}
	}
	type act struct {
		member nid.ID
		at     time.Time
		export bool
		rows   int
	}
	acts, err := store.Select(ctx, tx, func(a *act) []any { return []any{&a.member, &a.at, &a.export, &a.rows} }, `
		SELECT requested_by_id, created_at, true, coalesce(rows, 0) FROM exports WHERE corp_id = $1 AND requested_by_id `+tx.DB().In(2)+` AND created_at >= $3
		UNION ALL SELECT actor_id, at, false, 0 FROM audit_entries WHERE corp_id = $1 AND actor_id `+tx.DB().In(2)+` AND at >= $3 AND action IN ('`+
		string(access.HistoryRead)+`', '`+string(access.ChatSearch)+`')`, tx.Corp(), tx.DB().IDs(ids), from.UTC())
	for _, a := range acts {
		day := midnight(a.at, zone)
		d := out[a.member][day.Unix()]
		if d == nil {
			d = &detect.Day{Date: day}
			out[a.member][day.Unix()] = d
		}
		if a.export {
			d.Exports++
			d.Rows += a.rows
		} else {
			d.Reads++
		}
	}
	return out, err
}
