package access

import (
	"slices"
	"testing"
)

// Which role may try which operation stands in graph/testdata/permissions.yaml.
func TestNobodyAndTokensMayTry(t *testing.T) {
	for operation, rule := range Operations {
		if rule.Allows(&Actor{Kind: Anonymous}) != rule.Open {
			t.Errorf("%s: nobody signed in, allowed %v", operation, !rule.Open)
		}
		token := &Actor{Kind: Token, Grants: []Grant{{Permissions: Permissions}}}
		if rule.Allows(token) == (rule.Person && !rule.Open) {
			t.Errorf("%s: a service token with every permission, allowed %v", operation, rule.Allows(token))
		}
	}
}

func TestNoTokenMayCarryWhatNeedsAProof(t *testing.T) {
	for _, p := range Permissions {
		if p.NeedsProof() && !p.ForPeopleOnly() {
			t.Errorf("%s needs a proof of identity and could be given to a service token", p)
		}
	}
	for name, r := range Operations {
		if r.StepUp && !r.Person {
			t.Errorf("%s needs a proof of identity, which no service token can give, and is not for people only", name)
		}
		for _, p := range r.Any {
			if !slices.Contains(Permissions, p) {
				t.Errorf("%s asks for %q, which is no permission", name, p)
			}
		}
	}
}
