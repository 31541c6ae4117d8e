package evidence_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/openhandover/openhandover/internal/evidence/offline"
)

// repack makes a package of changed files, with a manifest that fits them.
func repack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	sums := map[string]string{}
	for name, text := range files {
		if name != "manifest.json" {
			sum := sha256.Sum256([]byte(text))
			sums[name] = hex.EncodeToString(sum[:])
		}
	}
	b, err := json.Marshal(map[string]any{"v": offline.Version, "files": sums})
	ok(t, err)
	files["manifest.json"] = string(b)
	return zipped(t, files)
}

// zipped packs files in the order of the format, others behind them.
func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	names := slices.Clone(offline.Files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return inOrder(t, files, names...)
}

func inOrder(t *testing.T, files map[string]string, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		text, there := files[name]
		if !there {
			continue
		}
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		ok(t, err)
		_, err = f.Write([]byte(text))
		ok(t, err)
	}
	ok(t, z.Close())
	return b.Bytes()
}
