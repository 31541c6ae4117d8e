package erasure

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
)

// erased is a line of the list of a corp's erased people: an id, which says nothing about
// anybody once the rows are empty.
type erased struct {
	ID nid.ID    `json:"id"`
	At time.Time `json:"at"`
}

// List returns the people a corp has erased, from the file beside its checkpoints. It
// skips a line that a crash cut off; erasing again repeats it. The list is not signed:
// somebody who can write to this folder can read the keys that would sign it.
func List(folder string, corp nid.ID) (ids []nid.ID, err error) {
	f, err := os.Open(audit.Erased(folder, corp)) // #nosec G304 -- the operator's folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e erased
		if json.Unmarshal(lines.Bytes(), &e) == nil && !e.ID.IsZero() && !slices.Contains(ids, e.ID) {
			ids = append(ids, e.ID)
		}
	}
	return ids, lines.Err()
}

// note adds somebody to the list, once.
func note(folder string, corp, id nid.ID, at time.Time) error {
	if folder == "" {
		return nil
	}
	have, err := List(folder, corp)
	if err != nil || slices.Contains(have, id) {
		return err
	}
	return audit.AppendLines(audit.Erased(folder, corp), erased{id, at.UTC()})
}
