package graph

import (
	"context"
	"time"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

var (
	exports = tableOf("exports", nid.Export, func(v *ent.Export) nid.ID { return v.ID },
		func(c *ent.Client) *ent.ExportQuery { return c.Export.Query() })
	exportsByTime = order[*ent.Export]{key: timeKey("CREATED_AT", "exports.created_at", func(v *ent.Export) time.Time { return v.CreatedAt }), desc: true}
)

// listExports reads the viewer's own: ent's rule leaves out all others.
func listExports(ctx context.Context, s span) (*model.ExportConnection, error) {
	return page(ctx, exports, &store.Where{}, exportsByTime, s)
}

func exportOf(ctx context.Context, id nid.ID) (*ent.Export, error) {
	return reread(ctx, func(c *ent.Client) (*ent.Export, error) { return c.Export.Get(ctx, id) })
}

func exportInput(in model.CreateExportInput) export.Input {
	return export.Input{Subject: export.Subject(in.Subject), Format: export.Format(in.Format), HandoverID: in.HandoverID, Contacts: in.Contacts}
}

// linkTo is a new link to a file, for who asked for it.
func (r *Resolver) linkTo(ctx context.Context, e *ent.Export) *string {
	actor := access.From(ctx)
	if export.State(e.State) != export.Ready || actor.Kind != access.Person || actor.ID != e.RequestedByID || e.ExpiresAt == nil || !r.DB.Now().Before(*e.ExpiresAt) {
		return nil
	}
	format := export.Format("")
	if e.Format != nil {
		format = export.Format(*e.Format)
	}
	return some(r.Use.Export.URL(e.CorpID, e.ID, export.Subject(e.Subject), format, e.Language, e.CreatedAt))
}
