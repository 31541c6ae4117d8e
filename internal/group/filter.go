// Package group holds the rules of customer groups.
package group

import (
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Filter narrows a list of groups. Absent parts do not restrict; an empty list
// selects nothing.
type Filter struct {
	IDs     []nid.ID `json:"ids,omitzero"`
	OwnerID *nid.ID  `json:"ownerId,omitzero"`
	Status  []string `json:"status,omitzero"`
}

// Where adds the filter's conditions on the table groups.
func (f *Filter) Where(db *store.DB, w *store.Where) {
	if f == nil {
		return
	}
	if f.IDs != nil {
		w.And("groups.id "+db.InList(), db.IDs(f.IDs))
	}
	if f.OwnerID != nil {
		w.And("groups.owner_id = ?", *f.OwnerID)
	}
	if f.Status != nil {
		w.And("groups.status "+db.InTexts(), db.Texts(f.Status))
	}
}
