package canon_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/canon"
)

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The parts of RFC 8785's examples that have no fractions in them.
func TestVectorsOfRFC8785(t *testing.T) {
	for name, c := range map[string]struct {
		in   any
		want string
	}{
		"3.2.2 literals": {[]any{nil, true, false}, `[null,true,false]`},
		"3.2.2 string, bytes of 3.2.4": {
			map[string]any{"string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"},
			unhex(t, "7b 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d"),
		},
		"3.2.3 sorting": {
			map[string]any{
				"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
				"\U0001f600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
			},
			`{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis",` +
				`"€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`,
		},
		"appendix B zero":          {0, "0"},
		"appendix B note 1, above": {int64(9007199254740991), "9007199254740991"},
		"appendix B note 1, below": {-9007199254740991, "-9007199254740991"},
		"all controls": {
			"\x00\x01\x07\b\t\n\v\f\r\x1b\x1f\x7f",
			`"\u0000\u0001\u0007\b\t\n\u000b\f\r\u001b\u001f` + "\x7f" + `"`,
		},
		"not for HTML":    {"</script>&\u2028", "\"</script>&\u2028\""},
		"no normal forms": {"A\u030a", "\"A\u030a\""},
		"empty":           {map[string]any{"": []any{}, "a": map[string]any{}}, `{"":[],"a":{}}`},
	} {
		got, err := canon.Marshal(c.in)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, c.want)
		}
		if _, err := canon.Unmarshal([]byte(c.want)); err != nil {
			t.Errorf("%s cannot be read back: %v", name, err)
		}
	}
}

func TestMarshalRefusesWhatHasNoOneForm(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = []any{loop}
	for name, v := range map[string]any{
		"a fraction": 0.5, "a whole float": 1.0, "2^53": int64(1) << 53, "-2^53": -(int64(1) << 53), "a byte slice": []byte("x"),
		"broken text": "a\xff", "a surrogate in UTF-8": "\xed\xa0\x80", "a broken key": map[string]any{"\xff": 1},
		"a typed list": []string{"x"}, "json.Number": json.Number("1"), "a loop": loop, "inside": []any{map[string]any{"k": 1.5}},
	} {
		if b, err := canon.Marshal(v); !errors.Is(err, canon.ErrUnsupported) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

func TestAnErrorNamesThePlaceAndNotTheValue(t *testing.T) {
	_, err := canon.Marshal(map[string]any{"after": []any{1, map[string]any{"remark": "李娜\xff"}}})
	if err == nil || !strings.Contains(err.Error(), `"after": [1]: "remark"`) || strings.Contains(err.Error(), "李娜") {
		t.Fatal(err)
	}
}

func TestUnmarshalRefusesEveryOtherSpelling(t *testing.T) {
	for name, s := range map[string]string{
		"nothing": "", "space before": " 1", "space after": "1\n", "space inside": `{"a": 1}`, "two values": "1 2", "half a word": "tru",
		"keys out of order": `{"b":1,"a":2}`, "key twice": `{"a":1,"a":1}`, "empty key twice": `{"":1,"":1}`,
		"UTF-8 order of keys": "{\"\ufb33\":1,\"\U0001f600\":2}", "comma at the end": `[1,]`, "object comma": `{"a":1,}`,
		"minus zero": "-0", "leading zero": "01", "plus": "+1", "minus alone": "-", "fraction": "1.0", "exponent": "1e3",
		"2^53": "9007199254740992", "long number": strings.Repeat("9", 400), "escape of a letter": `"\u0041"`,
		"upper-case hex": `"\u001F"`, "long escape of newline": `"\u000a"`, "escaped slash": `"\/"`, "escaped DEL": `"\u007f"`,
		"control in clear": "\"\n\"", "open text": `"abc`, "open escape": `"\`, "short escape": `"\u00`, "bad UTF-8": "\"\xff\"",
		"surrogates escaped": `"\ud83d\ude00"`, "open array": "[", "open object": `{"a"`, "key not text": "{1:2}",
		"too deep": strings.Repeat("[", 33) + strings.Repeat("]", 33), "byte order mark": "\ufeff1",
	} {
		if v, err := canon.Unmarshal([]byte(s)); !errors.Is(err, canon.ErrNotCanonical) {
			t.Errorf("%s: %q was read as %v, %v", name, s, v, err)
		}
	}
}

func TestKeysStandInTheOrderOfUTF16(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		odd := rapid.SampledFrom([]rune{'a', 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff})
		text := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(odd, 0, 5).Draw(t, "runes")) })
		object := rapid.MapOf(text, rapid.Just[any](nil)).Draw(t, "object")
		want := slices.SortedFunc(maps.Keys(object), func(a, b string) int {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		})
		b, err := canon.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		for _, k := range want {
			q, _ := canon.Marshal(k)
			at := bytes.Index(b[from:], append(q, ":null"...))
			if at < 0 || at > 1 {
				t.Fatalf("%q is not next in %s", k, b[from:])
			}
			from += at + len(q) + len(":null")
		}
	})
}

// value draws anything that Marshal takes, with int64 for all integers.
func value(depth int) *rapid.Generator[any] {
	plain := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Int64Range(-canon.MaxInt, canon.MaxInt).AsAny(),
	)
	if depth == 0 {
		return plain
	}
	return rapid.OneOf(plain,
		rapid.SliceOfN(value(depth-1), 0, 5).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 5).AsAny())
}

func TestWhatIsWrittenReadsBackAndIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := value(3).Draw(t, "value")
		b, err := canon.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		back, err := canon.Unmarshal(b)
		if err != nil || !reflect.DeepEqual(back, v) {
			t.Fatalf("%s came back as %#v, %v", b, back, err)
		}
		// An independent reader sees the same.
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var theirs any
		if err := d.Decode(&theirs); err != nil || !same(v, theirs) {
			t.Fatalf("encoding/json reads %s as %#v, %v", b, theirs, err)
		}
	})
}

func same(ours, theirs any) bool {
	switch ours := ours.(type) {
	case int64:
		n, ok := theirs.(json.Number)
		i, err := n.Int64()
		return ok && err == nil && i == ours
	case []any:
		list, ok := theirs.([]any)
		return ok && slices.EqualFunc(ours, list, same)
	case map[string]any:
		object, ok := theirs.(map[string]any)
		return ok && maps.EqualFunc(ours, object, same)
	default:
		return ours == theirs
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2,null,true,false,"\u0000\n\"\\"],"b":{}}`, `"\u001F"`, "-0", "{\"\ufb33\":1,\"\U0001f600\":2}", "[[]]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := canon.Unmarshal(b)
		if err != nil {
			return
		}
		if again, err := canon.Marshal(v); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was accepted, but is written %q, %v", b, again, err)
		}
	})
}
