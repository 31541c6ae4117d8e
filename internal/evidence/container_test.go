package evidence_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// A package is what its files account for, to the byte: nothing can be hidden in it, and
// no two programs can see different files in it.
func TestNothingElseIsInAPackage(t *testing.T) {
	clock := storetest.NewClock()
	s := newScene(t, storetest.SQLite(t, clock), clock)
	s.seal()
	pack, err := s.write(s.Verified(s.Admin))
	ok(t, err)
	_, err = verify(pack)
	ok(t, err)
	files := unpack(t, pack)
	with := func(name, text string) map[string]string {
		out := unpack(t, pack)
		out[name] = text
		return out
	}
	change := func(at int, to ...byte) []byte {
		out := slices.Clone(pack)
		copy(out[at:], to)
		return out
	}
	central := bytes.Index(pack, []byte("PK\x01\x02"))
	end := len(pack) - 22
	second := bytes.Index(pack, []byte("PK\x07\x08")) + 16 // the local header of the second file
	// insert puts bytes somewhere and moves what points behind them.
	insert := func(at int, what string) []byte {
		out := slices.Insert(slices.Clone(pack), at, []byte(what)...)
		directory := central + len(what)
		for at2 := directory; string(out[at2:at2+4]) == "PK\x01\x02"; at2 += 46 + int(binary.LittleEndian.Uint16(out[at2+28:])) {
			if offset := binary.LittleEndian.Uint32(out[at2+42:]); int(offset) >= at {
				binary.LittleEndian.PutUint32(out[at2+42:], offset+uint32(len(what))) // #nosec G115 -- short
			}
		}
		binary.LittleEndian.PutUint32(out[len(out)-6:], uint32(directory)) // #nosec G115 -- short
		return out
	}
	swapped := slices.Clone(offline.Files)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	twice := append([]string{offline.CaseFile}, offline.Files...)
	for name, is := range map[string]struct {
		pack []byte
		says string
	}{
		"a file more":               {repack(t, with("more.txt", "x")), ""},
		"a file more, not listed":   {zipped(t, with("zz.txt", "x")), "more files than a package has"},
		"a file twice":              {inOrder(t, files, twice...), "stands where"},
		"another order":             {inOrder(t, files, swapped...), "stands where"},
		"a file less":               {inOrder(t, files, offline.Files[:len(offline.Files)-1]...), "is missing"},
		"an archive of nothing":     {inOrder(t, nil), "is missing"},
		"bytes before":              {append([]byte("x"), pack...), "something is before"},
		"bytes before, adjusted":    {insert(0, "hidden"), "something is before"},
		"bytes between":             {insert(second, "hidden"), "something is before"},
		"bytes before the index":    {insert(central, "hidden"), "something is before"},
		"bytes behind":              {append(slices.Clone(pack), 'x'), "something is before"},
		"a comment":                 {append(change(end+20, 1), 'x'), "something is before"},
		"cut off":                   {pack[:len(pack)-1], "something is before"},
		"nothing":                   {nil, "not an evidence package"},
		"another local name":        {change(30, 'C'), "headers do not say the same"},
		"another local method":      {change(8, 0), "headers do not say the same"},
		"another local flag":        {change(6, 9), "headers do not say the same"},
		"another central time":      {change(central+12, 1), "headers do not say the same"},
		"attributes":                {change(central+38, 1), "headers do not say the same"},
		"another central sum":       {change(central+16, ^pack[central+16]), "headers do not say the same"},
		"a size without end":        {change(central+24, 0xff, 0xff, 0xff, 0xff), "too long"},
		"an index without end":      {change(end+12, 0xff, 0xff, 0xff, 0x7f), "something is before"},
		"more files than there are": {change(end+10, 99), "something is before"},
		"behind the packed data":    {padded(t, files), "not what its header says"},
	} {
		if _, err := verify(is.pack); err == nil || !strings.Contains(err.Error(), is.says) {
			t.Errorf("%s: want %q, got %v", name, is.says, err)
		}
	}
}

// padded hides bytes behind the end of the first file's packed data, with headers that agree.
func padded(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, name := range offline.Files {
		var packed bytes.Buffer
		inner := zip.NewWriter(&packed)
		f, err := inner.CreateHeader(&zip.FileHeader{Name: "x", Method: zip.Deflate})
		ok(t, err)
		_, err = f.Write([]byte(files[name]))
		ok(t, err)
		ok(t, inner.Close())
		r, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
		ok(t, err)
		raw, err := r.File[0].OpenRaw()
		ok(t, err)
		data, err := io.ReadAll(raw)
		ok(t, err)
		if i == 0 {
			data = append(data, "hidden"...)
		}
		w, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, Flags: 8, CreatorVersion: 20, ReaderVersion: 20, CRC32: crc32.ChecksumIEEE([]byte(files[name])),
			CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(files[name]))})
		ok(t, err)
		_, err = w.Write(data)
		ok(t, err)
	}
	ok(t, z.Close())
	return b.Bytes()
}
