// Package evidence makes the package that shows, years later and to somebody who
// trusts nobody's database, who decided about one handover and what became of it. See
// docs/evidence.md; package offline has the format and checks it.
package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// ErrUnsealed is a log whose newest checkpoint does not cover the case yet.
var ErrUnsealed = errors.New("evidence: no checkpoint covers the last entry of this handover yet; it takes a minute, or `handover audit checkpoint`")

// batch is how many rows are read at once.
const batch = 2000

// Write writes the package of a handover as a ZIP archive. Two packages of a case to
// which nothing has happened in between are equal, byte for byte: nothing of the
// moment goes in, and the checkpoint is the first that covers the case. Memory grows
// with the plan and the names in it only.
//
// The actor needs READ_AUDIT_LOG over the whole corp. Fails with NOT_FOUND for an
// unknown handover, and with ErrUnsealed. It records nothing; whoever calls it does.
func Write(ctx context.Context, q *store.Read, reader *audit.Reader, id nid.ID, w io.Writer) error {
	if !access.From(ctx).Scope(access.ReadAuditLog).All {
		return fault.Denied("evidence needs READ_AUDIT_LOG over the whole corp", "导出证据需要对整个企业的 READ_AUDIT_LOG 权限")
	}
	c, err := readCase(ctx, q, id)
	if err != nil {
		return err
	}
	var plan bytes.Buffer
	if _, err := handover.WritePlan(ctx, q, id, &plan); err != nil {
		return err
	}
	if c.report, err = offline.NewReporter(c.Corp, c.Handover.ID, plan.Bytes()); err != nil {
		return err
	}
	p := &pack{zip: zip.NewWriter(w), sums: map[string]any{}}
	put := map[string]func(io.Writer) error{
		offline.CaseFile:       func(w io.Writer) error { return offline.Line(w, &c.Case) },
		offline.CheckpointFile: func(w io.Writer) error { _, err := io.WriteString(w, c.note); return err },
		offline.KeysFile:       func(w io.Writer) error { return c.keys(ctx, q, w) },
		offline.PlanFile:       func(w io.Writer) error { _, err := w.Write(plan.Bytes()); return err },
		offline.TransfersFile:  func(w io.Writer) error { return c.transfers(ctx, q, w) },
		offline.GrantsFile:     func(w io.Writer) error { return c.grants(ctx, q, w) },
		offline.EntriesFile:    func(w io.Writer) error { return c.entries(ctx, q, w) },
		offline.OpeningsFile:   func(w io.Writer) error { return c.openings(ctx, q, reader, w) },
		offline.ReadmeFile:     func(w io.Writer) error { _, err := io.WriteString(w, offline.HowTo); return err },
		offline.ManifestFile: func(w io.Writer) error {
			b, err := canon.Marshal(map[string]any{"v": offline.Version, "files": p.sums})
			if err != nil {
				return err
			}
			_, err = w.Write(b)
			return err
		},
	}
	for _, lang := range offline.Languages {
		put[offline.ReportFile+lang+".html"] = func(w io.Writer) error { return c.report.Report(w, lang, &c.Case, c.note) }
	}
	for _, name := range offline.Files {
		if err := p.add(name, put[name]); err != nil {
			return err
		}
	}
	return p.zip.Close()
}

// pack writes files that depend on nothing but what is in them.
type pack struct {
	zip  *zip.Writer
	sums map[string]any
}

func (p *pack) add(name string, put func(io.Writer) error) error {
	f, err := p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err != nil {
		return err
	}
	sum := &summing{w: f, h: sha256.New()}
	if err := put(sum); err != nil {
		return err
	}
	p.sums[name] = hex.EncodeToString(sum.h.Sum(nil))
	return nil
}

type summing struct {
	w io.Writer
	h hash.Hash
}

func (s *summing) Write(b []byte) (int, error) { s.h.Write(b); return s.w.Write(b) }

// theCase is a case on its way into a package.
type theCase struct {
	offline.Case
	id     nid.ID
	note   string
	size   int64
	report *offline.Reporter
}

func readCase(ctx context.Context, q *store.Read, id nid.ID) (*theCase, error) {
	corp := access.From(ctx).Corp
	c := &theCase{Case: offline.Case{Corp: corp.String(), Approvals: []offline.Approval{}}, id: id}
	h := &c.Handover
	type ids struct{ leaver, requester, executor, revertOf, revertedBy, followUp nid.ID }
	var r ids
	_, ok, err := store.SelectOne(ctx, q, func(*ids) []any {
		return []any{&h.Kind, &h.State, &h.Digest, &r.leaver, &r.requester, &r.executor, &r.revertOf, &r.revertedBy, &r.followUp,
			&h.Created, &h.Started, &h.Finished, &h.Total, &h.Completed}
	}, `SELECT kind, state, digest, leaver_id, requested_by_id, executed_by_id, revert_of_id, reverted_by_id, follow_up_of_id,
		created_at, started_at, finished_at, total, completed FROM handovers WHERE corp_id = $1 AND id = $2`, corp, id)
	if err == nil && !ok {
		err = fault.Missing("id")
	}
	if err != nil {
		return nil, err
	}
	h.ID, h.Created, h.Started, h.Finished = id.String(), h.Created.UTC(), utc(h.Started), utc(h.Finished)
	h.Leaver, h.Requester, h.Executor = shown(r.leaver), shown(r.requester), shown(r.executor)
	h.RevertOf, h.RevertedBy, h.FollowUpOf = shown(r.revertOf), shown(r.revertedBy), shown(r.followUp)
	if h.Responsible, err = responsible(ctx, q, id); err != nil {
		return nil, err
	}
	type vote struct {
		offline.Approval
		approver nid.ID
	}
	votes, err := store.Select(ctx, q, func(v *vote) []any { return []any{&v.approver, &v.Decision, &v.Digest, &v.At} },
		`SELECT approver_id, decision, digest, decided_at FROM approvals WHERE corp_id = $1 AND handover_id = $2 ORDER BY decided_at, id`, corp, id)
	if err != nil {
		return nil, err
	}
	for _, v := range votes {
		v.Approver, v.At = v.approver.String(), v.At.UTC()
		c.Approvals = append(c.Approvals, v.Approval)
	}
	return c, c.checkpoint(ctx, q)
}

// responsible is who answers for the plan, as the log has it.
func responsible(ctx context.Context, q *store.Read, id nid.ID) (string, error) {
	leaves, err := store.Select(ctx, q, func(b *[]byte) []any { return []any{b} },
		`SELECT leaf FROM audit_entries WHERE corp_id = $1 AND handover_id = $2 AND subject_id = $2 ORDER BY "index"`, access.From(ctx).Corp, id)
	if err != nil {
		return "", err
	}
	return offline.Responsible(leaves)
}

// checkpoint takes the first one that covers the case.
func (c *theCase) checkpoint(ctx context.Context, q *store.Read) error {
	last, _, err := store.SelectOne(ctx, q, func(n *int64) []any { return []any{n} },
		`SELECT coalesce(max("index"), -1) FROM audit_entries WHERE corp_id = $1 AND handover_id = $2`, access.From(ctx).Corp, c.id)
	if err != nil {
		return err
	}
	sealed, key, ok, err := audit.Covering(ctx, q, last)
	if err == nil && !ok {
		err = ErrUnsealed
	}
	c.note, c.size, c.Key = sealed.Note, sealed.Size, key
	return err
}
