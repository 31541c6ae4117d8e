package leaf_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
)

var update = flag.Bool("update", false, "write the test vectors into docs/audit-log.md")

const doc = "../../../docs/audit-log.md"

// id makes a fixed id of a kind.
func id(kind nid.Kind, n byte) nid.ID {
	return nid.ID{0x01, 0x9a, 0x0b, 0x1c, 0x2d, 0x3e, 0x70, 0, 0x80, 13: n, 15: byte(kind)}
}

// counter is the source of "random" bytes 00 01 02 … of the vectors.
type counter byte

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(*c)
		*c++
	}
	return len(b), nil
}

func vectorKey(subject nid.ID) (k leaf.Key, _ error) {
	for i := range k {
		k[i] = subject[13]
	}
	return k, nil
}

// vectors are the entries of docs/audit-log.md: one with everything, and one by the system.
func vectors(t testing.TB) (leaves [][]byte) {
	member, contact := id(nid.Member, 2), id(nid.Contact, 3)
	at := time.Date(2026, 3, 9, 8, 15, 42, 5000, time.UTC)
	var zero counter
	sealer := leaf.Sealer{Keys: vectorKey, Rand: &zero}
	first := leaf.Entry{
		ID: id(nid.Audit, 1), Corp: id(nid.Corp, 1), Index: 0, At: at,
		Actor:  leaf.Actor{Kind: access.Person, ID: member, Label: leaf.Personal{Subject: member, Value: "li.na"}},
		Action: "follow.update", Subject: id(nid.Follow, 4), Handover: id(nid.Handover, 5), Request: "0f3c-7",
		Address: leaf.Personal{Subject: member, Value: "192.0.2.7"},
		Before:  map[string]any{"version": 3, "remark": nil, "protected": false},
		After: map[string]any{
			"version": 4, "remark": leaf.Personal{Subject: contact, Value: "茶, \"绿\"\n"},
			"tags": []string{"老客户", "VIP"}, "since": at.Add(-time.Hour), "member": member,
		},
	}
	second := leaf.Entry{
		ID: id(nid.Audit, 2), Corp: id(nid.Corp, 1), Index: 1, At: at.Add(time.Microsecond), Actor: leaf.Actor{Kind: access.System},
		Action: "handover.execute", Subject: id(nid.Handover, 5), Cause: id(nid.Handover, 5), Reason: "sweep of expired leases",
		Set: leaf.SetOf([]nid.ID{id(nid.Follow, 5), id(nid.Follow, 4), id(nid.Follow, 5)}),
	}
	for i, e := range []leaf.Entry{first, second} {
		if i > 0 {
			e.Prev = leaf.Hash(leaves[i-1])
		}
		b, err := leaf.Encode(e, sealer)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, b)
	}
	return leaves
}

func TestTheDocumentedVectorsAreWhatIsWritten(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i, b := range vectors(t) {
		h := leaf.Hash(b)
		fmt.Fprintf(&want, "Leaf %d:\n\n```json\n%s\n```\n\nHash %d: `%s`\n\n", i, b, i, hex.EncodeToString(h[:]))
	}
	part := regexp.MustCompile(`(?s)(<!-- vectors -->\n\n)(.*)(<!-- end of vectors -->)`)
	if !part.Match(text) {
		t.Fatalf("%s has no place for the vectors", doc)
	}
	if *update {
		text = part.ReplaceAllFunc(text, func(b []byte) []byte {
			m := part.FindSubmatch(b)
			return []byte(string(m[1]) + want.String() + string(m[3]))
		})
		if err := os.WriteFile(doc, text, 0o644); err != nil { //nolint:gosec // a page for everybody to read
			t.Fatal(err)
		}
	}
	if got := string(part.FindSubmatch(text)[2]); got != want.String() {
		t.Fatalf("the format is final, but the page says\n%s\nand the program\n%s", got, want.String())
	}
}

// The page is for other programs to check against, so it must be enough alone.
func TestTheDocumentedVectorsReadAndOpen(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	leaves := regexp.MustCompile("(?m)^```json\n(.*)\n```$").FindAllSubmatch(text, -1)
	hashes := regexp.MustCompile("(?m)^Hash [0-9]: `([0-9a-f]{64})`$").FindAllSubmatch(text, -1)
	if len(leaves) != 2 || len(hashes) != 2 {
		t.Fatalf("%d leaves, %d hashes", len(leaves), len(hashes))
	}
	for i := range leaves {
		if h := leaf.Hash(leaves[i][1]); hex.EncodeToString(h[:]) != string(hashes[i][1]) {
			t.Errorf("hash %d is %x", i, h)
		}
	}
	e, err := leaf.Decode(leaves[0][1])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"label": {e.Actor.Label, "li.na"}, "address": {e.Address, "192.0.2.7"}, "remark": {e.After["remark"], "茶, \"绿\"\n"},
	} {
		sealed := c.value.(leaf.Sealed)
		key, _ := vectorKey(sealed.Subject)
		if got, err := leaf.Open(sealed, &key); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
