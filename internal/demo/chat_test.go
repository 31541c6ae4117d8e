package demo_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/demo"
)

func TestMessagesFitWhoLookedAfterWhom(t *testing.T) {
	d := demo.New(now)
	type pair struct{ member, contact string }
	from, until := map[pair]time.Time{}, map[pair]time.Time{}
	for _, f := range d.Follows {
		from[pair{f.UserID, f.ExternalUserID}] = f.Since
		if f.UserID == demo.Lina {
			until[pair{f.UserID, f.ExternalUserID}] = memberOf(t, d.Corp, demo.Lina).DepartedAt
		}
	}
	for _, p := range d.Past {
		if p.Outcome != demo.Completed {
			continue
		}
		for _, a := range p.Assignments {
			for _, x := range a.Contacts {
				until[pair{p.Leaver, x}] = p.PlannedAt
				if _, ok := from[pair{a.Successor, x}]; !ok {
					from[pair{a.Successor, x}] = p.ExecutedAt
				}
			}
		}
	}
	kinds, texts, linas := map[string]int{}, map[string]int{}, map[string]bool{}
	var chinese, english, groups, leaks int
	for _, m := range all(t, d) {
		kinds[m.Kind]++
		texts[m.Text]++
		if strings.ContainsAny(m.Text, "{}") || m.Attachment != nil && strings.ContainsAny(m.Attachment.Name, "{}") {
			t.Fatalf("unfilled: %+v", m)
		}
		if m.Text != "" && utf8.RuneCountInString(m.Text) == len(m.Text) {
			english++
		} else {
			chinese++
		}
		if strings.Contains(m.Text, "lina_private_demo") || strings.Contains(m.Text, "13800000000") || m.Kind == "CARD" {
			leaks++
		}
		if m.ChatID != "" {
			groups++
			continue
		}
		userID, contact := m.Pair()
		p := pair{userID, contact}
		if userID == demo.Lina {
			linas[contact] = true
		}
		if since, ok := from[p]; !ok || m.SentAt.Before(since) || !m.SentAt.Before(now) {
			t.Fatalf("%s wrote with %s at %s, following since %s", userID, contact, m.SentAt, since)
		}
		if end, ok := until[p]; ok && m.SentAt.After(end) {
			t.Fatalf("%s wrote with %s at %s, after the end at %s", userID, contact, m.SentAt, end)
		}
	}
	if kinds["TEXT"] < 15000 || kinds["FILE"] < 100 || kinds["IMAGE"] < 100 || chinese < 5000 || english < 1000 || groups < 500 || leaks == 0 || len(texts) < 3000 {
		t.Errorf("kinds %v, %d Chinese, %d English, %d in groups, %d leaks, %d different texts", kinds, chinese, english, groups, leaks, len(texts))
	}
	if len(linas) != demo.LinaContacts {
		t.Errorf("李娜 wrote with %d contacts", len(linas))
	}
}

func TestReadingMessagesCanStopAndStartAgain(t *testing.T) {
	d := demo.NewOther(now)
	n := 0
	for range d.Messages {
		if n++; n == 7 {
			break
		}
	}
	if got := len(all(t, d)); n != 7 || got != demo.OtherMessages {
		t.Fatalf("%d, then %d messages", n, got)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		n := 0
		for range demo.New(now).Messages {
			n++
		}
		if n != demo.Messages {
			b.Fatal(n)
		}
	}
}
