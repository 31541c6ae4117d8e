package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

func TestSettingsThatLoseWhatWasAcknowledged(t *testing.T) {
	clock := storetest.NewClock()
	_, app := storetest.PostgresURLs(t)
	for mode, careless := range map[string]bool{"on": false, "local": false, "off": true} {
		sep := "?"
		if strings.Contains(app, "?") {
			sep = "&"
		}
		db, err := store.Open(t.Context(), store.Options{URL: app + sep + "synchronous_commit=" + mode, Clock: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if found, err := db.Careless(t.Context()); err != nil || slices.Contains(found, "synchronous_commit = off") != careless {
			t.Errorf("%s: %v, %v", mode, found, err)
		}
	}
	if found, err := storetest.SQLite(t, clock).Careless(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("SQLite: %v, %v", found, err)
	}
}

// TestWhatTheServersFilesStillHold: tables are named until something has vacuumed them
// after the person was erased.
func TestWhatTheServersFilesStillHold(t *testing.T) {
	owner, app := storetest.PostgresURLs(t)
	db, err := store.Open(t.Context(), store.Options{URL: app})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	erased := time.Now().Add(-time.Hour)
	tables, archived, err := db.Remains(t.Context(), erased)
	if err != nil || archived || !slices.Contains(tables, "contacts") || !slices.Contains(tables, "messages_default") || slices.Contains(tables, "messages") {
		t.Errorf("%v, %v, %v", tables, archived, err)
	}
	boss := connected(t, owner)
	if _, err := boss.Exec("VACUUM " + strings.Join(tables, ", ")); err != nil {
		t.Fatal(err)
	}
	if tables, _, err := db.Remains(t.Context(), erased); err != nil || len(tables) > 0 {
		t.Errorf("vacuumed: %v, %v", tables, err)
	}
	if tables, _, err := db.Remains(t.Context(), time.Now().Add(time.Hour)); err != nil || len(tables) < 10 {
		t.Errorf("erased after that: %v, %v", tables, err)
	}
}
