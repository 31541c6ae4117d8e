package offline

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// leaf is an entry of the log (docs/audit-log.md, "Members of a leaf").
type leaf struct {
	V         int             `json:"v"`
	ID        string          `json:"id"`
	Corp      string          `json:"corp"`
	Index     int64           `json:"index"`
	At        time.Time       `json:"at"`
	Actor     actor           `json:"actor"`
	Action    string          `json:"action"`
	Subject   string          `json:"subject"`
	Handover  string          `json:"handover"`
	Request   string          `json:"request"`
	Address   json.RawMessage `json:"address"`
	Cause     string          `json:"cause"`
	Reason    string          `json:"reason"`
	Set       json.RawMessage `json:"set"`
	Prev      string          `json:"prev"`
	RawBefore json.RawMessage `json:"before"`
	RawAfter  json.RawMessage `json:"after"`

	before before
	after  after
}

type actor struct {
	Kind  string          `json:"kind"`
	ID    string          `json:"id"`
	Label json.RawMessage `json:"label"`
}

// before and after are what is looked at in these members.
type before struct {
	Item, Owner  string
	OwnerVersion int
}

type after struct {
	State, Kind, Leaver, Responsible, Digest, Decision, RevertOf, FollowUpOf, By string
	Author, Executor, Status, Owner, To                                          string
	Key, Former                                                                  string

	Reason                         any // a code; of a plan, sealed words
	Transfers, Cancelled, Reverted int
	Completed, ApprovalsRequired   *int
	Previous                       *int64
	Merged                         bool
	History                        []Grant
	Names                          map[string]struct{ C, S string }
}

// readLeaf reads a leaf. Members of the leaf that the format does not name are refused;
// before and after may say more than is looked at.
func readLeaf(text string) (*leaf, error) {
	b := []byte(text)
	l := &leaf{}
	if err := strict(b, l); err != nil {
		return nil, err
	}
	if l.Actor.Kind == "MEMBER" && !id.MatchString(l.Actor.ID) {
		return nil, errors.New("the actor is no member")
	}
	if l.V != 1 {
		return nil, fmt.Errorf("version %d of the log's format is not known here", l.V)
	}
	for raw, into := range map[*json.RawMessage]any{&l.RawBefore: &l.before, &l.RawAfter: &l.after} {
		if len(*raw) > 0 {
			if err := json.Unmarshal(*raw, into); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// strict reads one JSON value that was not written by Line. No member may be unknown,
// and none may stand twice, in whatever case: a reader would see one value and this
// program another.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil { // first: it knows how deep is too deep
		return err
	}
	if d.More() {
		return errors.New("something follows it")
	}
	return single(json.NewDecoder(bytes.NewReader(b)))
}

// spelled are the members that are looked at, by how encoding/json would find them: it
// takes any case, and another reader would not see them.
var spelled = func() map[string]string {
	out := map[string]string{}
	for _, name := range strings.Fields(`v id corp index at actor kind action subject handover request address cause reason set prev before after item owner
		ownerVersion state leaver responsible digest decision revertOf followUpOf by author executor status to key former transfers cancelled reverted
		completed approvalsRequired previous merged history names c s e from until expiresAt successor transfer items version message start`) {
		out[strings.ToLower(name)] = name
	}
	return out
}()

func single(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, _ := t.(json.Delim)
	seen := map[string]bool{}
	for open != 0 && d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			// As encoding/json folds: ſ reads as s, and the Kelvin sign as k.
			folded := strings.ToLower(strings.ToUpper(fmt.Sprint(name)))
			if seen[folded] {
				return fmt.Errorf("%q stands twice", name)
			}
			if is, ok := spelled[folded]; ok && is != name {
				return fmt.Errorf("%q is not how the format spells %s", name, is)
			}
			seen[folded] = true
		}
		if err := single(d); err != nil {
			return err
		}
	}
	if open != 0 {
		_, err = d.Token()
	}
	return err
}

// Closed is what a personal value reads that no opening shows: it was erased, or is kept back.
const Closed = "已密封 / Sealed"

// opened are the personal values of one entry that openings show, by commitment.
type opened map[string]string

// values reads before or after with the personal values that are open.
func values(raw json.RawMessage, open opened) (map[string]any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	walk(out, func(commitment, _ string) any {
		if v, ok := open[commitment]; ok {
			return v
		}
		return Closed
	})
	return out, nil
}

// walk puts something in the place of each sealed value: an object with exactly c, e and s.
func walk(v any, put func(commitment, subject string) any) {
	each := func(inner any, set func(any)) {
		if m, ok := inner.(map[string]any); ok && len(m) == 3 {
			c, isC := m["c"].(string)
			s, isS := m["s"].(string)
			if _, isE := m["e"].(string); isC && isS && isE {
				set(put(c, s))
				return
			}
		}
		walk(inner, put)
	}
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			each(inner, func(is any) { v[name] = is })
		}
	case []any:
		for i, inner := range v {
			each(inner, func(is any) { v[i] = is })
		}
	}
}

// sealed are the commitments in before and after, and whom each is about.
func (l *leaf) sealed() (map[string]string, error) {
	out := map[string]string{}
	for _, raw := range []json.RawMessage{l.RawBefore, l.RawAfter} {
		var v map[string]any
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &v); err != nil {
				return nil, err
			}
		}
		walk(v, func(c, s string) any { out[c] = s; return nil })
	}
	return out, nil
}

// holds checks that the value is what its commitment promised: HMAC-SHA256 of the value,
// keyed with the salt.
func (o Opening) holds() bool {
	salt, err := hex.DecodeString(o.Salt)
	if err != nil || len(salt) != 16 || hex.EncodeToString(salt) != o.Salt {
		return false
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(o.Value))
	return hex.EncodeToString(mac.Sum(nil)) == o.Commitment
}
