// Package formula keeps what people chose for names from running in a spreadsheet
// (OWASP, CSV injection). It is for CSV only: in XLSX a text is a text.
package formula

import "strings"

// Runs reports whether a spreadsheet that opens a CSV file may take the text for a
// formula, also by the full-width signs that some of them take for the plain ones.
func Runs(s string) bool {
	return s != "" && strings.ContainsAny(s[:1], "=+-@\t\r\n") || strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") ||
		strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠")
}

// Harmless puts an apostrophe before what runs. It cannot be undone: who reads the
// result cannot tell an apostrophe of ours from another.
func Harmless(s string) string {
	if Runs(s) {
		return "'" + s
	}
	return s
}

// Quote puts an apostrophe before what runs and before an apostrophe, so that Unquote
// gives the text back.
func Quote(s string) string {
	if Runs(s) || strings.HasPrefix(s, "'") {
		return "'" + s
	}
	return s
}

// Unquote takes away what Quote put there.
func Unquote(s string) string { return strings.TrimPrefix(s, "'") }
