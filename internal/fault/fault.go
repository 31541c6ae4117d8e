// Package fault is the one way in which the product says no.
//
// A fault has a code that clients branch on, the input field it is about, and a
// sentence in each of our languages. Its cause is for the log and never shown.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is the word clients branch on. It stands in extensions.code.
type Code string

// The codes. They are part of the public contract.
const (
	// Unauthenticated: nobody is signed in, or the session ended.
	Unauthenticated Code = "UNAUTHENTICATED"
	// StepUpRequired: a fresh proof of identity is needed (RFC 9470).
	StepUpRequired Code = "STEP_UP_REQUIRED"
	// Forbidden: the actor may see the thing but not do this to it.
	Forbidden Code = "FORBIDDEN"
	// NotFound: no such thing, or none that the actor may see.
	NotFound Code = "NOT_FOUND"
	// Invalid: the input is wrong; the same input will never work.
	Invalid Code = "INVALID"
	// Conflict: the thing has changed, or is in a state that does not allow this.
	Conflict Code = "CONFLICT"
	// ApprovalRequired: somebody else has to approve first.
	ApprovalRequired Code = "APPROVAL_REQUIRED"
	// Limit: more than is allowed, or than the successor has room for.
	Limit Code = "LIMIT"
	// RateLimited: too many tries; RetryAfter says when again.
	RateLimited Code = "RATE_LIMITED"
	// Upstream: the platform answered with an error.
	Upstream Code = "UPSTREAM"
	// Timeout: not done in time; nothing was changed.
	Timeout Code = "TIMEOUT"
	// Unavailable: the database or disk cannot be used just now.
	Unavailable Code = "UNAVAILABLE"
	// Internal: our mistake; the log has it under the request's id.
	Internal Code = "INTERNAL"
)

// Text is one sentence in each language the product speaks.
type Text struct{ EN, ZH string }

// T writes a sentence in both languages with the same arguments.
func T(en, zh string, args ...any) Text {
	if len(args) == 0 {
		return Text{en, zh}
	}
	return Text{fmt.Sprintf(en, args...), fmt.Sprintf(zh, args...)}
}

// In gives the sentence in the language tag's language: Chinese for zh*, else English.
func (t Text) In(lang string) string {
	if strings.HasPrefix(strings.ToLower(lang), "zh") && t.ZH != "" {
		return t.ZH
	}
	return t.EN
}

// Error is one fault.
type Error struct {
	Code Code
	// Field is the path into the operation's arguments, e.g. "input.plan.kind"; may be empty.
	Field string
	Text  Text
	// RetryAfter is how long to wait before trying again; 0 says nothing.
	RetryAfter time.Duration
	// Details go into extensions as they are: plain JSON values, no personal data.
	Details map[string]any
	cause   error
}

// New makes a fault about a field; field may be empty.
func New(code Code, field string, text Text) *Error {
	return &Error{Code: code, Field: field, Text: text}
}

// Error is the English sentence with code and field, for logs and the terminal.
func (e *Error) Error() string {
	s := e.Text.EN
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	return s
}

// Unwrap gives the private cause.
func (e *Error) Unwrap() error { return e.cause }

// Because attaches the private cause.
func (e *Error) Because(cause error) *Error { e.cause = cause; return e }

// With adds a detail to extensions.
func (e *Error) With(key string, value any) *Error {
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details[key] = value
	return e
}

// After says how long to wait before trying again.
func (e *Error) After(d time.Duration) *Error { e.RetryAfter = d; return e }

// Is matches a target *Error by its code alone: errors.Is(err, fault.Of(fault.Conflict)).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Text == Text{} && t.Code == e.Code
}

// Of is a pattern for errors.Is that matches every fault of a code.
func Of(code Code) error { return &Error{Code: code} }

// List is several faults at once, as a form has them.
type List []*Error

func (l List) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap lets errors.Is and errors.As look into each.
func (l List) Unwrap() []error {
	out := make([]error, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}

// Err is nil for an empty list, the fault itself for a single one.
func (l List) Err() error {
	switch len(l) {
	case 0:
		return nil
	case 1:
		return l[0]
	}
	return l
}

// CodeOf finds the code of an error: Internal for what is not a fault, empty for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Missing is the one answer for an id that is unknown, of another kind, of
// another corp or not visible: all four read alike, so nobody learns which.
func Missing(field string) *Error {
	return New(NotFound, field, T("there is no such object, or you may not see it", "对象不存在,或您无权查看"))
}

// Bad is an Invalid fault.
func Bad(field, en, zh string, args ...any) *Error { return New(Invalid, field, T(en, zh, args...)) }

// Clash is a Conflict fault.
func Clash(field, en, zh string, args ...any) *Error { return New(Conflict, field, T(en, zh, args...)) }

// Denied is a Forbidden fault.
func Denied(en, zh string, args ...any) *Error { return New(Forbidden, "", T(en, zh, args...)) }

// Stale is the Conflict for a version the caller saw that is no longer the current one.
func Stale(field string, current int) *Error {
	return Clash(field, "it was changed by somebody else meanwhile; read it again and repeat", "数据已被他人修改,请重新读取后再试").With("currentVersion", current)
}
