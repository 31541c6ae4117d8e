package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/job"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/notify"
)

// works is everything that happens in the background, by the kind of alarm that
// wakes it.
func (p *program) works() map[string]job.Work {
	return map[string]job.Work{
		handover.WorkHandovers: p.use.Handover.Work,
		member.WorkDepartures:  p.use.Member.Depart,
		notify.WorkDeliveries:  p.use.Webhook.Deliver,
		notify.WorkDigests:     p.use.Webhook.Digests,
	}
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
