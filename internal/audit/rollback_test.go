package audit_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/nid"
)

// A line taken out of the copy outside of the database is noticed by the checkpoints that
// the database has.
func TestARemovedLineIsNoticed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		for range 4 {
			s.sealed(sealer, 3)
		}
		file := audit.File(sealer.Folder, s.corp)
		whole, err := os.ReadFile(file)
		ok(t, err)
		lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
		for i := range lines {
			ok(t, os.WriteFile(file, []byte(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")), 0o600))
			r, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{Folder: sealer.Folder}, nil)
			b, found := errors.AsType[*leaf.Broken](err)
			switch {
			case i < len(lines)-1 && (!found || b.Why != leaf.CopyMissing):
				t.Errorf("line %d: %v", i, err)
			case i == len(lines)-1 && (err != nil || r.Behind != 1):
				t.Errorf("the last line: %+v, %v", r, err)
			}
		}
		ok(t, os.Remove(file)) // all of them at once
		if r, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{Folder: sealer.Folder}, nil); err != nil || r.Behind != len(lines) {
			t.Errorf("without the file: %+v, %v", r, err)
		}
		ok(t, os.WriteFile(file, []byte(strings.Join(lines[:len(lines)-1], "")), 0o600))
		// Sealing goes on, and writes what is missing at the end again.
		s.sealed(sealer, 3)
		if r, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{Folder: sealer.Folder}, nil); err != nil || r.Behind != 0 || r.Unsealed != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		fill(s, 2)
		if r, err := audit.Verify(t.Context(), s.db, s.corp, audit.Trust{Folder: sealer.Folder}, nil); err != nil || r.Unsealed != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// When a checkpoint was made is signed, in the database and in the copy.
func TestTheTimeOfACheckpointIsSigned(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		s.sealed(sealer, 3)
		file := audit.File(sealer.Folder, s.corp)
		whole, err := os.ReadFile(file)
		ok(t, err)
		ok(t, os.WriteFile(file, []byte(strings.Replace(string(whole), `"at":"20`, `"at":"19`, 1)), 0o600))
		if b := s.broken(audit.Trust{Folder: sealer.Folder}); b == nil || b.Why != leaf.TimeDiffers {
			t.Errorf("in the copy: %v", b)
		}
		ok(t, os.WriteFile(file, whole, 0o600))
		if b := s.broken(audit.Trust{Folder: sealer.Folder}); b != nil {
			t.Error(b)
		}
		s.unlocked()
		s.exec(`UPDATE checkpoints SET at = '2020-01-01T00:00:00.000000Z'`)
		if b := s.broken(audit.Trust{Folder: sealer.Folder}); b == nil || b.Why != leaf.TimeDiffers {
			t.Errorf("in the database: %v", b)
		}
	})
}

// A database that is older than what was signed is noticed, and goes on only after a
// person has accepted it, which is recorded; the evidence of what there was stays.
func TestAnOlderDatabaseWaitsForAPerson(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		s.sealed(sealer, 6)
		ok(t, audit.Continues(t.Context(), s.db, sealer.Folder))
		if _, err := s.log.Accept(t.Context(), s.db, sealer.Folder, s.corp); !errors.Is(err, audit.ErrContinues) {
			t.Errorf("there is nothing to accept: %v", err)
		}
		s.sealed(sealer, 6)
		s.unlocked()
		s.exec(`DELETE FROM audit_entries WHERE "index" >= 7`)
		s.exec(`DELETE FROM checkpoints WHERE size > 7`)
		s.exec(`DELETE FROM audit_hashes WHERE n >= 11`)
		s.exec(`UPDATE audit_heads SET size = 7, hash = (SELECT hash FROM audit_entries WHERE "index" = 6)`)
		if err := audit.Continues(t.Context(), s.db, sealer.Folder); !errors.Is(err, audit.ErrForked) {
			t.Errorf("not noticed: %v", err)
		}
		aside, err := s.log.Accept(t.Context(), s.db, sealer.Folder, s.corp)
		ok(t, err)
		if len(aside) != 1 {
			t.Errorf("put aside: %q", aside)
		}
		for _, file := range aside {
			kept, err := os.ReadFile(file)
			ok(t, err)
			if strings.Count(string(kept), "\n") != 2 {
				t.Errorf("%s: %s", file, kept)
			}
		}
		ok(t, audit.Continues(t.Context(), s.db, sealer.Folder))
		if n := s.count(`SELECT count(*) FROM audit_entries WHERE action = $1`, string(access.CheckpointAccept)); n != 1 {
			t.Errorf("%d entries say so", n)
		}
		s.sealed(sealer, 3)
		if b := s.broken(audit.Trust{Folder: sealer.Folder}); b != nil {
			t.Error(b)
		}
		// A corp that the database has lost is accepted by its id, and leaves no entry.
		lost := nid.New(nid.Corp)
		note, err := sealer.Keys.Sign(lost, 3, [32]byte{1}, s.db.Now(), false)
		ok(t, err)
		line, err := json.Marshal(map[string]any{"size": 3, "note": note, "at": s.db.Now()})
		ok(t, err)
		ok(t, os.WriteFile(audit.File(sealer.Folder, lost), append(line, '\n'), 0o600))
		if err := audit.Continues(t.Context(), s.db, sealer.Folder); !errors.Is(err, audit.ErrForked) || !strings.Contains(err.Error(), lost.String()) {
			t.Errorf("a lost corp: %v", err)
		}
		if aside, err := s.log.Accept(t.Context(), s.db, sealer.Folder, lost); err != nil || len(aside) != 1 {
			t.Errorf("%q, %v", aside, err)
		}
		ok(t, audit.Continues(t.Context(), s.db, sealer.Folder))
	})
}
