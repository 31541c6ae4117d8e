// Package migrations holds the versioned SQL of both dialects. A released file is
// never edited; `go run ./ent/migrate/diff` writes the next one.
package migrations

import "embed"

// FS has one folder for each dialect, postgres and sqlite.
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
