package histogram_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/histogram"
)

func TestQuantilesAreWithinFivePerCent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.SliceOfN(rapid.Float64Range(0, 7), 1, 300).Draw(t, "powers of ten of seconds")
		counts := map[int]int{histogram.None: 1000} // what has no duration does not count
		var all []time.Duration
		for _, s := range seconds {
			d := time.Duration(math.Pow(10, s) * float64(time.Second))
			all = append(all, d)
			counts[histogram.Slot(d)]++
		}
		slices.Sort(all)
		tenths := rapid.IntRange(1, 10).Draw(t, "tenths")
		exact := all[(tenths*len(all)+9)/10-1]
		got, ok := histogram.Quantile(counts, float64(tenths)/10)
		if !ok {
			t.Fatal("nothing counted")
		}
		if off := math.Abs(float64(got-exact)) / float64(exact); off > 0.05 && exact > time.Second {
			t.Fatalf("%v for %v: %.1f %% off", got, exact, 100*off)
		}
	})
}

// Counts of two histograms are added slot by slot, so slots must not depend on
// anything but the duration, and longer ones never come before shorter.
func TestSlotsGrowWithTheDuration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := time.Duration(rapid.Int64Range(-1e9, 1e16).Draw(t, "a"))
		b := time.Duration(rapid.Int64Range(int64(a), 1e16).Draw(t, "b"))
		if x, y := histogram.Slot(a), histogram.Slot(b); x > y || x < 0 {
			t.Fatalf("%v is in slot %d, %v in slot %d", a, x, b, y)
		}
	})
}

func TestEdges(t *testing.T) {
	for d, want := range map[time.Duration]int{-time.Hour: 0, 0: 0, time.Second: 0, time.Second + 1: 1, 1100 * time.Millisecond: 1, 24 * time.Hour: 120} {
		if got := histogram.Slot(d); got != want {
			t.Errorf("%v is in slot %d, want %d", d, got, want)
		}
	}
	for _, counts := range []map[int]int{nil, {histogram.None: 3}, {5: 0}} {
		if d, ok := histogram.Quantile(counts, 0.5); ok || d != 0 {
			t.Errorf("a quantile of nothing is %v", d)
		}
	}
	if d, ok := histogram.Quantile(map[int]int{0: 5, 40: 5}, 0.5); !ok || d != 0 {
		t.Errorf("half of five at once and five later: %v", d)
	}
	if d, _ := histogram.Quantile(map[int]int{0: 7, 40: 3}, 0.7); d != 0 {
		t.Errorf("seven tenths of seven at once and three later: %v", d)
	}
}
