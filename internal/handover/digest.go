package handover

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/nid"
)

// digest is SHA-256, in hex, over the RFC 8785 JSON of what a plan decides: corp,
// kind, leaver, items sorted by kind and id with their ownership versions, history
// scope, message and start. No random id and no "now" is in it, so a preview and
// the plan stored from it agree. docs/plan-digest.md has a test vector.
func digest(corp nid.ID, p *planned) string {
	h := sha256.New()
	canonical(h, corp, p)
	return hex.EncodeToString(h.Sum(nil))
}

// canonical writes what the digest is over, piece by piece: a plan may have a
// hundred thousand items. The keys come in the order of RFC 8785.
func canonical(w io.Writer, corp nid.ID, p *planned) {
	order := make([]int, len(p.Items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &p.Items[i], &p.Items[j]
		if c := strings.Compare(string(a.Kind), string(b.Kind)); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	_, _ = fmt.Fprintf(w, `{"corp":"%s","history":%s,"items":[`, corp, text(scopeText(p.history())))
	for n, i := range order {
		it := &p.Items[i]
		if n > 0 {
			_, _ = io.WriteString(w, ",")
		}
		_, _ = fmt.Fprintf(w, `{"from":"%s","id":"%s","kind":"%s","to":"%s","version":%d}`, it.From, it.ID, it.Kind, it.To, it.Version)
	}
	var message any
	if p.Message != nil {
		message = *p.Message
	}
	_, _ = fmt.Fprintf(w, `],"kind":"%s","leaver":"%s","message":%s,"start":%s,"v":1}`, p.Kind, p.LeaverID, text(message), text(stamp(p.StartAt)))
}

func scopeText(h HistoryScope) map[string]any {
	return map[string]any{"mode": h.Mode, "from": stamp(h.From), "until": stamp(h.Until), "expiresAt": stamp(h.ExpiresAt)}
}

// text is the canonical JSON of a part.
func text(v any) []byte {
	b, err := canon.Marshal(v)
	if err != nil {
		panic("handover: a checked plan is not canonical: " + err.Error())
	}
	return b
}

// history is the plan's scope: as given, else as the rule set says, else NONE.
func (p *planned) history() HistoryScope {
	if h := cmp.Or(p.History, p.scope); h != nil {
		return *h
	}
	return HistoryScope{Mode: "NONE"}
}
