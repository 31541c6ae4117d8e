package handover_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
)

// The table is written out a second time, cell by cell: a change of the state
// machine must be made on purpose, twice. A dot is a CONFLICT.
var cells = map[handover.State]string{
	//                            SubF SubB Appr Reje Expi Repl Exec Sche Begi Hold FAll FSom FNon Retr Canc StoR Reve
	handover.Draft:            "READY AWAITING_APPROVAL . . . DRAFT . . . . . . . . CANCELLED . .",
	handover.AwaitingApproval: ". . READY REJECTED DRAFT DRAFT . . . . . . . . CANCELLED . .",
	handover.Ready:            ". . . . . DRAFT RUNNING SCHEDULED . . . . . . CANCELLED . .",
	handover.Scheduled:        ". . . . . . . . RUNNING READY . . . . CANCELLED . .",
	handover.Running:          ". . . . . . . . . . COMPLETED PARTIAL FAILED . . CANCELLED .",
	handover.Completed:        ". . . . . . . . . . . . . . . . REVERTED",
	handover.Partial:          ". . . . . . . . . . . . . RUNNING . . REVERTED",
	handover.Failed:           ". . . . . . . . . . . . . RUNNING . . .",
	handover.Rejected:         ". . . . . DRAFT . . . . . . . . . . .",
	handover.Cancelled:        ". . . . . . . . . . . . . . . . .",
	handover.Reverted:         ". . . . . . . . . . . . . . . . .",
}

func TestEveryStateAndEvent(t *testing.T) {
	if len(cells) != len(handover.States) {
		t.Fatalf("%d rows for %d states", len(cells), len(handover.States))
	}
	for _, s := range handover.States {
		row := strings.Fields(cells[s])
		if len(row) != len(handover.Events) {
			t.Fatalf("%s has %d cells for %d events", s, len(row), len(handover.Events))
		}
		for i, e := range handover.Events {
			got, err := handover.Next(s, e)
			switch {
			case row[i] == "." && (fault.CodeOf(err) != fault.Conflict || got != s):
				t.Errorf("%s, %s: got %s, %v; want CONFLICT and no change", s, e, got, err)
			case row[i] != "." && (err != nil || string(got) != row[i]):
				t.Errorf("%s, %s: got %s, %v; want %s", s, e, got, err, row[i])
			}
		}
	}
}

// The picture in the docs is the same state machine.
func TestThePictureIsTrue(t *testing.T) {
	doc, err := os.ReadFile("../../docs/handover-states.md")
	if err != nil {
		t.Fatal(err)
	}
	arrows := 0
	for _, s := range handover.States {
		for _, e := range handover.Events {
			if to, err := handover.Next(s, e); err == nil {
				arrows++
				if line := fmt.Sprintf("%s --> %s: %s\n", s, to, e); !strings.Contains(string(doc), line) {
					t.Errorf("docs/handover-states.md lacks %q", strings.TrimSpace(line))
				}
			}
		}
	}
	if n := strings.Count(string(doc), " --> ") - strings.Count(string(doc), "[*] --> "); n != arrows {
		t.Errorf("the picture has %d arrows, the state machine %d", n, arrows)
	}
}
