package intake

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/formula"
)

func TestAHeaderMeansOneColumn(t *testing.T) {
	for file, columns := range headers {
		seen := map[string]string{}
		for _, c := range columns {
			for _, h := range append([]string{c.name}, c.also...) {
				if was, ok := seen[header(h)]; ok {
					t.Errorf("%s: %s means %s and %s", file, h, was, c.name)
				}
				seen[header(h)] = c.name
			}
			if h := usual(file, c.name); h[0] < 0x80 {
				t.Errorf("%s: %s has no Chinese header", file, c.name)
			}
		}
	}
}

func TestTheBetterHeaderWins(t *testing.T) {
	l := match(FollowsFile, []string{"添加人", "客户", "External UserID *", "添加时间(必填)", "添加人帐号", "", "心情"})
	for name, want := range map[string]int{"userid": 4, "external_userid": 2, "since": 3} {
		if got, ok := l.at[name]; !ok || got != want {
			t.Errorf("%s stands at %d, want %d", name, got, want)
		}
	}
	if !slices.Equal(l.ignored, []string{"添加人", "客户", "心情"}) || l.missing != nil || l.twice != nil {
		t.Errorf("ignored %q, missing %q, twice %q", l.ignored, l.missing, l.twice)
	}
}

func TestQuotedCellsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringMatching(`[=+@'\-\t]{0,3}[a-z李]{0,3}`).Draw(t, "cell")
		q := formula.Quote(cell)
		if strings.TrimPrefix(q, "'") != cell || q != "" && strings.ContainsAny(q[:1], "=+-@\t\r") {
			t.Fatalf("%q is written as %q", cell, q)
		}
	})
}
