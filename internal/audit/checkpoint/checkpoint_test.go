package checkpoint_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
)

// stored is a tree's hashes in memory, for tlog.
type stored []tlog.Hash

func (s stored) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, n := range at {
		if n >= int64(len(s)) {
			return nil, errors.New("not stored")
		}
		out[i] = s[n]
	}
	return out, nil
}

// The roots of RFC 6962's published test tree (certificate-transparency's merkle tests).
func TestRoots(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var f checkpoint.Frontier
	if empty := f.Root(); hex.EncodeToString(empty[:]) != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("an empty tree has the root %x", empty)
	}
	for i, leaf := range leaves {
		b, _ := hex.DecodeString(leaf)
		f.Add(tlog.RecordHash(b))
		if root := f.Root(); hex.EncodeToString(root[:]) != roots[i] {
			t.Errorf("%d leaves have the root %x, want %s", i+1, root, roots[i])
		}
	}
}

// The frontier stores what tlog stores, has its roots, and can be resumed anywhere.
func TestFrontierIsTlogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f checkpoint.Frontier
		var hashes, theirs stored
		for i := range int64(rapid.IntRange(1, 70).Draw(t, "size")) {
			leaf := tlog.RecordHash([]byte{byte(i), rapid.Byte().Draw(t, "leaf")})
			more, err := tlog.StoredHashesForRecordHash(i, leaf, theirs)
			if err != nil {
				t.Fatal(err)
			}
			theirs = append(theirs, more...)
			if rapid.Bool().Draw(t, "resumed") {
				resumed, err := checkpoint.Resume(i, hashes)
				if err != nil {
					t.Fatal(err)
				}
				f = *resumed
			}
			hashes = append(hashes, f.Add(leaf)...)
			root, err := tlog.TreeHash(i+1, theirs)
			if err != nil || f.Root() != [32]byte(root) || f.Size != i+1 || len(hashes) != len(theirs) {
				t.Fatalf("%d leaves: %v", i+1, err)
			}
		}
	})
}

func keys(t *testing.T, seeds ...string) checkpoint.Keys {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	var lines []string
	for _, s := range seeds {
		lines = append(lines, strings.Repeat(s, 32))
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := checkpoint.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignedAndOpened(t *testing.T) {
	corp, other := nid.New(nid.Corp), nid.New(nid.Corp)
	first, second := keys(t, "01"), keys(t, "02", "01")
	root, at := [32]byte{1, 2, 3}, time.Date(2026, 3, 9, 8, 15, 42, 5000, time.UTC)
	text, err := first.Sign(corp, 7, root, at, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(text, corp, []string{first.Public(corp)})
	if err != nil || c.Size != 7 || c.Root != root || !c.At.Equal(at) || len(c.Keys) != 1 || c.Keys[0] != first.Public(corp) {
		t.Errorf("%+v, %v", c, err)
	}
	// The public tools read it too.
	v, err := note.NewVerifier(first.Public(corp))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open([]byte(text), note.VerifierList(v)); err != nil {
		t.Error(err)
	}
	for name, open := range map[string]func() error{
		"another key":  func() error { _, err := checkpoint.Open(text, corp, []string{second.Public(corp)}); return err },
		"no key":       func() error { _, err := checkpoint.Open(text, corp, nil); return err },
		"another corp": func() error { _, err := checkpoint.Open(text, other, []string{first.Public(corp)}); return err },
		"another size": func() error {
			_, err := checkpoint.Open(strings.Replace(text, "\n7\n", "\n8\n", 1), corp, []string{first.Public(corp)})
			return err
		},
		"another time": func() error {
			_, err := checkpoint.Open(strings.Replace(text, "time 2026", "time 2027", 1), corp, []string{first.Public(corp)})
			return err
		},
		"cut off": func() error {
			_, err := checkpoint.Open(text[:len(text)-3], corp, []string{first.Public(corp)})
			return err
		},
		"no verifier key": func() error { _, err := checkpoint.Open(text, corp, []string{"x"}); return err },
	} {
		if open() == nil {
			t.Errorf("%s: opened", name)
		}
	}
	both, err := second.Sign(corp, 8, root, at, true)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := checkpoint.Open(both, corp, []string{first.Public(corp), second.Public(corp)}); err != nil || len(c.Keys) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if !second.Has(corp, first.Public(corp)) || first.Has(corp, second.Public(corp)) {
		t.Error("which keys there are")
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "\n", "short": "0102\n", "words": "not a key"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := checkpoint.ReadKeys(file); err == nil || strings.Contains(err.Error(), "0102") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := checkpoint.ReadKeys(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
