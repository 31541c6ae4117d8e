// Package evidencetest holds what tests did to handovers against the evidence of it.
package evidencetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/evidence"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Prove seals the corp's log and makes a package of each of its handovers, whatever
// state it is in, and checks it offline. It writes to the log, so it belongs at the end.
func Prove(c *testcorp.Corp) error {
	ctx := store.System(context.Background(), c.ID, "test")
	sealer := audit.Sealer{DB: c.DB, Log: c.Log, Keys: checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}}
	if _, err := sealer.Work(ctx, c.ID); err != nil {
		return err
	}
	box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
	if err != nil {
		return err
	}
	return c.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		ids, err := store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM handovers WHERE corp_id = $1 ORDER BY id`, c.ID)
		if err != nil {
			return err
		}
		var broken []error
		for _, id := range ids {
			var pack bytes.Buffer
			if err := evidence.Write(ctx, q, audit.NewReader(box), id, &pack); err != nil {
				return err
			}
			if s, err := offline.Verify(bytes.NewReader(pack.Bytes()), int64(pack.Len())); err != nil {
				broken = append(broken, fmt.Errorf("the package of %s, which is %s: %w", id, s.State, err))
			}
		}
		return errors.Join(broken...)
	})
}
