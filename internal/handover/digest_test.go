package handover

import (
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/nid"
)

func id(k nid.Kind, n byte) nid.ID { return nid.ID{1, 2, 3, 4, 5, 6, 0x70, n, 0x80, 15: byte(k)} }

func written(corp nid.ID, p *planned) string {
	var b strings.Builder
	canonical(&b, corp, p)
	return b.String()
}

// example is the plan of docs/plan-digest.md.
func example() *planned {
	from, until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	lina, wang := id(nid.Member, 1), id(nid.Member, 2)
	return &planned{
		Input: Input{Kind: Resigned, LeaverID: lina, History: &HistoryScope{Mode: "WINDOW", From: &from, Until: &until}},
		Items: []Item{
			{Kind: Group, ID: id(nid.Group, 5), Version: 3, From: lina, To: wang},
			{Kind: Contact, ID: id(nid.Contact, 4), Version: 1, From: lina, To: wang},
			{Kind: Contact, ID: id(nid.Contact, 3), Version: 2, From: lina, To: wang},
		},
	}
}

func TestDigestIsTheOneInTheDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/plan-digest.md")
	if err != nil {
		t.Fatal(err)
	}
	corp := id(nid.Corp, 9)
	for _, part := range []string{written(corp, example()), digest(corp, example())} {
		if !strings.Contains(string(doc), part) {
			t.Errorf("docs/plan-digest.md lacks %s", part)
		}
	}
}

// The order in which items were found means nothing; everything that is decided does.
func TestDigestSeesEveryDecision(t *testing.T) {
	corp := id(nid.Corp, 9)
	want := digest(corp, example())
	rapid.Check(t, func(t *rapid.T) {
		p := example()
		p.Items = rapid.Permutation(p.Items).Draw(t, "order")
		if digest(corp, p) != want {
			t.Fatal("the order of items changed the digest")
		}
	})
	message, start := "hello", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, change := range map[string]func(*planned){
		"kind":      func(p *planned) { p.Kind = OnJob },
		"leaver":    func(p *planned) { p.LeaverID = id(nid.Member, 7) },
		"successor": func(p *planned) { p.Items[1].To = id(nid.Member, 7) },
		"version":   func(p *planned) { p.Items[1].Version++ },
		"an item":   func(p *planned) { p.Items = p.Items[1:] },
		"history":   func(p *planned) { p.History = nil },
		"window": func(p *planned) {
			u := p.History.Until.Add(time.Microsecond)
			p.History = &HistoryScope{Mode: "WINDOW", From: p.History.From, Until: &u}
		},
		"message": func(p *planned) { p.Message = &message },
		"start":   func(p *planned) { p.StartAt = &start },
	} {
		p := example()
		change(p)
		if digest(corp, p) == want {
			t.Errorf("another %s has the same digest", name)
		}
	}
	if digest(id(nid.Corp, 8), example()) == want {
		t.Error("another corp has the same digest")
	}
}
