package evidence_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
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
	b, err := json.Marshal(map[string]any{"v": 1, "files": sums})
	ok(t, err)
	files["manifest.json"] = string(b)
	return zipped(t, files)
}

func zipped(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		ok(t, err)
		_, err = f.Write([]byte(text))
		ok(t, err)
	}
	ok(t, z.Close())
	return b.Bytes()
}
