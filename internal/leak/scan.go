package leak

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/store"
)

// atOnce is how many messages are looked at at a time.
const atOnce = 500

// Scan looks at the messages of a corp that are still to be looked at, and once a day
// at what members who are leaving export and read. It is the work of the kind
// setting.WorkScans. Broken off anywhere it goes on where it was; looking twice finds
// nothing twice.
func (s *Service) Scan(ctx context.Context, corp nid.ID) (next time.Time, err error) {
	ctx = store.System(ctx, corp, "chat audit")
	var own detect.Own
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		settings, err := setting.Load(ctx, tx)
		if err != nil {
			return err
		}
		own = settings.Own
		return everything(ctx, tx, own)
	})
	if err != nil {
		return time.Time{}, err
	}
	d := detect.New(own) // whoever changes it meanwhile wakes us again
	for more := true; more; {
		if more, err = s.batch(ctx, d); err != nil {
			return time.Time{}, err
		}
	}
	return s.leaving(ctx)
}

// message is one that is looked at.
type message struct {
	id, member, contact, author nid.ID
	fromContact                 bool
	kind                        string
	text                        *string
	attachment                  []byte
	sentAt                      time.Time
}

// scan is a range of messages that are still to be looked at.
type scan struct{ id, next, last nid.ID }

// batch looks at some messages. more: there may be others. The detectors run between
// the transactions: nobody waits for them. Two who look at the same find the same.
func (s *Service) batch(ctx context.Context, d *detect.Detector) (more bool, err error) {
	var c scan
	var rows []message
	err = s.DB.View(ctx, func(ctx context.Context, q *store.Read) error {
		c, more, err = store.SelectOne(ctx, q, func(c *scan) []any { return []any{&c.id, &c.next, &c.last} },
			`SELECT id, next_id, last_id FROM chat_scans WHERE corp_id = $1 ORDER BY id LIMIT 1`, access.From(ctx).Corp)
		if err != nil || !more {
			return err
		}
		rows, err = messagesOf(ctx, q, c)
		return err
	})
	if err != nil || !more {
		return false, err
	}
	signs := make([][]sign, len(rows))
	for i := range rows {
		signs[i] = rows[i].findings(d)
	}
	return true, s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ours, err := c.advance(ctx, tx, rows)
		if err != nil || !ours || len(rows) == 0 {
			return err
		}
		return s.keep(ctx, tx, rows, signs)
	})
}

// messagesOf reads the next messages of a scan. What a contact takes part in who does not
// agree any more is not looked at either.
func messagesOf(ctx context.Context, q *store.Read, c scan) ([]message, error) {
	return store.Select(ctx, q, func(m *message) []any {
		return []any{&m.id, &m.member, &m.contact, &m.author, &m.fromContact, &m.kind, &m.text, &m.attachment, &m.sentAt}
	}, `SELECT m.id, m.member_id, m.contact_id, m.author_id, m.from_contact, m.kind, m.text, m.attachment, m.sent_at FROM messages AS m
		LEFT JOIN contacts AS c ON c.corp_id = m.corp_id AND c.id = CASE WHEN m.from_contact THEN m.author_id ELSE m.contact_id END
		WHERE m.corp_id = $1 AND m.id >= $2 AND m.id <= $3 AND (c.id IS NULL OR c.chat_consent = 'AGREED' AND c.erased_at IS NULL)
		ORDER BY m.id LIMIT $4`, access.From(ctx).Corp, c.next, c.last, atOnce)
}

// advance notes how far a scan is. ours: nobody else has, and nobody asks for all to be
// looked at anew.
func (c scan) advance(ctx context.Context, tx *store.Tx, rows []message) (ours bool, err error) {
	var n int
	if len(rows) < atOnce {
		n, err = tx.Keep(ctx, "chat_scans", `DELETE FROM chat_scans WHERE corp_id = $1 AND id = $2 AND next_id = $3`, tx.Corp(), c.id, c.next)
	} else {
		n, err = tx.Keep(ctx, "chat_scans", `UPDATE chat_scans SET next_id = $4 WHERE corp_id = $1 AND id = $2 AND next_id = $3`, tx.Corp(), c.id, c.next, after(rows[len(rows)-1].id))
	}
	return n > 0, err
}

// keep stores what is found in messages and takes away what is not found any more,
// unless somebody has said something of it.
func (s *Service) keep(ctx context.Context, tx *store.Tx, messages []message, signs [][]sign) error {
	ids := make([]nid.ID, len(messages))
	rows := []map[string]any{} // none is an empty list, not null
	for i, m := range messages {
		ids[i] = m.id
		for _, f := range signs[i] {
			rows = append(rows, map[string]any{
				"id": tx.NewID(nid.LeakFinding), "kind": f.kind, "member": f.member, "contact": orNull(m.contact), "message": m.id, "moment": m.sentAt,
				"score": f.score, "en": f.why.EN, "zh": f.why.ZH, "marks": f.marks,
			})
		}
	}
	from := tx.DB().Rows(1, "v", "id uuid", "kind text", "member uuid", "contact uuid", "message uuid", "moment time", "score float8", "en text", "zh text", "marks json")
	found, err := tx.Change(ctx, "leak_findings", `INSERT INTO leak_findings (id, corp_id, created_at, updated_at, version, kind, member_id, contact_id, message_id, at, score, why_en, why_zh, marks)
		SELECT v.id, $2, $3, $3, 1, v.kind, v.member, v.contact, v.message, v.moment, v.score, v.en, v.zh, v.marks FROM `+from+` WHERE true
		ON CONFLICT (corp_id, message_id, kind) WHERE message_id IS NOT NULL DO UPDATE SET score = excluded.score, why_en = excluded.why_en, why_zh = excluded.why_zh,
		marks = excluded.marks, version = leak_findings.version + 1, updated_at = excluded.updated_at
		WHERE leak_findings.verdict IS NULL AND (leak_findings.score <> excluded.score OR leak_findings.why_en <> excluded.why_en OR leak_findings.marks <> excluded.marks)
		RETURNING id`, tx.DB().Batch(rows), tx.Corp(), tx.Now())
	if err != nil {
		return err
	}
	gone, err := tx.Change(ctx, "leak_findings", `DELETE FROM leak_findings WHERE corp_id = $2 AND verdict IS NULL AND message_id `+tx.DB().In(3)+`
		AND NOT EXISTS (SELECT 1 FROM `+from+` WHERE v.message = leak_findings.message_id AND v.kind = leak_findings.kind) RETURNING id`,
		tx.DB().Batch(rows), tx.Corp(), tx.DB().IDs(ids))
	if err != nil || len(found)+len(gone) == 0 {
		return err
	}
	return s.Log.Append(ctx, tx, audit.Entry{Action: access.FindingSave, Subject: tx.Corp(), Covers: append(found, gone...),
		After: map[string]any{"messages": len(messages), "found": len(found), "gone": len(gone)}})
}

// after is the smallest id that comes after another.
func after(id nid.ID) nid.ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

// orNull: a zero id is stored as NULL.
func orNull(id nid.ID) any {
	if id.IsZero() {
		return nil
	}
	return id
}

// sign is what is found in one message of one kind.
type sign struct {
	kind   string
	member nid.ID
	score  float64
	why    fault.Text
	marks  []Mark
}

// findings gives one for each kind: the highest score, all reasons, all places.
func (m *message) findings(d *detect.Detector) (out []sign) {
	who := m.member
	if who.IsZero() && !m.fromContact {
		who = m.author
	}
	if who.IsZero() {
		return nil // a customer in a group: nobody's doing
	}
	in := detect.Message{Kind: m.kind, FromContact: m.fromContact, SentAt: m.sentAt}
	if m.text != nil {
		in.Text = *m.text
	}
	if len(m.attachment) > 0 {
		var a struct{ Name, MimeType string }
		if json.Unmarshal(bytes.ToValidUTF8(m.attachment, nil), &a) == nil {
			in.Attachment, in.Mime = a.Name, a.MimeType
		}
	}
	at := map[string]int{}
	for _, f := range d.Message(in) {
		kind := f.Detector.Kind()
		i, ok := at[kind]
		if !ok {
			i = len(out)
			at[kind] = i
			out = append(out, sign{kind: kind, member: who, marks: []Mark{}})
		}
		s := &out[i]
		if s.score = max(s.score, f.Score); !ok {
			s.why = f.Why
		} else if s.why.EN != f.Why.EN && len(s.why.EN) < 1000 {
			s.why = fault.Text{EN: s.why.EN + " " + f.Why.EN, ZH: s.why.ZH + f.Why.ZH}
		}
		if f.Field != "" {
			s.marks = append(s.marks, Mark{f.Field, f.Span.Start, f.Span.End})
		}
	}
	return out
}
