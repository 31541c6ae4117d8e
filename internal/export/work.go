package export

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// lease is how long a worker may be silent before another begins the file anew.
	lease = 30 * time.Second
	// atOnce is how many exports of a corp run at a time, in all replicas.
	atOnce = 2
	// maxRuns is how often a file is begun: what brings workers down does not do so for ever.
	maxRuns = 5
)

// job is a claimed export.
type job struct {
	id, member, handover nid.ID
	epoch                int
	subject              Subject
	format               Format
	filter               []byte
	language             string
	token                int
	began                reach // of the requester, when the claim was made

	actor       *access.Actor
	mark        mark
	rows, total int
}

var (
	// errLost says that the export is no longer this worker's: somebody else has it, or
	// its requester was deactivated.
	errLost = errors.New("export: the claim is lost")
	// errDenied says that the requester's rights no longer cover what the file holds.
	errDenied = errors.New("export: the requester may not have this any more")
	// errUnsealed says that nobody signs the log here.
	errUnsealed = errors.New("export: no checkpoint can be made here")
)

// Work makes the files that a corp waits for, one after the other, deletes those that
// have expired or belong to nobody any more, and says when there is work again. It may
// run in several replicas at once: a file is made by whoever holds the export's newest
// run token, and every page compares it.
func (s *Service) Work(ctx context.Context, corp nid.ID) (time.Time, error) {
	ctx = store.System(ctx, corp, "exports")
	for {
		if err := s.expire(ctx); err != nil {
			return time.Time{}, err
		}
		j, found, err := s.claim(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if !found {
			break
		}
		if j == nil {
			continue // it could not be begun, and says why
		}
		if err := s.run(ctx, corp, j); err != nil {
			return time.Time{}, err
		}
	}
	if err := s.tidy(ctx, corp); err != nil {
		return time.Time{}, err
	}
	return s.upcoming(ctx)
}

// claim takes the export that has waited longest, unless enough are running. found and
// no job: it has FAILED.
func (s *Service) claim(ctx context.Context) (j *job, found bool, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		j, found = nil, false
		db := tx.DB()
		next, ok, err := store.SelectOne(ctx, tx, func(j *job) []any {
			return []any{&j.id, &j.member, &j.handover, &j.epoch, &j.subject, orEmpty{&j.format}, &j.filter, &j.language, &j.token, &j.mark.by}
		}, `SELECT e.id, e.requested_by_id, e.handover_id, e.epoch, e.subject, e.format, e.filter, e.language, e.run_token, m.name || ' (' || m.user_id || ')'
			FROM exports AS e JOIN members AS m ON m.corp_id = e.corp_id AND m.id = e.requested_by_id
			WHERE e.corp_id = $1 AND (e.state = 'QUEUED' OR e.state = 'RUNNING' AND (e.lease_until IS NULL OR e.lease_until < `+db.Clock(0)+`))
			AND (SELECT count(*) FROM exports AS r WHERE r.corp_id = $1 AND r.state = 'RUNNING' AND r.lease_until >= `+db.Clock(0)+`) < $2
			ORDER BY e.created_at, e.id LIMIT 1`, tx.Corp(), atOnce)
		if err != nil || !ok {
			return err
		}
		found = true
		actor, err := s.standing(ctx, tx, &next)
		if err != nil {
			return err
		}
		problem := Problem("")
		switch {
		case actor == nil:
			problem = Cancelled
		case !may(actor, next.subject):
			problem = NotPermitted
		case next.token >= maxRuns:
			problem = Unexpected
		}
		if problem != "" {
			return s.fail(ctx, tx, &next, problem)
		}
		next.began = reachOf(actor)
		ids, err := tx.Change(ctx, "exports", `UPDATE exports SET state = 'RUNNING', run_token = run_token + 1, lease_until = `+db.Clock(lease)+`,
			started_at = $4, scopes = $5, rows = NULL, total = NULL WHERE corp_id = $1 AND id = $2 AND run_token = $3 AND state IN ('QUEUED', 'RUNNING') RETURNING id`,
			tx.Corp(), next.id, next.token, tx.Now(), next.began.text())
		if err != nil || len(ids) == 0 {
			return err // somebody was faster; look again
		}
		next.token++
		next.actor = actor
		next.mark.export, next.mark.at = next.id.String(), tx.Now().UTC().Format(time.RFC3339)
		j = &next
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.ExportStart, Subject: next.id, After: map[string]any{"state": string(Running), "run": next.token}})
	})
	return j, found, err
}

// standing is the requester with the rights of now, who act only while the access is
// the one they asked with; nil: it has ended.
func (s *Service) standing(ctx context.Context, tx *store.Tx, j *job) (*access.Actor, error) {
	actor, err := identity.Standing(ctx, tx, j.member)
	if err != nil || actor == nil {
		return nil, err
	}
	epoch, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT epoch FROM members WHERE corp_id = $1 AND id = $2`, tx.Corp(), j.member)
	if err != nil || epoch != j.epoch {
		return nil, err
	}
	actor.Lang = j.language
	return actor, nil
}

// beat holds the claim, shows how far the file is, and looks whether the requester may
// still have it. Fails with errLost and errDenied.
func (s *Service) beat(ctx context.Context, j *job) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := s.standing(ctx, tx, j)
		switch {
		case err != nil:
			return err
		case actor == nil:
			return errLost
		case !may(actor, j.subject) || !reachOf(actor).covers(j.began, j.subject):
			return errDenied
		}
		var total any
		if j.total > 0 {
			total = j.total
		}
		ids, _, err := tx.Lease(ctx, "exports", `UPDATE exports SET lease_until = `+tx.DB().Clock(lease)+`, rows = $4, total = $5
			WHERE corp_id = $1 AND id = $2 AND run_token = $3 AND state = 'RUNNING' RETURNING id, run_token`, tx.Corp(), j.id, j.token, j.rows, total)
		if err == nil && len(ids) == 0 {
			err = errLost
		}
		return err
	})
}

// run makes the file of a claimed export and says what came of it. An error is one
// after which the same is to be tried again.
func (s *Service) run(ctx context.Context, corp nid.ID, j *job) error {
	made, err := s.make(ctx, corp, j)
	if err == nil {
		err = s.finish(ctx, corp, j, made)
	}
	if err == nil {
		return nil
	}
	s.remove(ctx, corp, j)
	problem := Unexpected
	switch {
	case errors.Is(err, errLost):
		return nil
	case ctx.Err() != nil, fault.CodeOf(err) == fault.Unavailable, fault.CodeOf(err) == fault.Timeout, store.Transient(err):
		s.release(context.WithoutCancel(ctx), j)
		return err
	case errors.Is(err, errDenied), fault.CodeOf(err) == fault.Forbidden:
		problem = NotPermitted
	case errors.Is(err, errTooLarge):
		problem = TooLarge
	case errors.Is(err, errUnsealed):
		problem = NotSealed
	case full(err):
		problem = NoSpace
	}
	if problem == Unexpected || problem == NoSpace || problem == NotSealed {
		slog.ErrorContext(ctx, "an export could not be made", "export", j.id, "err", err)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.fail(ctx, tx, j, problem) })
}

// finish makes a file READY. Where the claim was lost meanwhile, it is nobody's.
func (s *Service) finish(ctx context.Context, corp nid.ID, j *job, f file) error {
	if err := f.publish(); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		actor, err := s.standing(ctx, tx, j)
		switch {
		case err != nil:
			return err
		case actor == nil:
			return errLost
		case !reachOf(actor).covers(j.began, j.subject):
			return errDenied
		}
		var rows any
		after := map[string]any{"state": string(Ready), "size": f.size, "sha256": hex.EncodeToString(f.sum)}
		if j.subject != Evidence {
			rows, after["rows"] = j.rows, j.rows
		}
		expires := tx.Now().Add(Keep)
		ids, err := tx.Change(ctx, "exports", `UPDATE exports SET state = 'READY', rows = $4, total = $4, size = $5, finished_at = $6, expires_at = $7, lease_until = NULL
			WHERE corp_id = $1 AND id = $2 AND run_token = $3 AND state = 'RUNNING' RETURNING id`, tx.Corp(), j.id, j.token, rows, f.size, tx.Now(), expires)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return errLost
		}
		if err := tx.Wake(ctx, WorkExports, expires); err != nil {
			return err
		}
		if err := tx.Wake(ctx, setting.WorkScans, tx.Now()); err != nil { // somebody who leaves may have asked
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.ExportFinish, Subject: j.id, Before: map[string]any{"state": string(Running)}, After: after})
	})
}

// fail ends an export that is still the job's.
func (s *Service) fail(ctx context.Context, tx *store.Tx, j *job, problem Problem) error {
	ids, err := tx.Change(ctx, "exports", `UPDATE exports SET state = 'FAILED', problem = $4, finished_at = $5, lease_until = NULL, rows = NULL
		WHERE corp_id = $1 AND id = $2 AND run_token = $3 AND state IN ('QUEUED', 'RUNNING') RETURNING id`, tx.Corp(), j.id, j.token, string(problem), tx.Now())
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.ExportFinish, Subject: j.id, After: map[string]any{"state": string(Failed), "problem": string(problem)}})
}

// release lets others begin at once. Where it fails, the lease runs out by itself.
func (s *Service) release(ctx context.Context, j *job) {
	_ = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.Lease(ctx, "exports", `UPDATE exports SET lease_until = NULL WHERE corp_id = $1 AND id = $2 AND run_token = $3 AND state = 'RUNNING' RETURNING id, run_token`, tx.Corp(), j.id, j.token)
		return err
	})
}

// expire ends what has been there for its time.
func (s *Service) expire(ctx context.Context) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ids, err := tx.Change(ctx, "exports", `UPDATE exports SET state = 'EXPIRED' WHERE corp_id = $1 AND state = 'READY' AND expires_at <= $2 RETURNING id`, tx.Corp(), tx.Now())
		if err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, each(ids, func(id nid.ID) audit.Entry {
			return audit.Entry{Action: access.ExportExpire, Subject: id, Before: map[string]any{"state": string(Ready)}, After: map[string]any{"state": string(Expired)}}
		})...)
	})
}

// upcoming is when there is work again; zero: none is known.
func (s *Service) upcoming(ctx context.Context) (at time.Time, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		type row struct {
			state           State
			expires, leased *time.Time
		}
		rows, err := store.Select(ctx, q, func(r *row) []any { return []any{&r.state, &r.expires, &r.leased} },
			`SELECT state, expires_at, lease_until FROM exports WHERE corp_id = $1 AND state IN ('QUEUED', 'RUNNING', 'READY')`, access.From(ctx).Corp)
		for _, r := range rows {
			t := s.DB.Now()
			switch {
			case r.state == Ready:
				t = *r.expires
			case r.state == Running && r.leased != nil:
				t = *r.leased
			case r.state == Queued:
				t = t.Add(time.Second) // others are running; who ends looks at once
			}
			if at.IsZero() || t.Before(at) {
				at = t
			}
		}
		return err
	})
	return at, err
}

// orEmpty reads a text that may be NULL.
type orEmpty struct{ into *Format }

// Scan is sql.Scanner.
func (o orEmpty) Scan(v any) error {
	switch v := v.(type) {
	case string:
		*o.into = Format(v)
	case []byte:
		*o.into = Format(v)
	}
	return nil
}

// UnmarshalJSON reads what text wrote.
func (r *reach) UnmarshalJSON(b []byte) error {
	into := map[access.Permission]access.Scope{}
	if err := json.Unmarshal(b, &into); err != nil {
		return err
	}
	*r = into
	return nil
}
