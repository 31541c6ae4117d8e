package main

import "testing"

func TestMigrationsTakeTheirTime(t *testing.T) {
	for raw, want := range map[string]string{
		"sqlite:data/handover.db":                   "sqlite:data/handover.db",
		"postgres://o:p%40ss@db/h?sslmode=require":  "postgres://o:p%40ss@db/h?sslmode=require&statement_timeout=0",
		"postgres://o@db/h?statement_timeout=60000": "postgres://o@db/h?statement_timeout=60000",
	} {
		if got := unhurried(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
