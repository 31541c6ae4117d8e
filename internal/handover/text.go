package handover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// errOtherPlan is a stored plan that is not the one its digest was computed over.
var errOtherPlan = errors.New("handover: the stored plan does not have the stored digest")

// WritePlan writes the canonical text of a stored plan, over which its digest is
// (docs/plan-digest.md), and gives the digest. NOT_FOUND for an unknown handover; an
// error where somebody has changed the plan behind the program's back.
func WritePlan(ctx context.Context, q store.Querier, id nid.ID, w io.Writer) (string, error) {
	var p planned
	corp := access.From(ctx).Corp
	type row struct {
		h      HistoryScope
		digest string
	}
	r, ok, err := store.SelectOne(ctx, q, func(r *row) []any {
		return []any{&p.Kind, &p.LeaverID, &p.Message, &p.StartAt, &r.digest, &r.h.Mode, &r.h.From, &r.h.Until, &r.h.ExpiresAt}
	}, `SELECT kind, leaver_id, message, start_at, digest, history_mode, history_from, history_until, history_expires_at FROM handovers WHERE corp_id = $1 AND id = $2`, corp, id)
	if err == nil && !ok {
		err = fault.Missing("id")
	}
	if err != nil {
		return "", err
	}
	p.History = &r.h
	ts, err := chosen(ctx, q, `handover_id = $2 ORDER BY position`, id)
	if err != nil {
		return "", err
	}
	p.Items = make([]Item, len(ts))
	for i, t := range ts {
		p.Items[i] = t.Item
	}
	sum := sha256.New()
	out := &failing{w: io.MultiWriter(w, sum)}
	canonical(out, corp, &p)
	if out.err != nil {
		return "", out.err
	}
	if hex.EncodeToString(sum.Sum(nil)) != r.digest {
		return "", errOtherPlan
	}
	return r.digest, nil
}

// failing remembers the first error of a writer.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
	return len(b), f.err
}
