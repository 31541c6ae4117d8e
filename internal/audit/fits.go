package audit

import (
	"context"
	"errors"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/store"
)

// ErrOtherKey says that the corp's log was sealed with a secret key that is not configured.
var ErrOtherKey = errors.New("the secret key is another one than the server's; configure the key that this database was filled with")

// Fits fails with ErrOtherKey unless the secret key opens what the log of the actor's
// corp has sealed. It tries the oldest and the newest key of a subject, so that one that
// somebody made with a wrong key hides nothing.
func (l *Log) Fits(ctx context.Context, q store.Querier) error { return Fits(ctx, q, l.box) }

// Fits is Log.Fits for a box of secret.ForSubjects.
func Fits(ctx context.Context, q store.Querier, box *secret.Box) error {
	for _, order := range []string{"", " DESC"} {
		sealed, found, err := store.SelectOne(ctx, q, func(b *[]byte) []any { return []any{b} },
			`SELECT wrapped FROM subject_keys WHERE corp_id = $1 AND wrapped IS NOT NULL ORDER BY created_at`+order+`, subject_id LIMIT 1`, access.From(ctx).Corp)
		if err != nil || !found {
			return err
		}
		// Which key it was shows before the row it belongs to matters.
		if _, err := box.Open(sealed, nil); errors.Is(err, secret.ErrUnknownKey) {
			return ErrOtherKey
		}
	}
	return nil
}
