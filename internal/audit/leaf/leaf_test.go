package leaf_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/nid"
)

var noKeys = leaf.Sealer{}

// plain is the least that an entry has.
func plain() leaf.Entry {
	return leaf.Entry{
		ID: id(nid.Audit, 1), Corp: id(nid.Corp, 1), At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Actor: leaf.Actor{Kind: access.Anonymous}, Action: "session.fail",
	}
}

func TestTheLeastEntry(t *testing.T) {
	b, err := leaf.Encode(plain(), noKeys)
	want := `{"action":"session.fail","actor":{"kind":"ANONYMOUS"},"at":"2026-01-02T03:04:05.000006Z","corp":"crp_01k85hrb9ye008000000002001",` +
		`"id":"aud_01k85hrb9ye00800000000200n","index":0,"prev":"` + strings.Repeat("0", 64) + `","v":1}`
	if err != nil || string(b) != want {
		t.Fatalf("%s, %v\nwant %s", b, err, want)
	}
}

func TestEncodeRefusesWhatTheFormatDoesNotAllow(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	foreign := nid.ID{1, 15: 200}
	for name, change := range map[string]func(*leaf.Entry){
		"no id":                    func(e *leaf.Entry) { e.ID = nid.ID{} },
		"another kind's id":        func(e *leaf.Entry) { e.ID = id(nid.Member, 1) },
		"no corp":                  func(e *leaf.Entry) { e.Corp = nid.ID{} },
		"index below 0":            func(e *leaf.Entry) { e.Index = -1 },
		"first with prev":          func(e *leaf.Entry) { e.Prev[0] = 1 },
		"second without prev":      func(e *leaf.Entry) { e.Index = 1 },
		"no time":                  func(e *leaf.Entry) { e.At = time.Time{} },
		"nanoseconds":              func(e *leaf.Entry) { e.At = e.At.Add(1) },
		"year 10000":               func(e *leaf.Entry) { e.At = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"no action":                func(e *leaf.Entry) { e.Action = "" },
		"action without verb":      func(e *leaf.Entry) { e.Action = "session." },
		"action of three":          func(e *leaf.Entry) { e.Action = "a.b.c" },
		"action with capital":      func(e *leaf.Entry) { e.Action = "Session.fail" },
		"action with space":        func(e *leaf.Entry) { e.Action = "session.fail " },
		"unknown actor":            func(e *leaf.Entry) { e.Actor.Kind = "ROBOT" },
		"member without id":        func(e *leaf.Entry) { e.Actor.Kind = access.Person },
		"member with token's id":   func(e *leaf.Entry) { e.Actor = leaf.Actor{Kind: access.Person, ID: id(nid.Token, 1)} },
		"token with member's id":   func(e *leaf.Entry) { e.Actor = leaf.Actor{Kind: access.Token, ID: id(nid.Member, 1)} },
		"system with id":           func(e *leaf.Entry) { e.Actor = leaf.Actor{Kind: access.System, ID: id(nid.Member, 1)} },
		"reason not the system's":  func(e *leaf.Entry) { e.Reason = "because" },
		"cause not the system's":   func(e *leaf.Entry) { e.Cause = id(nid.Handover, 1) },
		"subject of no kind":       func(e *leaf.Entry) { e.Subject = foreign },
		"handover of another kind": func(e *leaf.Entry) { e.Handover = id(nid.Member, 1) },
		"request not UTF-8":        func(e *leaf.Entry) { e.Request = "\xff" },
		"request too long":         func(e *leaf.Entry) { e.Request = strings.Repeat("x", 513) },
		"float":                    func(e *leaf.Entry) { e.After = map[string]any{"share": 0.5} },
		"2^53":                     func(e *leaf.Entry) { e.After = map[string]any{"n": int64(1) << 53} },
		"NaN in a list":            func(e *leaf.Entry) { e.After = map[string]any{"n": []any{math.NaN()}} },
		"broken text":              func(e *leaf.Entry) { e.Before = map[string]any{"n": "\xff"} },
		"broken name":              func(e *leaf.Entry) { e.Before = map[string]any{"\xff": 1} },
		"broken text in a list":    func(e *leaf.Entry) { e.Before = map[string]any{"n": []string{"\xff"}} },
		"id of no kind":            func(e *leaf.Entry) { e.Before = map[string]any{"n": []nid.ID{foreign}} },
		"time with nanoseconds":    func(e *leaf.Entry) { e.Before = map[string]any{"n": e.At.Add(1)} },
		"a loop":                   func(e *leaf.Entry) { e.Before = loop },
		"too long":                 func(e *leaf.Entry) { e.Before = map[string]any{"n": strings.Repeat("x", leaf.MaxBytes)} },
		"looks sealed":             func(e *leaf.Entry) { e.Before = map[string]any{"n": map[string]any{"c": 1, "e": 2, "s": 3}} },
		"before looks sealed":      func(e *leaf.Entry) { e.Before = map[string]any{"c": 1, "e": 2, "s": 3} },
		"empty sealed":             func(e *leaf.Entry) { e.Address = leaf.Sealed{} },
		"personal without subject": func(e *leaf.Entry) { e.Address = leaf.Personal{Value: "192.0.2.1"} },
		"personal without a key":   func(e *leaf.Entry) { e.Address = leaf.Personal{Subject: id(nid.Member, 1), Value: "192.0.2.1"} },
		"negative set":             func(e *leaf.Entry) { e.Set = &leaf.Set{N: -1} },
	} {
		e := plain()
		change(&e)
		if b, err := leaf.Encode(e, noKeys); !errors.Is(err, leaf.ErrEntry) {
			t.Errorf("%s: %.300s, %v", name, b, err)
		}
	}
}

func TestASealerThatCannotGiveAKeyStopsTheEntry(t *testing.T) {
	e, down := plain(), errors.New("database is away")
	e.After = map[string]any{"name": leaf.Personal{Subject: id(nid.Contact, 1), Value: "李娜"}}
	_, err := leaf.Encode(e, leaf.Sealer{Keys: func(nid.ID) (leaf.Key, error) { return leaf.Key{}, down }})
	if !errors.Is(err, down) || !strings.Contains(err.Error(), `after: "name"`) || strings.Contains(err.Error(), "李娜") {
		t.Fatal(err)
	}
}

// entries draws any entry the format allows, for one place in a chain.
func entries(index int64, prev [32]byte) *rapid.Generator[leaf.Entry] {
	return rapid.Custom(func(t *rapid.T) leaf.Entry {
		some := func(kind nid.Kind) nid.ID { return id(kind, rapid.Byte().Draw(t, "id")) }
		personal := leaf.Personal{Subject: some(nid.Member), Value: rapid.String().Draw(t, "personal")}
		e := leaf.Entry{
			ID: nid.New(nid.Audit), Corp: id(nid.Corp, 1), Index: index, Prev: prev,
			At:      time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).UTC(),
			Action:  rapid.StringMatching(`[a-z][A-Za-z0-9_]{0,12}\.[a-z][A-Za-z0-9_]{0,12}`).Draw(t, "action"),
			Request: rapid.StringN(0, 20, -1).Draw(t, "request"),
		}
		switch e.Actor.Kind = rapid.SampledFrom([]access.ActorKind{access.Anonymous, access.Person, access.Token, access.System}).Draw(t, "kind"); e.Actor.Kind {
		case access.Person:
			e.Actor.ID, e.Actor.Label = some(nid.Member), personal
		case access.Token:
			e.Actor.ID = some(nid.Token)
		case access.System:
			e.Cause, e.Reason = some(nid.Handover), rapid.StringN(0, 20, -1).Draw(t, "reason")
		}
		if rapid.Bool().Draw(t, "full") {
			e.Subject, e.Handover, e.Address = some(nid.Contact), some(nid.Handover), personal
			e.Set = leaf.SetOf([]nid.ID{some(nid.Transfer), some(nid.Transfer)})
			e.Before = map[string]any{
				"n": rapid.Int64Range(-canon.MaxInt, canon.MaxInt).Draw(t, "n"), "name": personal, "gone": nil,
				"in": map[string]any{"list": []any{personal, true, rapid.String().Draw(t, "s")}, "c": "x", "e": "y"},
			}
			e.After = rapid.MapOfN(rapid.String(), rapid.Map(rapid.Bool(), func(b bool) any { return b }), 1, 4).Draw(t, "after")
		}
		return e
	})
}

func TestWhatIsReadIsWrittenAgainByteForByte(t *testing.T) {
	sealer := leaf.Sealer{Keys: vectorKey}
	rapid.Check(t, func(t *rapid.T) {
		b, err := leaf.Encode(entries(7, leaf.Hash(nil)).Draw(t, "entry"), sealer)
		if err != nil {
			t.Fatal(err)
		}
		e, err := leaf.Decode(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if again, err := leaf.Encode(e, noKeys); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s\ncame back as\n%s, %v", b, again, err)
		}
		// With any one byte changed it is refused, or it is another entry in the same strict form.
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] = rapid.ByteRange(' ', '~').Draw(t, "byte")
		if e, err := leaf.Decode(b); err == nil {
			if again, err := leaf.Encode(e, noKeys); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%s\nwas taken, but is written\n%s, %v", b, again, err)
			}
		} else if !errors.Is(err, leaf.ErrNotLeaf) {
			t.Fatal(err)
		}
	})
}

func TestEveryFieldComesBack(t *testing.T) {
	leaves := vectors(t)
	e, err := leaf.Decode(leaves[0])
	if err != nil {
		t.Fatal(err)
	}
	after, err := leaf.Reveal(e.After, func(s nid.ID) (*leaf.Key, error) { k, err := vectorKey(s); return &k, err })
	if err != nil {
		t.Fatal(err)
	}
	wantAfter := map[string]any{
		"version": int64(4), "remark": "茶, \"绿\"\n", "tags": []any{"老客户", "VIP"}, "since": "2026-03-09T07:15:42.000005Z",
		"member": "mbr_01k85hrb9ye008000000004003",
	}
	if d := cmp.Diff(wantAfter, after); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]any{"version": int64(3), "remark": nil, "protected": false}, e.Before); d != "" {
		t.Error(d)
	}
	e, err = leaf.Decode(leaves[1])
	if err != nil {
		t.Fatal(err)
	}
	want := leaf.Entry{
		ID: id(nid.Audit, 2), Corp: id(nid.Corp, 1), Index: 1, At: time.Date(2026, 3, 9, 8, 15, 42, 6000, time.UTC),
		Actor: leaf.Actor{Kind: access.System}, Action: "handover.execute", Subject: id(nid.Handover, 5), Cause: id(nid.Handover, 5),
		Reason: "sweep of expired leases", Set: leaf.SetOf([]nid.ID{id(nid.Follow, 4), id(nid.Follow, 5)}), Prev: leaf.Hash(leaves[0]),
	}
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
}

func TestDecodeRefusesEveryOtherSpelling(t *testing.T) {
	good := string(vectors(t)[0])
	if _, err := leaf.Decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"version 2":              {`"v":1`, `"v":2`},
		"version as text":        {`"v":1`, `"v":"1"`},
		"no version":             {`,"v":1`, ``},
		"unknown member":         {`"v":1`, `"v":1,"w":1`},
		"unknown in actor":       {`"kind":"MEMBER",`, `"kind":"MEMBER","l":1,`},
		"actor as text":          {`"before":`, `"actor":1,"before":`},
		"empty text":             {`"request":"0f3c-7"`, `"request":""`},
		"null text":              {`"request":"0f3c-7"`, `"request":null`},
		"empty before":           {`{"protected":false,"remark":null,"version":3}`, `{}`},
		"before a list":          {`{"protected":false,"remark":null,"version":3}`, `[]`},
		"index as text":          {`"index":0`, `"index":"0"`},
		"no index":               {`"index":0,`, ``},
		"index and prev":         {`"index":0`, `"index":1`},
		"no decimals":            {`08:15:42.000005Z`, `08:15:42Z`},
		"comma in time":          {`08:15:42.000005Z`, `08:15:42,000005Z`},
		"offset in time":         {`08:15:42.000005Z`, `08:15:42.000005+00:00`},
		"February 30":            {`"at":"2026-03-09`, `"at":"2026-02-30`},
		"prev in capitals":       {`"prev":"00`, `"prev":"AA`},
		"short prev":             {`"prev":"00`, `"prev":"`},
		"upper-case id":          {`"subject":"flw_01k8`, `"subject":"flw_01K8`},
		"prefix and kind differ": {`"subject":"flw_`, `"subject":"con_`},
		"hash in capitals":       {`"c":"4084`, `"c":"408A`},
		"line break in base64":   {`"e":"EBESExQV`, `"e":"EBES\nExQV`},
		"not base64":             {`SPRDTX"`, `SPRDT_"`},
		"short ciphertext":       {`{"c":"2b42`, `{"c":"2b`},
		"white space":            {`"v":1}`, `"v":1 }`},
		"another order":          {`"kind":"MEMBER",`, `"zind":"MEMBER",`},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		if bad == good {
			t.Errorf("%s changes nothing", name)
		}
		if e, err := leaf.Decode([]byte(bad)); !errors.Is(err, leaf.ErrNotLeaf) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	for name, b := range map[string]string{"empty": "", "a list": "[]", "no members": "{}", "too long": `"` + strings.Repeat("x", leaf.MaxBytes) + `"`} {
		if _, err := leaf.Decode([]byte(b)); !errors.Is(err, leaf.ErrNotLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealedValues(t *testing.T) {
	sealer := leaf.Sealer{Keys: vectorKey}
	rapid.Check(t, func(t *rapid.T) {
		p := leaf.Personal{Subject: id(nid.Contact, 9), Value: rapid.String().Draw(t, "value") + rapid.SampledFrom([]string{"", "\x00", "\u0080"}).Draw(t, "end")}
		key, _ := vectorKey(p.Subject)
		s, err := sealer.Seal(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := leaf.Open(s, &key); err != nil || got != p.Value {
			t.Fatalf("%q came back as %q, %v", p.Value, got, err)
		}
		if got, err := leaf.Open(s, nil); err != nil || got != leaf.Erased {
			t.Fatalf("without a key: %q, %v", got, err)
		}
		again, err := sealer.Seal(p)
		if err != nil || again.Commitment == s.Commitment || bytes.Equal(again.Ciphertext, s.Ciphertext) {
			t.Fatal("equal values can be told to be equal", err)
		}
		if want := 12 + 16 + (16+len(p.Value)+1+31)/32*32; len(s.Ciphertext) != want {
			t.Fatalf("%d bytes for a value of %d, want %d", len(s.Ciphertext), len(p.Value), want)
		}
		other := leaf.NewKey()
		moved, committed, flipped := s, s, s
		moved.Subject = id(nid.Contact, 8)
		committed.Commitment = again.Commitment
		bit := rapid.IntRange(0, len(s.Ciphertext)*8-1).Draw(t, "bit")
		flipped.Ciphertext = bytes.Clone(s.Ciphertext)
		flipped.Ciphertext[bit/8] ^= 1 << (bit % 8)
		for name, c := range map[string]struct {
			s leaf.Sealed
			k *leaf.Key
		}{"another key": {s, &other}, "another subject": {moved, &key}, "another commitment": {committed, &key}, "a flipped bit": {flipped, &key}, "nothing": {leaf.Sealed{}, &key}} {
			if got, err := leaf.Open(c.s, c.k); !errors.Is(err, leaf.ErrUnreadable) {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
		}
	})
}

func TestRevealOpensDeepAndShowsWhatIsErased(t *testing.T) {
	sealer := leaf.Sealer{Keys: vectorKey}
	kept, _ := sealer.Seal(leaf.Personal{Subject: id(nid.Member, 1), Value: "陈伟"})
	erased, _ := sealer.Seal(leaf.Personal{Subject: id(nid.Member, 2), Value: "李娜"})
	values := map[string]any{"list": []any{kept, map[string]any{"x": erased}}, "n": int64(1)}
	got, err := leaf.Reveal(values, func(s nid.ID) (*leaf.Key, error) {
		k, _ := vectorKey(s)
		if s == id(nid.Member, 2) {
			return nil, nil
		}
		return &k, nil
	})
	if d := cmp.Diff(map[string]any{"list": []any{"陈伟", map[string]any{"x": "已删除 / Deleted"}}, "n": int64(1)}, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if _, still := values["list"].([]any)[0].(leaf.Sealed); !still {
		t.Error("the entry itself was changed")
	}
	down := errors.New("database is away")
	if _, err := leaf.Reveal(values, func(nid.ID) (*leaf.Key, error) { return nil, down }); !errors.Is(err, down) {
		t.Error(err)
	}
	if got, err := leaf.Reveal(nil, nil); got != nil || err != nil {
		t.Error(got, err)
	}
}

func TestPersonalValuesAndKeysStayOutOfLogs(t *testing.T) {
	p := leaf.Personal{Subject: id(nid.Member, 1), Value: "13800138000"}
	var k leaf.Key
	copy(k[:], "13800138000")
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("x", "p", p, "k", k, "in", map[string]any{"p": p, "k": &k})
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d", p, p, p, p, p, p, p)
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d %v", k, k, k, k, k, k, k, &k)
	if err := json.NewEncoder(&out).Encode([]any{p, k}); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Contains(s, "138") || strings.Contains(s, "3133") || strings.Contains(s, "49 51") {
		t.Fatal(s)
	}
}

func TestASetIsOneWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) nid.ID { return id(nid.Contact, rapid.Byte().Draw(t, "n")) }), 1, 40).Draw(t, "ids")
		set := leaf.SetOf(ids)
		if other := leaf.SetOf(append(rapid.Permutation(ids).Draw(t, "shuffled"), ids[0])); *other != *set {
			t.Fatalf("%+v and %+v", set, other)
		}
		if more := leaf.SetOf(append([]nid.ID{id(nid.Group, 1)}, ids...)); more.N != set.N+1 || more.Digest == set.Digest {
			t.Fatalf("one more id: %+v and %+v", set, more)
		}
	})
	// SHA-256 of nothing.
	if got := leaf.SetOf(nil); got.N != 0 || fmt.Sprintf("%x", got.Digest) != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("%+v", got)
	}
}
