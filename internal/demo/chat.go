package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/intake"
)

// talk is one conversation that went on from one moment until another.
type talk struct {
	member      string
	contacts    []string // the one contact, or those who speak in the group
	chat        string
	latin       bool
	from, until time.Time
}

// chat gives n messages, made one thread at a time when they are asked for: no
// more than a thread is ever in memory. Every thread has its own source of
// randomness, so ranging again, or not to the end, changes nothing.
func (w *world) chat(n int, past []PastHandover) messages {
	talks := w.talks(past)
	return func(yield func(intake.Message, error) bool) {
		for thread, made := 0, 0; ; thread++ {
			r := rand.New(rand.NewPCG(seed, w.seq<<32|uint64(thread)))
			t, s := w.choose(thread, talks, r)
			for _, m := range w.thread(r, t, s) {
				if made++; made > n {
					return
				}
				m.MsgID = fmt.Sprintf("msg-%d-%06d", w.seq, made)
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// talks lists who can have talked with whom, and when: 李娜's first, then
// 陈伟's, so that all of theirs have something to read.
func (w *world) talks(past []PastHandover) []talk {
	byID := map[string]*intake.Contact{}
	for i := range w.contacts {
		byID[w.contacts[i].ExternalUserID] = &w.contacts[i]
	}
	type pair struct{ member, item string }
	ended := map[pair]time.Time{}
	var out []talk
	for _, p := range past {
		if p.Outcome != Completed {
			continue
		}
		end := p.PlannedAt
		if !p.DepartsAt.IsZero() {
			end = p.DepartsAt
		}
		for _, a := range p.Assignments {
			for _, id := range a.Contacts {
				ended[pair{p.Leaver, id}] = end
				out = append(out, talk{member: a.Successor, contacts: []string{id}, latin: latin(byID[id].Name), from: p.ExecutedAt})
			}
			for _, id := range a.Groups {
				ended[pair{p.Leaver, id}] = end
				out = append(out, talk{member: a.Successor, contacts: some(w.held[p.Leaver]), chat: id, from: p.ExecutedAt})
			}
		}
	}
	for _, f := range w.follows {
		out = append(out, talk{member: f.UserID, contacts: []string{f.ExternalUserID}, latin: latin(byID[f.ExternalUserID].Name), from: f.Since})
	}
	for _, g := range w.groups {
		out = append(out, talk{member: g.Owner, contacts: some(w.held[g.Owner]), chat: g.ChatID, from: w.today.AddDate(0, 0, -old-60)})
	}
	for i := range out {
		t := &out[i]
		item := t.chat
		if item == "" {
			item = t.contacts[0]
		}
		t.until = w.today
		if w.story && t.member == Lina {
			t.until = w.linaLeft()
		}
		if end, ok := ended[pair{t.member, item}]; ok {
			t.until = end
		}
	}
	out = slices.DeleteFunc(out, func(t talk) bool { return t.days() < 1 })
	if w.story {
		slices.SortStableFunc(out, func(a, b talk) int { return rank(a.member) - rank(b.member) })
	}
	return out
}

func rank(userID string) int {
	if i := slices.Index([]string{Lina, Chenwei}, userID); i >= 0 {
		return i
	}
	return 2
}

// some gives those of a member's contacts who are in the member's groups.
func some(contacts []string) []string { return contacts[:min(len(contacts), 6)] }

// days counts the whole days on which there can have been talk.
func (t talk) days() int { return int(t.until.Sub(t.from)/(24*time.Hour)) - 1 }

// poached is how many of 李娜's customers she asked, before she left, to go on
// with her in private: something for the chat audit to find.
const poached = 6

// choose gives a thread's conversation and what it is about.
func (w *world) choose(thread int, talks []talk, r *rand.Rand) (talk, script) {
	t := pick(r, talks)
	if w.story && thread < len(talks) && rank(talks[thread].member) < 2 {
		t = talks[thread]
	}
	switch {
	case w.story && thread < poached:
		t.from, t.latin = t.until.AddDate(0, 0, -9), false
		return t, pick(r, leaks)
	case t.chat != "":
		return t, pick(r, groupScripts)
	case t.latin:
		return t, pick(r, scriptsEN)
	}
	return t, pick(r, scriptsZH)
}

// thread lets a conversation take place on one working day of those it had.
func (w *world) thread(r *rand.Rand, t talk, s script) []intake.Message {
	day := t.until.In(zone)
	day = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone).AddDate(0, 0, -1-r.IntN(t.days()))
	at := day.UTC().Add(9*time.Hour + time.Duration(r.IntN(8*60*60))*time.Second)
	fill := strings.NewReplacer(
		"{p}", pick(r, productsZH), "{P}", pick(r, productsEN), "{n}", fmt.Sprint(10*(1+r.IntN(60))), "{d}", fmt.Sprint(1+r.IntN(28)),
		"{m}", fmt.Sprint(1+r.IntN(12)), "{c}", pick(r, cities), "{k}", fmt.Sprint(2+r.IntN(8)), "{g}", pick(r, greetings), "{t}", pick(r, thanks),
		"{G}", pick(r, greetingsEN), "{T}", pick(r, thanksEN), "{y}", fmt.Sprintf("%d.%d", 3+r.IntN(90), r.IntN(10)),
	)
	out := make([]intake.Message, 0, len(s))
	speaker := pick(r, t.contacts)
	for _, l := range s {
		m := intake.Message{SentAt: at, Kind: l.kind, Text: fill.Replace(l.text), ChatID: t.chat}
		if m.Kind == "" {
			m.Kind = "TEXT"
		}
		if l.mimeType != "" {
			m.Attachment = &intake.Attachment{Name: m.Text, MimeType: l.mimeType, Size: int64(20_000 + r.IntN(3_000_000))}
			m.Text = ""
		}
		to := t.member
		if l.byMember {
			m.Author, to = t.member, speaker
		} else {
			m.AuthorContact = speaker
		}
		if t.chat == "" {
			m.To = []string{to}
		}
		out = append(out, m)
		at = at.Add(time.Duration(20+r.IntN(600)) * time.Second)
	}
	return out
}
