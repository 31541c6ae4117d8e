package export

import (
	"bytes"
	"encoding/json"
	"io"
)

// jsonlSink writes an object a line. Its keys are the English names of the columns, in
// their order, whatever the language.
type jsonlSink struct {
	w    io.Writer
	keys [][]byte
	mark []any
	line bytes.Buffer
}

func newJSONL(w io.Writer, columns []column, m mark) sink {
	return &jsonlSink{w: w, mark: m.values(), keys: each(append(columns[:len(columns):len(columns)], markColumns...), func(c column) []byte { return plain(c.name) })}
}

func (s *jsonlSink) row(values []any) error {
	s.line.Reset()
	for i, v := range append(values[:len(values):len(values)], s.mark...) {
		s.line.WriteByte("{,"[min(i, 1)])
		s.line.Write(s.keys[i])
		s.line.WriteByte(':')
		if list, ok := v.([]string); ok && list == nil {
			v = []string{}
		}
		s.line.Write(plain(v))
	}
	s.line.WriteString("}\n")
	_, err := s.w.Write(s.line.Bytes())
	return err
}

func (s *jsonlSink) close(int) error { return nil }

// plain is JSON without HTML's escapes.
func plain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // plain values
	return bytes.TrimRight(b.Bytes(), "\n")
}
