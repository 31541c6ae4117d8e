// Package leak is the chat audit: it runs the detectors of internal/detect over
// archived messages and over exports of members who are leaving, keeps what they find,
// and takes down what a person says of it.
//
//	scan.go     messages, in the background
//	leaving.go  exports and reads before leaving
//	review.go   verdicts
package leak

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/openhandover/openhandover/ent/leakfinding"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of the chat audit.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// Verdict is what a person says of a finding.
type Verdict = leakfinding.Verdict

// The verdicts.
const (
	Confirmed = leakfinding.VerdictCONFIRMED
	Harmless  = leakfinding.VerdictHARMLESS
)

// Mark is a place in a message: bytes [Start, End) of a field as it was written.
type Mark struct {
	Field detect.Field `json:"field"`
	Start int          `json:"start"`
	End   int          `json:"end"`
}

// everything asks for all messages to be looked at, where the detectors or what is the
// company's are others than last time.
func everything(ctx context.Context, tx *store.Tx, own detect.Own) error {
	b, err := json.Marshal(own)
	if err != nil {
		return err
	}
	with := fmt.Sprintf("%d %s", detect.Version, b)
	n, err := tx.Keep(ctx, "chat_audits", `INSERT INTO chat_audits (corp_id, looked_with) VALUES ($1, $2)
		ON CONFLICT (corp_id) DO UPDATE SET looked_with = excluded.looked_with WHERE chat_audits.looked_with <> excluded.looked_with`, tx.Corp(), with)
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.Keep(ctx, "chat_scans", `DELETE FROM chat_scans WHERE corp_id = $1`, tx.Corp()); err != nil {
		return err
	}
	return setting.LookLater(ctx, tx, nid.ID{15: 1}, last)
}

// last comes after every id.
var last = nid.ID([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))

// Look is one look at findings, for the log.
type Look struct {
	// Findings are those that were given, Member the one whose were asked for.
	Findings []nid.ID
	Member   nid.ID
}

// Record writes a look at findings down, in a transaction of its own: what could not
// be recorded must not be shown.
func (s *Service) Record(ctx context.Context, l Look) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		e := audit.Entry{Action: access.FindingRead, Subject: tx.Corp(), After: map[string]any{"findings": l.Findings}}
		if !l.Member.IsZero() {
			e.Subject = l.Member
		}
		return s.Log.Append(ctx, tx, e)
	})
}
