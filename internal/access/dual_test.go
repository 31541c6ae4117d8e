package access

import (
	"strings"
	"testing"
)

// Whoever adds an operation that needs a proof decides whether it takes two people.
func TestDualControlIsDecidedForEveryOperationThatNeedsAProof(t *testing.T) {
	for name, rule := range Operations {
		operation, mutation := strings.CutPrefix(name, "Mutation.")
		_, decided := DualControl[operation]
		switch {
		case mutation && rule.StepUp && !decided:
			t.Errorf("%s needs a fresh proof of identity and has no row in DualControl", operation)
		case decided && !rule.StepUp:
			t.Errorf("%s has a row in DualControl and needs no proof", operation)
		}
	}
	for operation, dual := range DualControl {
		if _, ok := Operations["Mutation."+operation]; !ok {
			t.Errorf("%s is no operation", operation)
		}
		switch dual.When {
		case Weaker, WhereTwo, WhereOn, Never:
		default:
			t.Errorf("%s: %q is no case", operation, dual.When)
		}
		if len(dual.Why) < 10 {
			t.Errorf("%s: the row says no reason", operation)
		}
	}
}
