package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Continues fails with ErrForked unless the log of each corp goes on from the newest
// checkpoint that the folder has of it: an older database was put back, or the log was
// written again. A corp that the folder knows and the database does not is one of these.
// Without corps it is about all that the folder knows.
func Continues(ctx context.Context, db *store.DB, folder string, corps ...nid.ID) (err error) {
	if len(corps) == 0 {
		if corps, err = Known(folder); err != nil {
			return err
		}
	}
	s := &Sealer{DB: db, Folder: folder}
	for _, corp := range corps {
		if err := s.continues(store.System(ctx, corp, "look for an older database"), corp); err != nil {
			return err
		}
	}
	return nil
}

// ErrContinues is a log of which there is nothing to accept.
var ErrContinues = errors.New("the log goes on from the newest checkpoint in the folder; there is nothing to accept")

// Accept records that a person accepts a log which does not go on from the newest
// checkpoint in the folder, and puts the folder's files of the corp aside, as evidence of
// what there was. It gives their new names. Sealing goes on from there. It fails with
// ErrContinues where there is nothing to accept.
func (l *Log) Accept(ctx context.Context, db *store.DB, folder string, corp nid.ID) (aside []string, err error) {
	ctx = store.System(ctx, corp, "accept an older database")
	err = (&Sealer{DB: db, Folder: folder}).continues(ctx, corp)
	if err == nil {
		return nil, ErrContinues
	}
	if !errors.Is(err, ErrForked) {
		return nil, err
	}
	last, err := lastCopy(File(folder, corp))
	if err != nil {
		return nil, err
	}
	signed, err := checkpoint.Read(last.Note, corp)
	if err != nil {
		return nil, err
	}
	if err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		h, err := storedHead(ctx, tx, corp)
		if err != nil || h.Size == 0 { // the database does not know the corp
			return err
		}
		return l.Append(ctx, tx, Entry{Action: access.CheckpointAccept, Subject: corp,
			After: map[string]any{"signed": signed.Size, "root": hex.EncodeToString(signed.Root[:]), "signedAt": signed.At}})
	}); err != nil {
		return nil, err
	}
	stamp := db.Now().UTC().Format("20060102T150405.000000Z")
	for _, file := range []string{Witnessed(folder, corp), Stamped(folder, corp), File(folder, corp)} { // the last is what is looked at
		to := fmt.Sprintf("%s.accepted-%s", file, stamp)
		if err := os.Rename(file, to); err == nil {
			aside = append(aside, to)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return aside, err
		}
	}
	return aside, nil
}
