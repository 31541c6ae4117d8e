// Package contact holds the rules of contacts and of following them: how they are
// found and what people may change on them.
package contact

import (
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Filter narrows a list of contacts. Absent parts do not restrict; an empty list
// selects nothing. It touches only what everybody may read who sees the contact.
type Filter struct {
	IDs        []nid.ID `json:"ids,omitzero"`
	FollowerID *nid.ID  `json:"followerId,omitzero"`
	// DepartmentID reaches the whole subtree.
	DepartmentID *nid.ID `json:"departmentId,omitzero"`
	Importance   *string `json:"importance,omitzero"`
	// Tags must all be there, by name.
	Tags       []string `json:"tags,omitzero"`
	Unassigned *bool    `json:"unassigned,omitzero"`
	Protected  *bool    `json:"protected,omitzero"`
	// Added is about the same follow as FollowerID, or else as DepartmentID.
	AddedFrom  *time.Time `json:"addedFrom,omitzero"`
	AddedUntil *time.Time `json:"addedUntil,omitzero"`
}

// The lengths of lists in filters (safety.md §7).
const (
	MaxIDs   = 5000
	MaxNames = 100
)

// Check names what is wrong with a filter; field is where it stands in the input.
func (f *Filter) Check(field string) (bad fault.List) {
	if f == nil {
		return nil
	}
	for _, l := range []struct {
		name       string
		have, most int
	}{{"ids", len(f.IDs), MaxIDs}, {"tags", len(f.Tags), MaxNames}} {
		if l.have > l.most {
			bad = append(bad, fault.Bad(field+"."+l.name, "a list has %d entries at most, this one has %d", "列表最多 %d 项,当前为 %d 项", l.most, l.have))
		}
	}
	for _, t := range f.Tags {
		if problem, ok := name.CheckText(t, 4*name.MaxRunes); !ok {
			return append(bad, fault.New(fault.Invalid, field+".tags", problem))
		}
	}
	return bad
}

const open = `SELECT 1 FROM follows AS ff WHERE ff.corp_id = contacts.corp_id AND ff.contact_id = contacts.id AND ff.ended_at IS NULL`

// Where adds the filter's conditions on the table contacts.
func (f *Filter) Where(db *store.DB, w *store.Where) {
	if f == nil {
		return
	}
	if f.IDs != nil {
		w.And("contacts.id "+db.InList(), db.IDs(f.IDs))
	}
	added, since := "", []any{}
	if f.AddedFrom != nil {
		added, since = added+" AND ff.since >= ?", append(since, *f.AddedFrom)
	}
	if f.AddedUntil != nil {
		added, since = added+" AND ff.since < ?", append(since, *f.AddedUntil)
	}
	// When it was added is about the follow that is asked for: of the follower, else of
	// somebody in the department, else any.
	if f.FollowerID != nil {
		w.And("EXISTS ("+open+" AND ff.member_id = ?"+added+")", append([]any{*f.FollowerID}, since...)...)
		added, since = "", nil
	}
	if f.DepartmentID != nil {
		w.And("EXISTS ("+open+added+` AND EXISTS (SELECT 1 FROM member_departments AS fmd JOIN department_closure AS fdc
			ON fdc.corp_id = fmd.corp_id AND fdc.descendant_id = fmd.department_id
			WHERE fmd.corp_id = ff.corp_id AND fmd.member_id = ff.member_id AND fdc.ancestor_id = ?))`, append(since, *f.DepartmentID)...)
		added, since = "", nil
	}
	if added != "" {
		w.And("EXISTS ("+open+added+")", since...)
	}
	if f.Importance != nil {
		w.And("contacts.importance = ?", *f.Importance)
	}
	if f.Tags != nil && len(f.Tags) == 0 {
		w.And("1 = 0")
	}
	for _, t := range f.Tags {
		w.And(`EXISTS (SELECT 1 FROM contact_tags AS fct JOIN tags AS ft ON ft.corp_id = fct.corp_id AND ft.id = fct.tag_id
			WHERE fct.corp_id = contacts.corp_id AND fct.contact_id = contacts.id AND ft.name = ?)`, t)
	}
	if f.Unassigned != nil {
		// Waiting for a successor: a leaver's open follow that no platform holds.
		not := "NOT "
		if *f.Unassigned {
			not = ""
		}
		w.And(not + "EXISTS (" + open + ` AND ff.protected AND ff.reserved_by_id IS NULL)`)
	}
	if f.Protected != nil {
		w.And("contacts.protected = ?", *f.Protected)
	}
}

// Search adds the condition that the name of a row of the table holds the text.
// Up to three characters are looked up as they are among the pieces of names;
// of a longer text its first three, and what they find is compared.
func Search(w *store.Where, table, text string) {
	key := name.Fold(strings.TrimSpace(text))
	if key == "" {
		return
	}
	runes := []rune(key)
	w.And("EXISTS (SELECT 1 FROM name_grams AS g WHERE g.corp_id = "+table+".corp_id AND g.gram = ? AND g.id = "+table+".id)", string(runes[:min(3, len(runes))]))
	if len(runes) > 3 {
		w.And(table+`.name_key LIKE ? ESCAPE '\'`, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(key)+"%")
	}
}
