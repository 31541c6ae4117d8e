package leak

import (
	"context"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// maxNote is the longest note in characters.
const maxNote = 1000

// ReviewInput says what a finding was.
type ReviewInput struct {
	ID nid.ID
	// Version is the one the caller saw.
	Version int
	// Verdict: nil opens the finding again.
	Verdict *Verdict
	// Note replaces the note there is; nil or empty: none.
	Note *string
}

// Review takes down what a person says of a finding. It needs AUDIT_CHATS over the
// member whom the finding is about, who can never be the reviewer. What is as it was
// already is no change and leaves no entry.
//
// Fails with NOT_FOUND for a finding one may not see, INVALID for a note that is too
// long, and CONFLICT for a stale version.
func (s *Service) Review(ctx context.Context, in ReviewInput) error {
	return s.Log.Tx(ctx, s.DB, access.FindingReview, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if in.Note != nil {
			if problem, ok := name.CheckText(*in.Note, maxNote); !ok {
				return fault.New(fault.Invalid, "input.note", problem)
			}
		}
		type stored struct {
			member  nid.ID
			version int
			verdict *Verdict
			note    *string
		}
		f, ok, err := store.SelectOne(ctx, tx, func(f *stored) []any { return []any{&f.member, &f.version, &f.verdict, &f.note} },
			`SELECT member_id, version, verdict, note FROM leak_findings WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), in.ID)
		if err != nil {
			return err
		}
		if !ok || f.member == actor.ID {
			return fault.Missing("input.id")
		}
		out, err := store.OutOfScope(ctx, tx, actor.Scope(access.AuditChats), f.member)
		if err != nil {
			return err
		}
		switch {
		case len(out) > 0:
			return fault.Missing("input.id")
		case in.Version != f.version:
			return fault.Stale("input.version", f.version)
		case word(in.Verdict) == word(f.verdict) && text(in.Note) == text(f.note):
			return nil
		}
		var by, at, note any
		if in.Verdict != nil {
			by, at = actor.ID, tx.Now()
		}
		if text(in.Note) != "" {
			note = *in.Note
		}
		if _, err := tx.Change(ctx, "leak_findings", `UPDATE leak_findings SET verdict = $3, note = $4, reviewed_by_id = $5, reviewed_at = $6, version = version + 1, updated_at = $7
			WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), in.ID, in.Verdict, note, by, at, tx.Now()); err != nil {
			return err
		}
		before, after := map[string]any{"verdict": word(f.verdict)}, map[string]any{"verdict": word(in.Verdict), "member": f.member}
		if text(in.Note) != text(f.note) {
			before["note"], after["note"] = audit.Personal{Subject: f.member, Value: text(f.note)}, audit.Personal{Subject: f.member, Value: text(in.Note)}
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.FindingReview, Subject: in.ID, Before: before, After: after})
	})
}

// word is a verdict for the log: OPEN where nobody has said anything.
func word(v *Verdict) string {
	if v == nil {
		return "OPEN"
	}
	return string(*v)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
