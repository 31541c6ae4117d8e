package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
)

// begun opens a backup and reads its header.
func begun(from io.Reader, ids []age.Identity, h *Header) (*reader, error) {
	opened, err := age.Decrypt(from, ids...)
	if err != nil {
		if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
			return nil, ErrKey
		}
		return nil, fmt.Errorf("%w (%s)", ErrDamaged, fmt.Sprint(err)) // not wrapped: the file ended, no connection did
	}
	unpacked, err := gzip.NewReader(opened)
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", ErrDamaged, fmt.Sprint(err)) // not wrapped: the file ended, no connection did
	}
	rd := &reader{from: bufio.NewReaderSize(unpacked, 1<<20), sum: sha256.New()}
	if err := rd.json(h); err != nil {
		return nil, err
	}
	switch {
	case h.Format != format || h.Corp.IsZero():
		return nil, ErrDamaged
	case h.Version != version:
		return nil, fmt.Errorf("the backup has version %d of the format; this program reads %d", h.Version, version)
	}
	return rd, nil
}

// reader reads lines, and sums them up.
type reader struct {
	from *bufio.Reader
	sum  hash.Hash
}

func (r *reader) line() ([]byte, error) {
	var all []byte
	for {
		part, err := r.from.ReadSlice('\n')
		_, _ = r.sum.Write(part)
		all = append(all, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(all, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull) || len(all) > longest:
			return nil, fmt.Errorf("%w (%s)", ErrDamaged, fmt.Sprint(err)) // not wrapped: the file ended, no connection did
		}
	}
}

func (r *reader) json(v any) error {
	line, err := r.line()
	if err == nil && json.Unmarshal(line, v) != nil {
		err = ErrDamaged
	}
	return err
}

// over makes sure that nothing follows, and that the last piece was whole.
func (r *reader) over() error {
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w (%s)", ErrDamaged, fmt.Sprint(err)) // not wrapped: the file ended, no connection did
	}
	return nil
}
