package formula_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/formula"
)

func TestNothingRuns(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "李娜": "李娜", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r": "'\r", "\n=1": "'\n=1",
		"＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠a": "'＠a", "a=b": "a=b", "'a": "'a",
	} {
		if got := formula.Harmless(s); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune("='+-@＝a李\t\n"))).Draw(t, "text")
		q := formula.Quote(s)
		if formula.Runs(q) || formula.Unquote(q) != s {
			t.Fatalf("%q is quoted as %q and read back as %q", s, q, formula.Unquote(q))
		}
	})
}
