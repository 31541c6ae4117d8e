package nid_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/nid"
)

func TestTextRoundTripsForEveryIDOfAKnownKind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id nid.ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		id[15] = byte(rapid.IntRange(int(nid.Corp), int(nid.Passkey)).Draw(t, "kind"))
		back, err := nid.Parse(id.String())
		if err != nil || back != id {
			t.Fatalf("%s parsed to %x, %v; want %x", id, back, err, id)
		}
	})
}

func TestTextKeepsTheOrderOfTheBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := nid.New(nid.Contact), nid.New(nid.Contact)
		copy(a[:15], rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, "a"))
		copy(b[:15], rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, "b"))
		if slices.Compare(a[:], b[:]) != strings.Compare(a.String(), b.String()) {
			t.Fatalf("%x and %x sort otherwise as %s and %s", a, b, a, b)
		}
	})
}

func TestOneSpellingOnly(t *testing.T) {
	good := nid.New(nid.Contact).String()
	for name, s := range map[string]string{
		"empty": "", "upper case": strings.ToUpper(good), "another prefix": "grp" + good[3:],
		"unknown prefix": "zzz" + good[3:], "a letter outside the alphabet": good[:10] + "u" + good[11:],
		"first digit too large": good[:4] + "8" + good[5:], "short": good[:29], "long": good + "0",
		"uuid": nid.New(nid.Contact).UUID(),
	} {
		if id, err := nid.Parse(s); err == nil {
			t.Errorf("%s: %q was read as %s", name, s, id)
		}
	}
}

func TestKnownVector(t *testing.T) {
	id := nid.ID{0x01, 0x93, 0x5c, 0x0f, 0x1e, 0x2d, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, byte(nid.Contact)}

	if got := id.String(); len(got) != 30 || !strings.HasPrefix(got, "con_01") {
		t.Fatalf("got %s", got)
	}
	if got, _ := nid.Parse(id.String()); got != id {
		t.Fatal("vector does not round-trip")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(nid.New(nid.Handover).String())
	f.Add("con_")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := nid.Parse(s); err == nil && id.String() != s {
			t.Fatalf("%q and %q are the same id", s, id)
		}
	})
}
