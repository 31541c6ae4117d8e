package report

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zones with whatever time zones do: quarter-hours, half-hour and midnight clock
// changes, a date that never was.
var zones = []string{"UTC", "Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "Africa/Cairo",
	"America/Havana", "America/Sao_Paulo", "America/St_Johns", "Pacific/Apia", "Antarctica/Troll", "Asia/Beirut", "Africa/Casablanca"}

func TestBucketsTileTime(t *testing.T) {
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			b := rapid.SampledFrom([]Bucket{Hour, Day, Week, Month}).Draw(t, "bucket")
			at := time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 20*366*96).Draw(t, "quarters")) * quarter).
				Add(time.Duration(rapid.Int64Range(0, int64(quarter)-1).Draw(t, "offset")))
			start := b.floor(at, zone)
			next := b.next(start, zone)
			if start.After(at) || !next.After(at) {
				t.Fatalf("%v is not in [%v, %v)", at.In(zone), start, next)
			}
			if again := b.floor(start, zone); !again.Equal(start) {
				t.Fatalf("%v begins anew at %v", start, again)
			}
			if again := b.floor(next, zone); !again.Equal(next) {
				t.Fatalf("the bucket after %v begins at %v, not at %v", start, again, next)
			}
			if last := b.floor(next.Add(-1), zone); !last.Equal(start) {
				t.Fatalf("the end of the bucket of %v belongs to %v", start, last)
			}
			if start.UnixNano()%int64(quarter) != 0 {
				t.Fatalf("%v is not between stored quarter-hours", start.UTC())
			}
			if x, y := b.label(start, zone), b.label(next, zone); x == y {
				t.Fatalf("two buckets are called %s", x)
			}
			if x, y := b.label(start, zone), b.label(next.Add(-1), zone); b != Hour && x != y {
				t.Fatalf("one bucket is called %s at first and %s at last", x, y)
			}
		}))
	}
}

func TestBucketsWhereClocksChange(t *testing.T) {
	for _, c := range []struct {
		zone   string
		bucket Bucket
		at     string
		start  string
		length time.Duration
		label  string
	}{
		{"Europe/Berlin", Day, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23 * time.Hour, "2026-03-29"},
		{"Europe/Berlin", Day, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25 * time.Hour, "2026-10-25"},
		{"Europe/Berlin", Week, "2026-10-25T12:00:00Z", "2026-10-18T22:00:00Z", 169 * time.Hour, "2026-W43"},
		{"Europe/Berlin", Month, "2026-03-31T21:59:00Z", "2026-02-28T23:00:00Z", 743 * time.Hour, "2026-03"},
		{"Europe/Berlin", Hour, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", time.Hour, "2026-10-25 02:00 +02:00"},
		{"Europe/Berlin", Hour, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", time.Hour, "2026-10-25 02:00 +01:00"},
		{"Asia/Kathmandu", Hour, "2026-05-01T00:20:00Z", "2026-05-01T00:15:00Z", time.Hour, "2026-05-01 06:00 +05:45"},
		{"Australia/Lord_Howe", Hour, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", 30 * time.Minute, "2026-04-05 01:30 +10:30"},
		{"Africa/Cairo", Day, "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", 23 * time.Hour, "2026-04-24"},   // begins at 01:00
		{"America/Havana", Day, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", 25 * time.Hour, "2026-11-01"}, // has midnight twice
		{"Pacific/Apia", Day, "2011-12-30T09:59:00Z", "2011-12-29T10:00:00Z", 24 * time.Hour, "2011-12-29"},   // and then it is the 31st
		{"Asia/Shanghai", Week, "2027-01-01T12:00:00Z", "2026-12-27T16:00:00Z", 168 * time.Hour, "2026-W53"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		start := c.bucket.floor(at, zone)
		if got := start.UTC().Format(time.RFC3339); got != c.start {
			t.Errorf("%s %s of %s begins %s, want %s", c.zone, c.bucket, c.at, got, c.start)
		}
		if got := c.bucket.next(start, zone).Sub(start); got != c.length {
			t.Errorf("%s %s of %s is %v long, want %v", c.zone, c.bucket, c.at, got, c.length)
		}
		if got := c.bucket.label(start, zone); got != c.label {
			t.Errorf("%s %s of %s is called %s, want %s", c.zone, c.bucket, c.at, got, c.label)
		}
	}
}
