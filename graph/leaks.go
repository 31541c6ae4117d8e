package graph

import (
	"context"
	"slices"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/predicate"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

var findings = &table[*model.LeakFinding]{
	name: "leak_findings", kind: nid.LeakFinding, id: func(f *model.LeakFinding) nid.ID { return f.ID },
	rows: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) ([]*model.LeakFinding, error) {
		found, err := c.LeakFinding.Query().Where(predicate.LeakFinding(f)).All(ctx)
		out := make([]*model.LeakFinding, len(found))
		for i, l := range found {
			out[i] = &model.LeakFinding{LeakFinding: l}
		}
		return out, err
	},
	count: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) (int, error) {
		return c.LeakFinding.Query().Where(predicate.LeakFinding(f)).Count(ctx)
	},
}

var lastHappened = order[*model.LeakFinding]{desc: true, key: timeKey("AT", "leak_findings.at", func(f *model.LeakFinding) time.Time { return f.At })}

func (r *Resolver) listFindings(ctx context.Context, f *model.LeakFindingFilter, s span) (*model.LeakFindingConnection, error) {
	n := r.narrow()
	look := leak.Look{}
	if f != nil {
		n.id("leak_findings.member_id", f.MemberID)
		if f.MemberID != nil {
			look.Member = *f.MemberID
		}
		words(n, "leak_findings.kind", "filter.kinds", f.Kinds)
		n.between("leak_findings.at", f.From, f.Until)
		if f.Reviewed != nil && *f.Reviewed {
			n.And("leak_findings.verdict IS NOT NULL")
		} else if f.Reviewed != nil {
			n.And("leak_findings.verdict IS NULL")
		}
	}
	if err := n.bad.Err(); err != nil {
		return nil, err
	}
	// Read and closed before the look is written down: nobody holds two connections.
	reading, done := r.DB.Reading(ctx)
	defer done()
	found, err := page(reading, findings, &n.Where, lastHappened, s)
	if err != nil {
		return nil, err
	}
	found.Count = func(ctx context.Context) (int, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return 0, err
		}
		return findings.count(ctx, q.Ent(), n.Apply)
	}
	if err := addTexts(reading, found.Nodes); err != nil {
		return nil, err
	}
	done()
	return found, r.recordFindings(ctx, look, found.Nodes)
}

func (r *Resolver) recordFindings(ctx context.Context, look leak.Look, rows []*model.LeakFinding) error {
	if len(rows) == 0 {
		return nil
	}
	for _, f := range rows {
		look.Findings = append(look.Findings, f.ID)
	}
	return r.Use.Leak.Record(ctx, look)
}

// addFindings is what node gives of findings: a look like any other.
func (r *Resolver) addFindings(ctx context.Context, ids []nid.ID, out map[nid.ID]siblings.Entity) error {
	rows, err := r.findingsByID(ctx, ids)
	for _, f := range rows {
		out[f.ID] = f
	}
	return err
}

func (r *Resolver) findingsByID(ctx context.Context, ids []nid.ID) ([]*model.LeakFinding, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id nid.ID) bool { return id.Kind() != nid.LeakFinding })
	if len(ids) == 0 {
		return nil, nil
	}
	reading, done := r.DB.Reading(ctx)
	defer done()
	var w store.Where
	if err := in(reading, &w, "leak_findings.id", ids); err != nil {
		return nil, err
	}
	rows, err := findings.load(reading, &w)
	if err != nil {
		return nil, err
	}
	if err := addTexts(reading, rows); err != nil {
		return nil, err
	}
	done()
	return rows, r.recordFindings(ctx, leak.Look{}, rows)
}

// addTexts puts the messages to their findings. What the settings hide is hidden here
// too, but for the marked places: they are what the finding is about.
func addTexts(ctx context.Context, rows []*model.LeakFinding) error {
	ids := idsOf(rows, func(f *model.LeakFinding) nid.ID { return f.MessageID })
	if len(ids) == 0 {
		return nil
	}
	var w store.Where
	if err := in(ctx, &w, "messages.id", ids); err != nil {
		return err
	}
	history.Agreed(&w)
	found, err := messages.load(ctx, &w)
	if err != nil {
		return err
	}
	policy, err := hidden(ctx)
	if err != nil {
		return err
	}
	byID := make(map[nid.ID]*model.Message, len(found))
	for _, m := range found {
		byID[m.ID] = m
	}
	var shown []*model.Message
	for _, f := range rows {
		m := byID[f.MessageID]
		if m == nil {
			continue
		}
		own := &model.Message{Message: m.Message, Text: m.Text}
		if m.Text != nil {
			text := unhidden(*m.Text, policy, f.Marks)
			own.Text = &text
		}
		f.Message = own
		shown = append(shown, own)
	}
	siblings.Join(shown)
	return nil
}

// unhidden is a text with its numbers hidden outside of the marks. Hiding keeps a text's
// length in bytes, so the marked bytes can be put back.
func unhidden(text string, p detect.Policy, marks []map[string]any) string {
	masked, _ := detect.Mask(text, p)
	if masked == text {
		return text
	}
	b := []byte(masked)
	for _, m := range marks {
		if start, end, in := bounds(m); !in && start <= end && end <= len(text) {
			copy(b[start:end], text[start:end])
		}
	}
	if !utf8.Valid(b) { // a mark that cuts a star in two
		return masked
	}
	return string(b)
}

// bounds reads a stored mark.
func bounds(m map[string]any) (start, end int, inAttachment bool) {
	s, _ := m["start"].(float64)
	e, _ := m["end"].(float64)
	return max(0, int(s)), max(0, int(e)), m["field"] == string(detect.InAttachment)
}

// marksOf counts the marks as JavaScript counts; without the message there are none.
func marksOf(f *model.LeakFinding) []*model.LeakMark {
	out := []*model.LeakMark{}
	if f.Message == nil {
		return out
	}
	for _, m := range f.Marks {
		start, end, inAttachment := bounds(m)
		var of string
		if inAttachment {
			of, _ = f.Message.Attachment["name"].(string)
		} else if f.Message.Text != nil {
			of = *f.Message.Text
		}
		if start > end || end > len(of) {
			continue
		}
		from := units(of[:start])
		out = append(out, &model.LeakMark{InAttachment: inAttachment, Start: from, End: from + units(of[start:end])})
	}
	return out
}

// units is the length of a text in UTF-16 code units.
func units(s string) (n int) {
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}
