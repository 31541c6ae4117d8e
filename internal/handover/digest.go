package handover

import (
	"crypto/sha256"
	"encoding/hex"
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
	sum := sha256.Sum256(canonical(corp, p))
	return hex.EncodeToString(sum[:])
}

// canonical is what the digest is over.
func canonical(corp nid.ID, p *planned) []byte {
	sorted := slices.Clone(p.Items)
	slices.SortFunc(sorted, func(a, b Item) int {
		if c := strings.Compare(string(a.Kind), string(b.Kind)); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	items := make([]any, len(sorted))
	for i, it := range sorted {
		items[i] = map[string]any{
			"kind": string(it.Kind), "id": it.ID.String(), "version": it.Version, "from": it.From.String(), "to": it.To.String(),
		}
	}
	history := map[string]any{"mode": "NONE", "from": nil, "until": nil, "expiresAt": nil}
	if h := p.History; h != nil {
		history = map[string]any{"mode": h.Mode, "from": stamp(h.From), "until": stamp(h.Until), "expiresAt": stamp(h.ExpiresAt)}
	}
	var message any
	if p.Message != nil {
		message = *p.Message
	}
	b, err := canon.Marshal(map[string]any{
		"v": 1, "corp": corp.String(), "kind": string(p.Kind), "leaver": p.LeaverID.String(), "items": items,
		"history": history, "message": message, "start": nil,
	})
	if err != nil {
		panic("handover: a checked plan is not canonical: " + err.Error())
	}
	return b
}
