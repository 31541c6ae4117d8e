package graph

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/predicate"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/history"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// messages are read with history.Readable in every statement: ent's rules know no time.
var messages = &table[*model.Message]{
	name: "messages", kind: nid.Message, id: func(m *model.Message) nid.ID { return m.ID },
	rows: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) ([]*model.Message, error) {
		found, err := c.Message.Query().Where(predicate.Message(f)).All(ctx)
		out := make([]*model.Message, len(found))
		for i, m := range found {
			out[i] = &model.Message{Message: m, Text: m.Text}
		}
		return out, err
	},
	count: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) (int, error) {
		return c.Message.Query().Where(predicate.Message(f)).Count(ctx)
	},
}

// bySending is oldest first.
var bySending = order[*model.Message]{key: timeKey("SENT_AT", "messages.sent_at", func(m *model.Message) time.Time { return m.SentAt })}

// maxSearched is how long a text can be that is searched for, in characters, and
// maxTerms how many words it can have.
const maxSearched, maxTerms = 100, 10

func (r *Resolver) listMessages(ctx context.Context, f model.MessageFilter, search *string, s span) (*model.MessageConnection, error) {
	n := r.narrow()
	n.messages(ctx, f, search)
	if err := n.bad.Err(); err != nil {
		return nil, err
	}
	// Read and closed before the look is written down: nobody holds two connections.
	reading, done := r.DB.Reading(ctx)
	defer done()
	if search != nil && numeric(*search) {
		// Who searched for digits could find out what is hidden.
		policy, err := hidden(reading)
		if err != nil {
			return nil, err
		}
		if policy != (detect.Policy{}) {
			history.Own(&n.Where, access.From(ctx))
		}
	}
	found, err := page(reading, messages, &n.Where, bySending, s)
	if err != nil {
		return nil, err
	}
	found.Count = func(ctx context.Context) (int, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return 0, err
		}
		return messages.count(ctx, q.Ent(), n.Apply)
	}
	looks, err := present(reading, r.DB.Now(), found.Nodes)
	if err != nil {
		return nil, err
	}
	done()
	return found, r.record(ctx, looks, f, search)
}

// record writes down the looks at messages by a grant, and all of a search.
func (r *Resolver) record(ctx context.Context, looks []history.Reading, f model.MessageFilter, search *string) error {
	if search == nil {
		looks = slices.DeleteFunc(looks, func(l history.Reading) bool { return len(l.Through) == 0 })
	} else if len(looks) == 0 {
		of := f.MemberID
		for _, id := range []*nid.ID{f.GroupID, f.ContactID} {
			if id != nil {
				of = id
			}
		}
		looks = []history.Reading{{Of: *of}}
	}
	if len(looks) == 0 {
		return nil
	}
	for i := range looks {
		looks[i].Search = orZero(search)
	}
	return (&history.Readings{DB: r.DB, Log: r.Use.Handover.Log}).Record(ctx, looks...)
}

// numeric reports whether a text could find part of a number, however that is written:
// a digit, or two numerals in a row (一 alone is in every other word), also as two words.
func numeric(s string) bool {
	before := false
	for _, r := range strings.Join(strings.Fields(s), "") {
		numeral := strings.ContainsRune("零〇一二三四五六七八九幺两壹贰叁肆伍陆柒捌玖", r)
		if unicode.IsNumber(r) && !unicode.Is(unicode.Han, r) || numeral && before {
			return true
		}
		before = numeral
	}
	return false
}

// messages narrows to what the filter asks for and the viewer may read.
func (n *narrow) messages(ctx context.Context, f model.MessageFilter, search *string) {
	if f.ContactID == nil && f.GroupID == nil && f.MemberID == nil {
		n.bad = append(n.bad, fault.Bad("filter", "say whose messages: give contactId, groupId or memberId", "请指定查看谁的消息:contactId、groupId 或 memberId"))
		return
	}
	n.id("messages.contact_id", f.ContactID)
	n.id("messages.group_id", f.GroupID)
	n.id("messages.member_id", f.MemberID)
	n.between("messages.sent_at", f.From, f.Until)
	if search != nil {
		terms := strings.Fields(*search)
		if len(terms) == 0 || len(terms) > maxTerms || !utf8.ValidString(*search) || utf8.RuneCountInString(*search) > maxSearched || strings.ContainsRune(*search, 0) {
			n.bad = append(n.bad, fault.Bad("search", "give up to %d words, %d characters at most", "请输入最多 %d 个词,共不超过 %d 个字符", maxTerms, maxSearched))
			return
		}
		for _, term := range terms {
			n.contains("messages.text", term)
		}
	}
	history.Readable(&n.Where, access.From(ctx), n.db.Now())
}

// contains: the text has the term in it. There is no index: whose messages are searched
// is always said, and of those all are looked at (docs/decisions/0010-chat-search.md).
func (n *narrow) contains(column, term string) {
	like := "LIKE" // on SQLite in either case
	if n.db.Postgres() && strings.ToLower(term) != strings.ToUpper(term) {
		like = "ILIKE" // three times as slow, so not for Chinese
	}
	n.And(column+" "+like+` ? ESCAPE '\'`, "%"+strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(term)+"%")
}

// present says by what each message may be read, hides what the corp's settings hide in
// those read by a grant, and gives the look at each contact's or group's messages.
func present(ctx context.Context, now time.Time, rows []*model.Message) ([]history.Reading, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	stored := make([]*ent.Message, len(rows))
	for i, m := range rows {
		stored[i] = m.Message
	}
	through, err := history.Through(ctx, q, now, stored)
	if err != nil {
		return nil, err
	}
	var policy detect.Policy
	if len(through) > 0 {
		if policy, err = hidden(ctx); err != nil {
			return nil, err
		}
	}
	var looks []history.Reading
	var grants []*ent.HistoryGrant
	for _, m := range rows {
		g := through[m.ID]
		if m.Through = g; g != nil {
			if m.Text != nil {
				text, _ := detect.Mask(*m.Text, policy)
				m.Text = &text
			}
			if !slices.Contains(grants, g) {
				grants = append(grants, g)
			}
		}
		looks = note(looks, m)
	}
	siblings.Join(grants)
	return looks, nil
}

// note adds a message to the look at its contact's or group's messages.
func note(looks []history.Reading, m *model.Message) []history.Reading {
	of, whose := m.ContactID, m.MemberID
	if of.IsZero() {
		of, whose = m.GroupID, nid.ID{}
		if !m.FromContact {
			whose = m.AuthorID
		}
	}
	i := slices.IndexFunc(looks, func(l history.Reading) bool { return l.Of == of })
	if i < 0 {
		i, looks = len(looks), append(looks, history.Reading{Of: of, First: m.SentAt, Last: m.SentAt})
	}
	l := &looks[i]
	l.Messages++
	if m.SentAt.Before(l.First) {
		l.First = m.SentAt
	}
	if m.SentAt.After(l.Last) {
		l.Last = m.SentAt
	}
	if m.Through == nil {
		return looks
	}
	if !slices.Contains(l.Through, m.Through.ID) {
		l.Through = append(l.Through, m.Through.ID)
	}
	if l.Handover.IsZero() {
		l.Handover = m.Through.HandoverID
	}
	if !whose.IsZero() {
		if l.Whose == nil {
			l.Whose = map[nid.ID]int{}
		}
		l.Whose[whose]++
	}
	return looks
}

// hidden is what the corp's settings hide in messages that are read by a grant.
func hidden(ctx context.Context) (detect.Policy, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return detect.Policy{}, err
	}
	s, err := setting.Load(ctx, q)
	return detect.Policy{Phones: s.MaskPhones, IDCards: s.MaskIDCards, BankCards: s.MaskBankCards}, err
}

// addMessages is what node gives of messages: a look like any other.
func (r *Resolver) addMessages(ctx context.Context, ids []nid.ID, out map[nid.ID]siblings.Entity) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id nid.ID) bool { return id.Kind() != nid.Message })
	if len(ids) == 0 {
		return nil
	}
	reading, done := r.DB.Reading(ctx)
	defer done()
	var w store.Where
	if err := in(reading, &w, "messages.id", ids); err != nil {
		return err
	}
	now := r.DB.Now()
	history.Readable(&w, access.From(ctx), now)
	rows, err := messages.load(reading, &w)
	if err != nil {
		return err
	}
	for _, m := range rows {
		out[m.ID] = m
	}
	looks, err := present(reading, now, rows)
	if err != nil {
		return err
	}
	done()
	return r.record(ctx, looks, model.MessageFilter{}, nil)
}

// attachment gives what came with a message.
func attachment(m *model.Message) *model.Attachment {
	if len(m.Attachment) == 0 {
		return nil
	}
	var a model.Attachment
	if s, ok := m.Attachment["name"].(string); ok && s != "" {
		a.Name = &s
	}
	if s, ok := m.Attachment["mimeType"].(string); ok && s != "" {
		a.MimeType = &s
	}
	if n, ok := m.Attachment["size"].(float64); ok {
		size := int(n)
		a.Size = &size
	}
	return &a
}
