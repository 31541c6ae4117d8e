package leaf_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
)

func seq(rows []leaf.Row) iter.Seq2[leaf.Row, error] {
	return func(yield func(leaf.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// appended writes an entry behind the others, as package audit does.
func appended(t interface{ Fatal(...any) }, rows []leaf.Row, e leaf.Entry, s leaf.Sealer) []leaf.Row {
	if e.Index, e.Prev = int64(len(rows)), [32]byte{}; e.Index > 0 {
		e.Prev = rows[e.Index-1].Hash
	}
	b, err := leaf.Encode(e, s)
	if err != nil {
		t.Fatal(err)
	}
	return append(rows, leaf.Row{Columns: e.Columns(leaf.Hash(b)), Leaf: b})
}

func headOf(rows []leaf.Row) leaf.Head {
	h := leaf.Head{Corp: id(nid.Corp, 1), Size: int64(len(rows))}
	if len(rows) > 0 {
		h.Hash = rows[len(rows)-1].Hash
	}
	return h
}

// logs draws a log of 1 to 12 entries.
func logs(t *rapid.T) []leaf.Row {
	var rows []leaf.Row
	for range rapid.IntRange(1, 12).Draw(t, "size") {
		rows = appended(t, rows, entries(0, [32]byte{}).Draw(t, "entry"), leaf.Sealer{Keys: vectorKey})
	}
	return rows
}

// found fails unless the log is found broken at one of the places.
func found(t *rapid.T, rows []leaf.Row, head leaf.Head, places ...int) *leaf.Broken {
	err := leaf.Verify(seq(rows), head)
	var b *leaf.Broken
	if !errors.As(err, &b) {
		t.Fatalf("not found: %v", err)
	}
	if !slices.Contains(places, int(b.Index)) {
		t.Fatalf("found at %d (%v), want %v", b.Index, b, places)
	}
	return b
}

func position(t *rapid.T, rows []leaf.Row, name string) int {
	return rapid.IntRange(0, len(rows)-1).Draw(t, name)
}

func TestAWholeLogHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		if err := leaf.Verify(seq(rows), headOf(rows)); err != nil {
			t.Fatal(err)
		}
	})
	if err := leaf.Verify(seq(nil), headOf(nil)); err != nil {
		t.Fatal(err)
	}
}

func TestAFlippedBitIsFoundWhereItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		at := position(t, rows, "at")
		bit := rapid.IntRange(0, len(rows[at].Leaf)*8-1).Draw(t, "bit")
		rows[at].Leaf = bytes.Clone(rows[at].Leaf)
		rows[at].Leaf[bit/8] ^= 1 << (bit % 8)
		if b := found(t, rows, head, at); b.Why != leaf.HashDiffers {
			t.Fatal(b)
		}
		// Somebody who makes the hash fit is found by the next entry, or by the head.
		rows[at].Hash = leaf.Hash(rows[at].Leaf)
		found(t, rows, head, at, at+1)
	})
}

func TestAFlippedBitInAHashIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		at, bit := position(t, rows, "at"), rapid.IntRange(0, 255).Draw(t, "bit")
		head.Hash[bit/8] ^= 1 << (bit % 8)
		if b := found(t, rows, head, len(rows)-1); b.Why != leaf.HeadDiffers {
			t.Fatal(b)
		}
		rows[at].Hash[bit/8] ^= 1 << (bit % 8)
		found(t, rows, headOf(rows), at)
	})
}

func TestAChangedColumnIsFoundAndNamed(t *testing.T) {
	columns := map[string]func(*leaf.Row){
		"id":          func(r *leaf.Row) { r.ID = id(nid.Audit, 77) },
		"corp_id":     func(r *leaf.Row) { r.Corp = id(nid.Corp, 2) },
		"created_at":  func(r *leaf.Row) { r.Created = r.Created.Add(time.Microsecond) },
		"at":          func(r *leaf.Row) { r.At = r.At.Add(-time.Microsecond) },
		"actor_kind":  func(r *leaf.Row) { r.ActorKind += "X" },
		"actor_id":    func(r *leaf.Row) { r.Actor[0] ^= 1 },
		"action":      func(r *leaf.Row) { r.Action += "s" },
		"subject_id":  func(r *leaf.Row) { r.Subject[3] ^= 1 },
		"handover_id": func(r *leaf.Row) { r.Handover[3] ^= 1 },
		"request_id":  func(r *leaf.Row) { r.Request += "0" },
	}
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		at := position(t, rows, "at")
		for name, change := range columns {
			was := rows[at]
			change(&rows[at])
			if b := found(t, rows, head, at); b.Why != leaf.ColumnDiffers || b.Column != name || !strings.Contains(b.Error(), name) {
				t.Fatalf("%s: %v", name, b)
			}
			rows[at] = was
		}
		// The zone is no difference: databases give times back in theirs.
		rows[at].At = rows[at].At.In(time.FixedZone("", 8*3600))
		if err := leaf.Verify(seq(rows), head); err != nil {
			t.Fatal(err)
		}
	})
}

// renumbered are the rows with their index columns made to fit again.
func renumbered(rows []leaf.Row) []leaf.Row {
	out := slices.Clone(rows)
	for i := range out {
		out[i].Index = int64(i)
	}
	return out
}

func TestSwappedEntriesAreFoundAtTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		i, j := position(t, rows, "i"), position(t, rows, "j")
		if i == j {
			return
		}
		rows[i], rows[j] = rows[j], rows[i]
		if b := found(t, rows, head, min(i, j)); b.Why != leaf.Gap {
			t.Fatal(b)
		}
		if b := found(t, renumbered(rows), head, min(i, j)); b.Column != "index" {
			t.Fatal(b)
		}
		// Swapping the content and leaving the columns is no better.
		rows = renumbered(rows)
		rows[i].Columns, rows[j].Columns = rows[j].Columns, rows[i].Columns
		rows[i].Index, rows[j].Index = int64(i), int64(j)
		found(t, rows, head, min(i, j))
	})
}

func TestARemovedEntryIsFoundWhereItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		from := position(t, rows, "from")
		to := rapid.IntRange(from+1, len(rows)).Draw(t, "to")
		last := to == len(rows)
		rows = slices.Delete(rows, from, to)
		if b := found(t, rows, head, from); last != (b.Why == leaf.Truncated) || !last && b.Why != leaf.Gap {
			t.Fatal(b)
		}
		found(t, renumbered(rows), head, from)
		if !last {
			return
		}
		// A truncated log with only its size put right still has the wrong hash.
		head.Size = int64(len(rows))
		if b := found(t, rows, head, max(from-1, 0)); b.Why != leaf.HeadDiffers {
			t.Fatal(b)
		}
	})
}

func TestAnInsertedEntryIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		at := rapid.IntRange(0, len(rows)).Draw(t, "at")
		// A repeated entry, and one forged to follow its predecessor perfectly.
		forged := appended(t, slices.Clone(rows[:at]), entries(0, [32]byte{}).Draw(t, "forged"), leaf.Sealer{Keys: vectorKey})[at]
		repeated := rows[position(t, rows, "again")]
		for _, row := range []leaf.Row{forged, repeated} {
			more := slices.Insert(slices.Clone(rows), at, row)
			// The forged one holds by itself: what follows it does not, or the head does not count it.
			found(t, more, head, at, at+1)
			found(t, renumbered(more), head, at, at+1)
		}
		if b := found(t, append(slices.Clone(rows), appended(t, rows, plain(), leaf.Sealer{})[len(rows)]), head, len(rows)); b.Why != leaf.BeyondHead {
			t.Fatal(b)
		}
	})
}

func TestAReplacedEntryIsFoundByTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := logs(t)
		head := headOf(rows)
		at := position(t, rows, "at")
		rows[at] = appended(t, slices.Clone(rows[:at]), entries(0, [32]byte{}).Draw(t, "forged"), leaf.Sealer{Keys: vectorKey})[at]
		if at == len(rows)-1 {
			if b := found(t, rows, head, at); b.Why != leaf.HeadDiffers {
				t.Fatal(b)
			}
		} else if b := found(t, rows, head, at+1); b.Why != leaf.PrevDiffers {
			t.Fatal(b)
		}
	})
}

// Long logs are examined in parallel; the answer is still the first place.
func TestOfManyBreaksInALongLogTheFirstIsNamed(t *testing.T) {
	var rows []leaf.Row
	for range 5000 {
		rows = appended(t, rows, plain(), leaf.Sealer{})
	}
	head := headOf(rows)
	if err := leaf.Verify(seq(rows), head); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		bad := slices.Clone(rows)
		places := rapid.SliceOfN(rapid.IntRange(0, len(rows)-1), 1, 5).Draw(t, "places")
		for _, at := range places {
			bad[at].Action = "session.start"
		}
		if b := found(t, bad, head, slices.Min(places)); b.Why != leaf.ColumnDiffers {
			t.Fatal(b)
		}
		// A break comes before a failure to read on, and the rest is not read at all.
		read := 0
		err := leaf.Verify(func(yield func(leaf.Row, error) bool) {
			for _, r := range bad {
				if read++; !yield(r, nil) {
					return
				}
			}
			yield(leaf.Row{}, errors.New("database is away"))
		}, head)
		var b *leaf.Broken
		if !errors.As(err, &b) || int(b.Index) != slices.Min(places) || read > slices.Min(places)+256*(2*runtime.GOMAXPROCS(0)+2) {
			t.Fatalf("%v after %d rows", err, read)
		}
	})
}

func TestAnotherCorpsLogIsNotThisOnes(t *testing.T) {
	rows := appended(t, nil, plain(), leaf.Sealer{})
	head := headOf(rows)
	head.Corp = id(nid.Corp, 2)
	var b *leaf.Broken
	if err := leaf.Verify(seq(rows), head); !errors.As(err, &b) || b.Column != "corp_id" {
		t.Fatal(err)
	}
}

func TestBytesThatAreNoLeafAreFoundThoughTheirHashFits(t *testing.T) {
	rows := appended(t, nil, plain(), leaf.Sealer{})
	rows = appended(t, rows, plain(), leaf.Sealer{})
	rows[1].Leaf = append(bytes.Clone(rows[1].Leaf), '\n')
	rows[1].Hash = leaf.Hash(rows[1].Leaf)
	var b *leaf.Broken
	err := leaf.Verify(seq(rows), headOf(rows))
	if !errors.As(err, &b) || b.Why != leaf.NotALeaf || b.Index != 1 || !errors.Is(err, leaf.ErrNotLeaf) {
		t.Fatal(err)
	}
}

func TestARowThatCannotBeReadIsNoVerdict(t *testing.T) {
	down := errors.New("database is away")
	rows := appended(t, nil, plain(), leaf.Sealer{})
	err := leaf.Verify(func(yield func(leaf.Row, error) bool) { _ = yield(rows[0], nil) && yield(leaf.Row{}, down) }, headOf(rows))
	var b *leaf.Broken
	if !errors.Is(err, down) || errors.As(err, &b) {
		t.Fatal(err)
	}
}

func TestEveryWayIsSaidInBothLanguages(t *testing.T) {
	seen := map[string]bool{}
	for _, why := range []leaf.Why{
		leaf.Gap, leaf.Order, leaf.HashDiffers, leaf.NotALeaf, leaf.ColumnDiffers, leaf.PrevDiffers, leaf.Truncated, leaf.BeyondHead, leaf.HeadDiffers,
	} {
		b := &leaf.Broken{Corp: id(nid.Corp, 1), Index: 41, Why: why, Column: "subject_id"}
		for _, s := range []string{b.Text().EN, b.Text().ZH} {
			if seen[s] || !strings.Contains(s, "41") || !strings.Contains(s, b.Corp.String()) || strings.Contains(s, "%!") || strings.Contains(s, string(why)) ||
				strings.Contains(s, "subject_id") != (why == leaf.ColumnDiffers) {
				t.Errorf("%s: %q", why, s)
			}
			seen[s] = true
		}
	}
}

// BenchmarkVerify checks 200,000 entries, which is to take at most 2 s.
func BenchmarkVerify(b *testing.B) {
	const size = 200_000
	member := id(nid.Member, 2)
	sealer := leaf.Sealer{Keys: vectorKey}
	label, _ := sealer.Seal(leaf.Personal{Subject: member, Value: "li.na"})
	name, _ := sealer.Seal(leaf.Personal{Subject: id(nid.Contact, 3), Value: "王小明"})
	rows := make([]leaf.Row, 0, size)
	var bytes int64
	for i := range size {
		rows = appended(b, rows, leaf.Entry{
			ID: nid.New(nid.Audit), Corp: id(nid.Corp, 1), At: time.UnixMicro(1_700_000_000_000_000 + int64(i)).UTC(),
			Actor: leaf.Actor{Kind: access.Person, ID: member, Label: label}, Action: "transfer.complete", Subject: id(nid.Transfer, byte(i)),
			Handover: id(nid.Handover, 5), Request: fmt.Sprintf("%016x", i), Address: label,
			Before: map[string]any{"member": member, "name": name, "version": i}, After: map[string]any{"member": id(nid.Member, 4), "name": name, "version": i + 1},
		}, sealer)
		bytes += int64(len(rows[i].Leaf))
	}
	head := headOf(rows)
	b.SetBytes(bytes)
	for b.Loop() {
		if err := leaf.Verify(seq(rows), head); err != nil {
			b.Fatal(err)
		}
	}
}
