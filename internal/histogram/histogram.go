// Package histogram counts durations in slots that grow by a tenth, so that a
// quantile can be told within 5 % from counts that simply add up.
package histogram

import (
	"math"
	"time"
)

// None is the slot of something that has no duration yet.
const None = -1

const growth = 1.1

// Slot is the slot of a duration: 0 up to one second, then each a tenth longer.
func Slot(d time.Duration) int {
	s := d.Seconds()
	if s <= 1 {
		return 0
	}
	return int(math.Ceil(math.Log(s) / math.Log(growth)))
}

// Quantile is the duration below which the share q (0..1) of the counted lie, the
// geometric middle of its slot; ok is false where nothing was counted.
func Quantile(counts map[int]int, q float64) (d time.Duration, ok bool) {
	total, last := 0, 0
	for slot, n := range counts {
		if slot != None && n > 0 {
			total += n
			last = max(last, slot)
		}
	}
	if total == 0 {
		return 0, false
	}
	// 0.7 of 10 is 7, though floating point makes it a little more.
	want, seen := int(math.Ceil(q*float64(total)-1e-9)), 0
	for slot := 0; slot < last; slot++ {
		if seen += max(counts[slot], 0); seen >= max(want, 1) {
			return Middle(slot), true
		}
	}
	return Middle(last), true
}

// Middle stands for every duration of a slot: its geometric middle, which none of
// them is more than 5 % away from; 0 for the first.
func Middle(slot int) time.Duration {
	if slot <= 0 {
		return 0
	}
	return time.Duration(math.Pow(growth, float64(slot)-0.5) * float64(time.Second))
}
