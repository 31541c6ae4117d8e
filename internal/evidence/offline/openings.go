package offline

import (
	"bufio"
	"errors"
	"io"
)

// openings reads openings.jsonl along with the entries.
type openings struct {
	from *bufio.Reader
	next *Opening
}

func (p pack) openings() *openings { return &openings{from: bufio.NewReader(p.open(OpeningsFile))} }

// peek gives the next opening, nil at the end.
func (o *openings) peek() (*Opening, error) {
	if o.next != nil {
		return o.next, nil
	}
	var line []byte
	for {
		part, err := o.from.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > longest {
			return nil, errors.New("a line is too long")
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		break
	}
	o.next = &Opening{}
	return o.next, exact(line, o.next)
}

// of gives what of an entry is open, each opening held against a commitment of the entry.
func (o *openings) of(index int64, l *leaf) (opened, error) {
	var sealed map[string]string
	out := opened{}
	for {
		next, err := o.peek()
		if err != nil || next == nil || next.Entry > index {
			return out, err
		}
		if sealed == nil {
			if sealed, err = l.sealed(); err != nil {
				return nil, err
			}
		}
		_, promised := sealed[next.Commitment]
		if _, twice := out[next.Commitment]; next.Entry != index || !promised || twice || !next.holds() {
			return nil, errors.New("an opening is not what the entry has committed to, or stands twice")
		}
		out[next.Commitment] = next.Value
		o.next = nil
	}
}

// over makes sure that none is left.
func (o *openings) over() error {
	next, err := o.peek()
	if err == nil && next != nil {
		err = errors.New("an opening belongs to no entry")
	}
	return err
}

// name takes up how the ids in an entry were called, as far as that is open: after.names
// has a sealed value for each id, and the id is its subject.
func (c *claims) name(l *leaf, open opened) {
	for id, v := range l.after.Names {
		if text, ok := open[v.C]; ok && v.S == id {
			c.names[id] = text
		}
	}
}
