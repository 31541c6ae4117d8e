package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/leaf"
)

// untimed is a checkpoint as earlier versions signed it: without the line of the time.
func untimed(t *testing.T, s *scene, text string, k ed25519.PrivateKey) string {
	t.Helper()
	public := strings.Split(checkpoint.Keys{k}.Public(s.corp), "+")
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", public[0], public[1], base64.StdEncoding.EncodeToString(append([]byte{1}, k.Seed()...))))
	ok(t, err)
	said := strings.SplitAfter(text, "\n")
	b, err := note.Sign(&note.Note{Text: strings.Join(said[:3], "")}, signer)
	ok(t, err)
	return string(b)
}

// Checkpoints of earlier versions go on to vouch for their entries, but not for when; and
// nobody makes one of a newer one.
func TestCheckpointsOfEarlierVersions(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		s.sealed(sealer, 3)
		file := audit.File(sealer.Folder, s.corp)
		whole, err := os.ReadFile(file)
		ok(t, err)
		var text string
		ok(t, s.super.QueryRow(`SELECT note FROM checkpoints`).Scan(&text))
		old := untimed(t, s, text, key(1))
		inJSON := func(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", `\n`)) }
		ok(t, os.WriteFile(file, bytes.Replace(whole, inJSON(text), inJSON(old), 1), 0o600))
		s.unlocked()
		s.exec(`UPDATE checkpoints SET note = '` + old + `', at = '2020-01-01T00:00:00.000000Z'`)
		trust := audit.Trust{Folder: sealer.Folder, Keys: []string{sealer.Keys.Public(s.corp)}}
		s.sealed(sealer, 2) // the log goes on from it
		got, err := audit.Verify(context.Background(), s.db, s.corp, trust, nil)
		if err != nil || got.Checkpoints != 4 || got.Copies != 2 || got.Untimed != 1 || got.Unsealed != 0 {
			t.Errorf("%+v, %v", got, err)
		}

		var newer string
		ok(t, s.super.QueryRow(`SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1`).Scan(&newer))
		lines := strings.SplitAfter(newer, "\n")
		if !strings.HasPrefix(lines[3], "time ") {
			t.Fatalf("no time in %q", newer)
		}
		for name, forged := range map[string]string{
			"the line taken off":   strings.Join(lines[:3], "") + strings.Join(lines[4:], ""),
			"another line":         strings.Replace(newer, "time ", "hour ", 1),
			"the earlier one":      old,
			"one of another key's": untimed(t, s, newer, key(2)),
		} {
			s.exec(`UPDATE checkpoints SET note = '` + forged + `' WHERE size = (SELECT max(size) FROM checkpoints)`)
			if b := s.broken(trust); b == nil || b.Why != leaf.NotSigned && b.Why != leaf.SealDiffers {
				t.Errorf("%s: %v", name, b)
			}
		}
		// What it says of the entries counts as ever.
		s.exec(`UPDATE checkpoints SET note = '` + newer + `' WHERE size = (SELECT max(size) FROM checkpoints)`)
		if b := s.broken(trust); b != nil {
			t.Fatal(b)
		}
		s.exec(`UPDATE checkpoints SET root = ` + map[bool]string{true: `'\x` + strings.Repeat("00", 32) + `'`, false: `x'` + hex.EncodeToString(make([]byte, 32)) + `'`}[s.db.Postgres()] +
			` WHERE size = (SELECT min(size) FROM checkpoints)`)
		if b := s.broken(trust); b == nil || b.Why != leaf.SealDiffers {
			t.Errorf("another root: %v", b)
		}
	})
}
