package contact

import "time"

// KeyLasts is how long a contact that is no longer KEY still counts as KEY for
// approval: taking the mark off does not make a plan for one person alone.
const KeyLasts = 30 * 24 * time.Hour

// KeySince is the moment after which a contact that was KEY still counts as it.
func KeySince(now time.Time) time.Time { return now.Add(-KeyLasts) }

// CountsAsKey reports whether a contact counts as KEY for approval: it is KEY, or was
// until a moment that is not long ago. until is the column key_until.
func CountsAsKey(importance string, until *time.Time, now time.Time) bool {
	return importance == key || until != nil && until.After(KeySince(now))
}

// FormerKey is the SQL condition that a contact of the table is not KEY but counts as
// it, given the SQL of the moment that KeySince gives.
func FormerKey(table, since string) string {
	return "(" + table + ".importance <> 'KEY' AND " + table + ".key_until > " + since + ")"
}

// Unmarks is the part of an UPDATE of contacts that notes when the key mark is taken
// off and by whom, given the SQL of whether it is, of the time and of the member (NULL:
// nobody). Every statement that sets the importance needs it: a trigger refuses to take
// the mark off without.
func Unmarks(off, at, by string) string {
	return "key_until = CASE WHEN " + off + " THEN " + at + " ELSE contacts.key_until END, " +
		"key_changed_by_id = CASE WHEN " + off + " THEN " + by + " ELSE contacts.key_changed_by_id END"
}
