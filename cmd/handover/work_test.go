package main

import (
	"testing"

	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
)

// A departure wakes the work on handovers by its name.
func TestADepartureWakesHandovers(t *testing.T) {
	if member.WorkPlans != handover.WorkHandovers {
		t.Errorf("a departure wakes %q, handovers listen for %q", member.WorkPlans, handover.WorkHandovers)
	}
}
