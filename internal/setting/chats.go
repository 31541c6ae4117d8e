package setting

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/openhandover/openhandover/internal/canon"
	"github.com/openhandover/openhandover/internal/detect"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// LookLater asks the chat audit to look at the messages with ids from first to last, in
// the transaction that stored them.
func LookLater(ctx context.Context, tx *store.Tx, first, last nid.ID) error {
	if _, err := tx.Keep(ctx, "chat_scans", `INSERT INTO chat_scans (corp_id, id, next_id, last_id, created_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Corp(), tx.NewID(nid.Message), first, last, tx.Now()); err != nil {
		return err
	}
	return tx.Wake(ctx, WorkScans, tx.Now())
}

const (
	// maxOwn is how many values each list of what is the company's has.
	maxOwn = 500
	// maxOwnRunes is the length of each in characters.
	maxOwnRunes = 100
	// leastKept and mostKept bound MessagesKeptDays.
	leastKept, mostKept = 30, 36_500
)

// lists are the parts of what is the company's by their names in the API.
func lists(o *detect.Own) []struct {
	name string
	list *[]string
} {
	return []struct {
		name string
		list *[]string
	}{{"domains", &o.Domains}, {"addresses", &o.Addresses}, {"phones", &o.Phones}, {"accounts", &o.Accounts}, {"names", &o.Names}}
}

// own puts what is the company's into the settings, and what was added to it and
// taken from it into what the log keeps.
func (in *SaveInput) own(is *Settings, before, after map[string]any) (bad fault.List) {
	if in.Own == nil {
		return nil
	}
	wanted := *in.Own
	theirs := lists(&is.Own)
	for i, l := range lists(&wanted) {
		field := "input.own." + l.name
		if len(*l.list) > maxOwn {
			bad = append(bad, fault.Bad(field, "give %d at most, not %d", "最多 %d 项,当前为 %d 项", maxOwn, len(*l.list)))
			continue
		}
		list := slices.Clone(*l.list)
		slices.Sort(list)
		list = slices.Compact(list)
		for _, s := range list {
			if problem, ok := name.CheckText(s, maxOwnRunes); s == "" || !ok {
				if s == "" {
					problem = fault.T("leave out what is empty", "请去掉空值")
				}
				bad = append(bad, fault.New(fault.Invalid, field, problem))
				break
			}
		}
		was := *theirs[i].list
		if gone := without(was, list); len(gone) > 0 {
			before[l.name] = told(gone)
		}
		if added := without(list, was); len(added) > 0 {
			after[l.name] = told(added)
		}
		if _, gone := before[l.name]; gone && after[l.name] == nil {
			after[l.name] = []string{}
		}
		*theirs[i].list = list
	}
	return bad
}

// longList is how many bytes of a list an entry of the audit log holds: there are five,
// each with what went and what came.
const longList = 20_000

// told is a list as the log keeps it: whole, or its length and the SHA-256 of its
// canonical JSON.
func told(list []string) any {
	values := make([]any, len(list))
	for i, s := range list {
		values[i] = s
	}
	b, err := canon.Marshal(values)
	if err != nil || len(b) <= longList {
		return list
	}
	sum := sha256.Sum256(b)
	return map[string]any{"values": len(list), "sha256": hex.EncodeToString(sum[:])}
}

func without(all, some []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(some, s) {
			out = append(out, s)
		}
	}
	return out
}

// owned is what is the company's as it is stored.
func owned(o detect.Own) string {
	b, _ := json.Marshal(o) // strings can be written
	return string(b)
}
