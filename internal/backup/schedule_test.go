package backup_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/openhandover/openhandover/internal/backup"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// Backups are made when they are due, the newest stay, and the log says so.
func TestSchedule(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		folder := t.TempDir()
		s := &backup.Schedule{DB: db, Log: c.Log, Folder: folder, Recipients: []age.Recipient{newKey(t).Recipient()}, Every: 24 * time.Hour, Keep: 3}
		due := func() time.Time {
			t.Helper()
			next, err := s.Work(t.Context(), c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		files := func() []backup.File {
			t.Helper()
			all, err := s.List(c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		stranger := filepath.Join(folder, c.ID.String(), "notes.txt")
		for day := range 5 {
			if next := due(); !next.Equal(db.Now().Add(24 * time.Hour)) {
				t.Errorf("day %d: next at %v", day, next)
			}
			if day == 0 {
				if err := os.WriteFile(stranger, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(files()); n != min(day+1, 3) {
				t.Errorf("day %d: %d files", day, n)
			}
			clock.Add(time.Hour)
			if next := due(); !next.Equal(db.Now().Add(23*time.Hour)) || len(files()) != min(day+1, 3) {
				t.Errorf("day %d: an hour later, next at %v", day, next)
			}
			clock.Add(23 * time.Hour)
		}
		if _, err := os.Stat(stranger); err != nil {
			t.Error(err)
		}
		count := func(action string) int {
			return testcorp.Value[int](c, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = $2`, c.ID, action)
		}
		if a, b := count("backup.create"), count("backup.delete"); a != 5 || b != 2 {
			t.Errorf("%d made, %d thrown away, says the log", a, b)
		}
		if info, err := os.Stat(files()[0].Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	})
}

// Where nothing can be written, nothing is thrown away, and nothing half-written stays.
func TestScheduleWithoutRoom(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := &backup.Schedule{DB: db, Log: c.Log, Folder: file, Recipients: []age.Recipient{newKey(t).Recipient()}, Every: time.Hour, Keep: 1}
		if _, err := s.Work(t.Context(), c.ID); err == nil {
			t.Error("a folder that is a file was good enough")
		}
		s.Folder = t.TempDir()
		if _, _, err := s.Take(t.Context(), c.ID, file, nil); !os.IsExist(err) {
			t.Errorf("over another file: %v", err)
		}
		left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".partial*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}
