package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/store"
)

// digest adds up the hashes of lines, so that their order does not matter: engines
// sort texts differently. It shows mistakes; against enemies the encryption stands.
type digest [4]uint64

func (d *digest) add(line []byte) {
	h := sha256.Sum256(line)
	carry := uint64(0)
	for i := range d {
		d[i], carry = bits.Add64(d[i], binary.LittleEndian.Uint64(h[8*i:]), carry)
	}
}

func (d *digest) String() string {
	var b []byte
	for _, n := range d {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return hex.EncodeToString(b)
}

// encode writes one row as a line, without the line's end. One row has one spelling.
func encode(columns []store.Column, values []any) ([]byte, error) {
	out := make([]any, len(values))
	for i, v := range values {
		var err error
		if out[i], err = portable(columns[i].Type, v); err != nil {
			return nil, fmt.Errorf("%s: %w", columns[i].Name, err)
		}
	}
	return compact(out)
}

// compact is JSON without blanks, with sorted keys and characters as they are.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// portable is a value as JSON has it, from what a driver gave.
func portable(typ store.Type, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	text, isText := v.(string)
	if b, ok := v.([]byte); ok {
		if typ == store.Bytes {
			return base64.StdEncoding.EncodeToString(b), nil
		}
		text, isText = string(b), true
	}
	switch typ {
	case store.UUID, store.Text:
		if isText && utf8.ValidString(text) {
			return text, nil
		}
	case store.JSON:
		if isText {
			return plainJSON(text)
		}
	case store.Time:
		if t, ok := v.(time.Time); ok {
			return t.UTC().Format(time.RFC3339Nano), nil
		}
	case store.Bool:
		switch v := v.(type) {
		case bool:
			return v, nil
		case int64:
			return v != 0, nil
		}
	case store.Int:
		if n, ok := v.(int64); ok {
			return n, nil
		}
	case store.Float:
		switch v := v.(type) {
		case float64:
			return v, nil
		case int64:
			return float64(v), nil
		}
	}
	return nil, fmt.Errorf("a %T is no %s", v, typ)
}

// plainJSON writes JSON in one way: without blanks, keys sorted.
func plainJSON(text string) (string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", err
	}
	b, err := compact(v)
	return string(b), err
}

// decode reads a line into values that the engine stores as it would its own.
func decode(db *store.DB, columns []store.Column, line []byte) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var values []any
	if err := dec.Decode(&values); err != nil {
		return nil, err
	}
	if len(values) != len(columns) {
		return nil, fmt.Errorf("a row of %d values for %d columns", len(values), len(columns))
	}
	for i, v := range values {
		var err error
		if values[i], err = native(db, columns[i].Type, v); err != nil {
			return nil, fmt.Errorf("%s: %w", columns[i].Name, err)
		}
	}
	return values, nil
}

func native(db *store.DB, typ store.Type, v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case bool:
		if typ == store.Bool {
			return v, nil
		}
	case json.Number:
		switch typ {
		case store.Int:
			return v.Int64()
		case store.Float:
			return v.Float64()
		}
	case string:
		switch typ {
		case store.UUID, store.Text, store.JSON:
			return v, nil
		case store.Bytes:
			return base64.StdEncoding.DecodeString(v)
		case store.Time:
			t, err := time.Parse(time.RFC3339Nano, v)
			if err != nil || db.Postgres() {
				return t, err
			}
			return db.TimeText(t), nil
		}
	}
	return nil, fmt.Errorf("a %T is no %s", v, typ)
}
