package offline

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// A package is a ZIP archive (APPNOTE.TXT) of one layout: the files of Files in their
// order, deflated, each with a local header, its data and a descriptor, then the central
// directory and its end. So the local headers say the same as the central ones, and not
// one byte is in the archive that no file accounts for.
const (
	localSize, descriptorSize, centralSize, endSize = 30, 16, 46, 22

	version, flags, deflated = 20, 8, 8 // flags: a descriptor follows
)

const (
	// biggest is more than entries.jsonl has, a quarter of it more than any other file,
	// longest more than any line, mostLines more than any file has of them. mostRead is
	// more than any file that is read as a whole; the plan of 100,000 transfers has 20 MB.
	biggest, longest, mostLines, mostRead = 1 << 30, 2 << 20, 1 << 19, 64 << 20
)

// pack is an open package.
type pack struct {
	file  io.ReaderAt
	parts map[string]part
}

// part is where the data of a file is, and what it comes to.
type part struct {
	start        int64
	packed, size uint32
	sum          uint32
}

// open reads the layout of a package.
func open(file io.ReaderAt, length int64) (pack, error) {
	p := pack{file: file, parts: map[string]part{}}
	bad := errors.New("not an evidence package, or something is before, between or behind its files")
	end, err := p.bytes(length-endSize, endSize)
	if err != nil {
		return p, bad
	}
	size, start := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if start+size != length-endSize || size > int64(len(Files))*(centralSize+64) {
		return p, bad
	}
	directory, err := p.bytes(start, size)
	if err != nil {
		return p, bad
	}
	at, central := int64(0), directory
	for _, name := range Files {
		if len(central) < centralSize {
			return p, fmt.Errorf("%s is missing", name)
		}
		n := centralSize + int(binary.LittleEndian.Uint16(central[28:]))
		if n > len(central) || string(central[centralSize:n]) != name {
			return p, fmt.Errorf("%q stands where %s belongs; a package has its own files in their order and no other", central[centralSize:min(n, len(central))], name)
		}
		f := part{sum: binary.LittleEndian.Uint32(central[16:]), packed: binary.LittleEndian.Uint32(central[20:]), size: binary.LittleEndian.Uint32(central[24:])}
		if f.size > biggest || f.size > biggest/4 && name != EntriesFile {
			return p, fmt.Errorf("%s: it is too long", name)
		}
		f.start = at + localSize + int64(len(name))
		head, err := p.bytes(at, localSize+int64(len(name)))
		if err != nil || !bytes.Equal(head, f.local(name)) || !bytes.Equal(central[:n], f.central(name, at)) {
			return p, fmt.Errorf("%s: its headers do not say the same, or something is before it", name)
		}
		at = f.start + int64(f.packed)
		if behind, err := p.bytes(at, descriptorSize); err != nil || !bytes.Equal(behind, f.descriptor()) {
			return p, fmt.Errorf("%s: its headers do not say the same, or something is behind it", name)
		}
		at += descriptorSize
		central, p.parts[name] = central[n:], f
	}
	if len(central) > 0 {
		return p, errors.New("there are more files than a package has")
	}
	if at != start || !bytes.Equal(end, closing(size, start)) {
		return p, bad
	}
	return p, nil
}

func (p pack) bytes(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(p.file, at, n), b)
	return b, err
}

// record is a piece of an archive: a signature, then numbers of 2 and 4 bytes.
func record(signature string, values ...any) []byte {
	b := []byte(signature)
	for _, v := range values {
		switch v := v.(type) {
		case uint16:
			b = binary.LittleEndian.AppendUint16(b, v)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, v)
		case string:
			b = append(b, v...)
		}
	}
	return b
}

// local is a file's header; the sums follow in the descriptor.
func (f part) local(name string) []byte {
	return record("PK\x03\x04", uint16(version), uint16(flags), uint16(deflated), uint32(0), uint32(0), uint32(0), uint32(0),
		uint16(len(name)), uint16(0), name) // #nosec G115 -- a name of Files
}

func (f part) descriptor() []byte { return record("PK\x07\x08", f.sum, f.packed, f.size) }

func (f part) central(name string, at int64) []byte {
	return record("PK\x01\x02", uint16(version), uint16(version), uint16(flags), uint16(deflated), uint32(0), f.sum, f.packed, f.size,
		uint16(len(name)), uint16(0), uint16(0), uint16(0), uint16(0), uint32(0), uint32(at), name) // #nosec G115 -- the end of the directory has 32 bits for it
}

func closing(size, start int64) []byte {
	n := uint16(len(Files))                                                                         // #nosec G115 -- a dozen
	return record("PK\x05\x06", uint16(0), uint16(0), n, n, uint32(size), uint32(start), uint16(0)) // #nosec G115 -- read from 32 bits
}

// data is what a file holds; it ends with io.EOF only where all of it was as its headers say.
type data struct {
	from  *bufio.Reader
	plain io.Reader
	sum   hash.Hash32
	left  int64
	want  uint32
}

func (p pack) open(name string) io.Reader {
	f := p.parts[name]
	from := bufio.NewReader(io.NewSectionReader(p.file, f.start, int64(f.packed)))
	return &data{from, flate.NewReader(from), crc32.NewIEEE(), int64(f.size), f.sum}
}

func (d *data) Read(b []byte) (int, error) {
	n, err := d.plain.Read(b)
	_, _ = d.sum.Write(b[:n])
	if d.left -= int64(n); d.left < 0 {
		return 0, errors.New("it is longer than its header says")
	}
	if errors.Is(err, io.EOF) {
		if _, more := d.from.ReadByte(); d.left > 0 || d.sum.Sum32() != d.want || more == nil {
			return n, errors.New("its data is not what its header says")
		}
	}
	return n, err
}

// read gives a whole file of at most mostRead bytes.
func (p pack) read(name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(p.open(name), mostRead+1))
	if err == nil && len(b) > mostRead {
		err = errors.New("it is too long")
	}
	return b, about(name, err)
}

// lines gives the lines of a file, each with its end.
func (p pack) lines(name string, do func(line []byte) error) error {
	lines := bufio.NewScanner(p.open(name))
	lines.Buffer(nil, longest)
	lines.Split(func(b []byte, last bool) (int, []byte, error) {
		if n := bytes.IndexByte(b, '\n') + 1; n > 0 {
			return n, b[:n], nil
		}
		if last && len(b) > 0 {
			return 0, nil, errors.New("the last line has no end")
		}
		return 0, nil, nil
	})
	n := 0
	for lines.Scan() {
		if n++; n > mostLines {
			return about(name, errors.New("it has too many lines"))
		}
		if err := do(lines.Bytes()); err != nil {
			return about(fmt.Sprintf("%s, line %d", name, n), err)
		}
	}
	return about(name, lines.Err())
}

// about says what an error is about.
func about(what string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}
