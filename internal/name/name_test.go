package name_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/name"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		what, name string
		ok         bool
	}{
		{"Chinese", "李娜", true},
		{"Latin with accents and an apostrophe", "Zoë O'Neill", true},
		{"emoji made with joiners", "店长👩\u200d💼", true},
		{"right-to-left script without marks", "שלום", true},
		{"as long as allowed", strings.Repeat("李", name.MaxRunes), true},
		{"one too long", strings.Repeat("李", name.MaxRunes+1), false},
		{"empty", "", false},
		{"spaces only", " \u3000", false},
		{"NUL", "a\x00b", false},
		{"line feed", "a\nb", false},
		{"tab", "a\tb", false},
		{"C1 control", "a\u0085b", false},
		{"DEL", "a\x7fb", false},
		{"override", "a\u202eb", false},
		{"isolate", "a\u2066b", false},
		{"left-to-right mark", "a\u200eb", false},
		{"Arabic letter mark", "a\u061cb", false},
		{"line separator", "a\u2028b", false},
		{"byte order mark", "\ufeffa", false},
		{"not UTF-8", "\xc0\xee\xc4\xc8", false},
	} {
		problem, ok := name.Check(tt.name)
		if ok != tt.ok {
			t.Errorf("%s: Check(%q) = %v, want %v", tt.what, tt.name, ok, tt.ok)
		}
		if (problem.EN == "" || problem.ZH == "") != ok {
			t.Errorf("%s: ok is %v, but the problem reads %+v", tt.what, ok, problem)
		}
	}
}

func TestCheckText(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "two\nlines\tand a tab": true, "12345678901234567890": true,
		"123456789012345678901": false, "a\x00": false, "a\r\n": false, "\u202e": false, "\xff": false,
	} {
		if _, got := name.CheckText(text, 20); got != ok {
			t.Errorf("CheckText(%q) = %v, want %v", text, got, ok)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"":         "",
		"李娜":       "李娜",
		"Anna":     "anna",
		"ÉCLAIR":   "éclair",
		"E\u0301":  "é",
		"ΣΑΣ":      "σασ",
		"\u212a":   "k", // the Kelvin sign is canonically a K
		"Ａnna":     "ａnna",
		"\ufa0a":   "\u898b", // a compatibility ideograph that form C replaces
		"I\u0307x": "ix",     // İ composes and Go lowers it to i
	} {
		if got := name.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFoldSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "name")
		key := name.Fold(s)
		if name.Fold(key) != key {
			t.Fatalf("Fold(%q) = %q, which folds again to %q", s, key, name.Fold(key))
		}
		if !norm.NFC.IsNormalString(key) || name.Fold(norm.NFD.String(s)) != key {
			t.Fatalf("Fold(%q) = %q depends on how the name was typed", s, key)
		}
	})
}

func FuzzFold(f *testing.F) {
	f.Add("李娜 Anna")
	f.Add("E\u0301\u0345I\u0307")
	f.Add("\xff\u0130")
	f.Fuzz(func(t *testing.T, s string) {
		if key := name.Fold(s); name.Fold(key) != key {
			t.Fatalf("Fold(%q) does not settle", s)
		}
		if _, ok := name.Check(s); ok && (!utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\u202e")) {
			t.Fatalf("%q was taken", s)
		}
	})
}
