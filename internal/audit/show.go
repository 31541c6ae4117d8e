package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/audit/witness"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	// WorkWitnesses is the kind of work that shows checkpoints to others. It is not
	// the sealer's: nobody outside can keep the log from being sealed.
	WorkWitnesses = "witnesses"
	// StampEvery is how often a checkpoint is time-stamped, at most: authorities
	// count requests, and a stamp covers all entries before it.
	StampEvery = time.Hour
)

func (s *Sealer) shows() bool { return s.Folder != "" && (s.Witness != nil || s.Stamper != nil) }

// Show shows a corp's newest checkpoint to the witness and the time-stamp authority,
// keeps what they sign beside the other copies, and says when there is more to do. One
// that fails does not keep the other from its part. It fails with witness.ErrRefused or
// ErrForked where the witness knows another log.
func (s *Sealer) Show(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	if !s.shows() {
		return time.Time{}, nil
	}
	ctx = store.System(ctx, corp, "show checkpoints to others")
	var witnessed error
	if s.Witness != nil {
		witnessed = s.witness(ctx, corp)
	}
	if s.Stamper != nil {
		next, err = s.stamp(ctx, corp)
	}
	return next, errors.Join(witnessed, err)
}

// witness asks for a cosignature, from where the last one was; where the witness knows
// another size, of another replica's asking, from there.
func (s *Sealer) witness(ctx context.Context, corp nid.ID) error {
	last, err := lastCopy(Witnessed(s.Folder, corp))
	if err != nil {
		return err
	}
	old, twice := last.Size, false
	for {
		c, proof, err := s.since(ctx, corp, old)
		if err != nil || c.Size == 0 || c.Size == last.Size {
			return err
		}
		signed, err := s.Witness.Add(ctx, old, proof, c.Note)
		if err == nil {
			return keep(Witnessed(s.Folder, corp), copied{Size: c.Size, Note: signed, At: s.DB.Now()})
		}
		conflict, ok := errors.AsType[*witness.ConflictError](err)
		if !ok || twice {
			return fmt.Errorf("%s: %w", corp, err)
		}
		old, twice = conflict.Size, true
	}
}

// since gives the newest checkpoint and the proof that it continues an older one.
func (s *Sealer) since(ctx context.Context, corp nid.ID, old int64) (c Checkpoint, proof []tlog.Hash, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		if c, err = newest(ctx, q, corp); err != nil || old == 0 || c.Size == 0 {
			return err
		}
		if old > c.Size {
			return fmt.Errorf("%s: the witness has seen %d entries, and the database knows of %d: %w", corp, old, c.Size, ErrForked)
		}
		proof, err = tlog.ProveTree(c.Size, old, hashesOf(ctx, q, corp))
		return err
	})
	return c, proof, err
}

// stamp asks for a time-stamp of the newest checkpoint, unless it was asked within the hour.
func (s *Sealer) stamp(ctx context.Context, corp nid.ID) (time.Time, error) {
	last, err := lastCopy(Stamped(s.Folder, corp))
	if err != nil {
		return time.Time{}, err
	}
	c, _, err := s.since(ctx, corp, 0)
	if err != nil || c.Size <= last.Size {
		return time.Time{}, err
	}
	if again := last.At.Add(StampEvery); s.DB.Now().Before(again) {
		return again, nil
	}
	stamp, err := s.Stamper.Stamp(ctx, c.Note)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", corp, err)
	}
	return time.Time{}, keep(Stamped(s.Folder, corp), copied{Size: c.Size, Note: c.Note, At: s.DB.Now(), Stamp: stamp.Reply})
}
