package report

import (
	"fmt"
	"sort"
	"time"
)

// quarter is the length of what is stored.
const quarter = 15 * time.Minute

// span is the part of a bucket that is asked for; start is where the whole bucket
// begins, zero where there is just one.
type span struct{ start, from, until time.Time }

// spans cuts the time from an instant on into buckets, at most n.
func (a *question) spans(from time.Time, n int) (out []span) {
	if a.bucket == None {
		return []span{{from: a.from, until: a.until}}
	}
	if !from.Before(a.until) {
		return nil
	}
	for start := a.bucket.floor(from, a.zone); start.Before(a.until) && len(out) < n; {
		next := a.bucket.next(start, a.zone)
		out = append(out, span{start, later(start, a.from), earlier(next, a.until)})
		start = next
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// floor is where the bucket of t begins.
func (b Bucket) floor(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	year, month, day := t.Date()
	switch b {
	case Hour:
		hour := t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
		// Clocks that are set back by half an hour begin an hour anew in its middle.
		if set, _ := t.ZoneBounds(); set.After(hour) {
			return set
		}
		return hour
	case Week:
		return Midnight(year, month, day-(int(t.Weekday())+6)%7, zone)
	case Month:
		return Midnight(year, month, 1, zone)
	default:
		return Midnight(year, month, day, zone)
	}
}

// next is where the bucket after the one that begins at start begins.
func (b Bucket) next(start time.Time, zone *time.Location) time.Time {
	start = start.In(zone)
	year, month, day := start.Date()
	switch b {
	case Hour:
		hour := start.Add(time.Hour - time.Duration(start.Minute())*time.Minute)
		if _, set := start.ZoneBounds(); !set.IsZero() && set.Before(hour) {
			return set
		}
		return hour
	case Week:
		return Midnight(year, month, day+7, zone)
	case Month:
		return Midnight(year, month+1, 1, zone)
	default:
		return Midnight(year, month, day+1, zone)
	}
}

// Midnight is the first moment of a date. It need not read 00:00: in some zones
// clocks are set forward at midnight, or a whole date was left out.
func Midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	earliest := date.Add(-15 * time.Hour) // no zone is further ahead of UTC
	quarters := sort.Search(int(3*24*time.Hour/quarter), func(i int) bool {
		y, m, d := earliest.Add(time.Duration(i) * quarter).In(zone).Date()
		return !time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(date)
	})
	return earliest.Add(time.Duration(quarters) * quarter).In(zone)
}

// label names a bucket for people: ISO 8601, hours with the offset that tells the
// two apart that an autumn night has.
func (b Bucket) label(start time.Time, zone *time.Location) string {
	start = start.In(zone)
	switch b {
	case Hour:
		return start.Format("2006-01-02 15:04 -07:00")
	case Week:
		year, week := start.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	case Month:
		return start.Format("2006-01")
	default:
		return start.Format("2006-01-02")
	}
}
