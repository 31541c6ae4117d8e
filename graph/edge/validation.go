package edge

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// What a client is told of a document that is wrong.
const (
	maxValidationErrors = 5
	maxMessageRunes     = 200
)

// Rules whose errors suggest names of the schema, and what stands in for them: a
// guess would show the schema to those who may not read it, and computing one
// compares every name with every other.
var withoutSuggestions = map[string]core.Rule{
	rules.FieldsOnCorrectTypeRule.Name: rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
	rules.KnownArgumentNamesRule.Name:  rules.KnownArgumentNamesRuleWithoutSuggestions,
	rules.KnownTypeNamesRule.Name:      rules.KnownTypeNamesRuleWithoutSuggestions,
	rules.ScalarLeafsRule.Name:         rules.ScalarLeafsRuleWithoutSuggestions,
	rules.ValuesOfCorrectTypeRule.Name: rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
}

// cappedRules are all rules of the specification, which together report no more than
// five errors. It is called once for each validation.
func cappedRules() *rules.Rules {
	out := rules.NewRules()
	left := maxValidationErrors
	for name, check := range rules.NewDefaultRules().GetInner() {
		if quiet, ok := withoutSuggestions[name]; ok {
			name, check = quiet.Name, quiet.RuleFunc
		}
		out.AddRule(name, func(observers *core.Events, add core.AddErrFunc) {
			check(observers, func(options ...core.ErrorOption) {
				if left > 0 {
					left--
					add(options...)
				}
			})
		})
	}
	return out
}

var suggestion = regexp.MustCompile(` ?Did you mean [^?]*\?`)

// brief makes a message of the parser or the validator fit to be shown: it may quote
// the document, so it is cut, and it suggests nothing.
func brief(message string) string {
	if len(message) > 16*maxMessageRunes { // do no work on what is cut off below
		message = message[:16*maxMessageRunes]
	}
	message = suggestion.ReplaceAllString(strings.ToValidUTF8(message, "�"), "")
	if utf8.RuneCountInString(message) <= maxMessageRunes {
		return message
	}
	return string([]rune(message)[:maxMessageRunes-1]) + "…"
}
