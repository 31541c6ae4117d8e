package model

import (
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/siblings"
)

// Rule is one rule of a rule set.
type Rule struct {
	siblings.Kin
	rule.Rule
}

// RuleCondition is what a rule is for.
type RuleCondition struct{ *Rule }
