package detect_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/detect"
)

var (
	update = flag.Bool("update", false, "write the figures into docs/chat-audit.md")
	misses = flag.Bool("misses", false, "print what was judged wrongly in the part for tuning")
)

// labelled is one message of testdata/messages.jsonl.
type labelled struct {
	Kind, Attachment, Mime, Text string
	FromContact                  bool
	Expect                       []detect.Name
}

// own is what the company of the labelled messages has.
var own = detect.Own{
	Domains: []string{"qingshan.example"}, Phones: []string{"138-0000-0001"},
	Accounts: []string{"qingshan_kefu"}, Names: []string{"王接班", "青山小助手"},
}

// tuning splits by a hash of the line: rules may be changed after a look at this part,
// never after a look at the other.
func tuning(line []byte) bool { return sha256.Sum256(line)[0]%2 == 0 }

func lines[T any](t testing.TB, file string, each func(v T, tuning bool)) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		each(v, tuning(s.Bytes()))
	}
}

// count is what one detector did on one part.
type count struct{ right, wrong, missed int }

func (c count) precision() float64 { return ratio(c.right, c.right+c.wrong) }
func (c count) recall() float64    { return ratio(c.right, c.right+c.missed) }

func ratio(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

func (c *count) note(expected, found bool) {
	switch {
	case expected && found:
		c.right++
	case found:
		c.wrong++
	case expected:
		c.missed++
	}
}

// floors are just below what is measured on the part held out, precision and recall.
var floors = map[detect.Name][2]float64{
	detect.WeChat: {0.98, 0.84}, detect.QQ: {0.98, 0.92}, detect.Phone: {0.96, 0.98}, detect.Email: {0.98, 0.91}, detect.Link: {0.98, 0.98},
	detect.Card: {0.98, 0.98}, detect.QR: {0.98, 0.82}, detect.Invite: {0.95, 0.87}, detect.Export: {0.84, 0.80},
}

func TestFigures(t *testing.T) {
	counts := map[bool]map[detect.Name]*count{true: {}, false: {}}
	for _, part := range counts {
		for _, n := range detect.Names() {
			part[n] = &count{}
		}
	}
	d := detect.New(own)
	messages, negatives := map[bool]int{}, 0
	lines(t, "testdata/messages.jsonl", func(m labelled, tune bool) {
		messages[tune]++
		if len(m.Expect) == 0 {
			negatives++
		}
		got := d.Message(detect.Message{Kind: m.Kind, Text: m.Text, Attachment: m.Attachment, Mime: m.Mime, FromContact: m.FromContact, SentAt: time.Unix(1_770_000_000, 0)})
		for n, c := range counts[tune] {
			found := slices.ContainsFunc(got, func(f detect.Finding) bool { return f.Detector == n })
			expected := slices.Contains(m.Expect, n)
			c.note(expected, found)
			if found != expected && tune && *misses {
				t.Logf("%-7s expected %-5v %s %s %s", n, expected, m.Kind, m.Attachment, m.Text)
			}
		}
	})
	days := map[bool]int{}
	lines(t, "testdata/exports.jsonl", func(c struct {
		About  string
		Before [][3]int
		Day    [3]int
		Leak   bool
	}, tune bool) {
		days[tune]++
		var before []detect.Day
		for _, b := range c.Before {
			before = append(before, day(b))
		}
		_, found := detect.BeforeLeaving(day(c.Day), before)
		counts[tune][detect.Export].note(c.Leak, found)
		if found != c.Leak && tune && *misses {
			t.Logf("EXPORT expected %v: %s %v", c.Leak, c.About, c.Day)
		}
	})
	if n := messages[true] + messages[false]; n < 600 || negatives*5 < n*2 {
		t.Errorf("%d messages, %d of them harmless: too few to measure", n, negatives)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %d messages (%d harmless) and %d days of exports, in two parts by a hash. The rules were tuned on %d and %d of them; the figures are of the other %d and %d.\n\n",
		messages[true]+messages[false], negatives, days[true]+days[false], messages[true], days[true], messages[false], days[false])
	b.WriteString("| Detector | Shown as | Cases | Precision | Recall | Tuned part: precision, recall |\n|---|---|---|---|---|---|\n")
	for _, n := range detect.Names() {
		c, tuned := counts[false][n], counts[true][n]
		fmt.Fprintf(&b, "| `%s` | `%s` | %d | %.2f | %.2f | %.2f, %.2f |\n", n, n.Kind(), c.right+c.missed, c.precision(), c.recall(), tuned.precision(), tuned.recall())
		if f := floors[n]; c.precision() < f[0] || c.recall() < f[1] || f[0] == 0 {
			t.Errorf("%s: precision %.3f, recall %.3f; at least %v is held", n, c.precision(), c.recall(), f)
		}
	}
	t.Logf("\n%s", b.String())
	written(t, "../../docs/chat-audit.md", b.String())
}

func day(d [3]int) detect.Day { return detect.Day{Exports: d[0], Rows: d[1], Reads: d[2]} }

// written holds the page's figures against those measured.
func written(t *testing.T, page, figures string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
	head, rest, ok := strings.Cut(string(b), begin)
	was, tail, ok2 := strings.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Errorf("%s has no place for the figures", page)
	case was == figures:
	case *update:
		if err := os.WriteFile(page, []byte(head+begin+figures+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has other figures; run: go test ./internal/detect -run TestFigures -update", page)
	}
}
