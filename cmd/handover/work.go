package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/job"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/review"
	corpsetting "github.com/openhandover/openhandover/internal/setting"
)

// works is everything that happens in the background, by the kind of alarm that
// wakes it.
func (p *program) works(s *audit.Sealer, b *backup.Schedule) map[string]job.Work {
	if len(s.Keys) > 0 {
		p.use.Export.Seal = func(ctx context.Context, corp nid.ID) error { _, err := s.Work(ctx, corp); return err }
	}
	return map[string]job.Work{
		handover.WorkHandovers:    p.use.Handover.Work,
		member.WorkDepartures:     p.use.Member.Depart,
		notice.WorkNotice:         p.use.Notice.Work,
		notify.WorkDeliveries:     p.use.Webhook.Deliver,
		notify.WorkDigests:        p.use.Webhook.Digests,
		audit.WorkCheckpoints:     s.Work,
		audit.WorkWitnesses:       s.Show,
		backup.WorkBackups:        b.Work,
		corpsetting.WorkScans:     p.use.Leak.Scan,
		corpsetting.WorkRetention: (&history.Retention{DB: p.db, Log: p.log}).Work,
		export.WorkExports:        p.use.Export.Work,
		review.WorkReviews:        p.use.Review.Work,
	}
}

// longOverdue is when work counts as left lying: it is looked for every five seconds.
const longOverdue = time.Minute

// attended fails where work in the background has waited too long: no replica works,
// or it fails every time. Requests are answered all the same.
func (p *program) attended(ctx context.Context) error {
	age, err := p.db.Overdue(ctx)
	if err == nil && age > longOverdue {
		err = fmt.Errorf("work in the background has been waiting for %s", age.Round(time.Second))
	}
	return err
}

// listen hears what other replicas tell, and comes back when the connection is lost.
func (p *program) listen(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		if err := p.db.Listen(ctx); err != nil && ctx.Err() == nil {
			log.Warn("could not listen for notices of other replicas; the next try is in five seconds", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
		}
	}
}
