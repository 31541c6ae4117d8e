package erasure_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/erasure"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (cause: %+v)", err, errors.Unwrap(err))
	}
}

// holding lists the tables in which a word stands anywhere.
func holding(t *testing.T, db *store.DB, corp nid.ID, word string) (out []string) {
	t.Helper()
	err := db.View(store.System(context.Background(), corp, "test"), func(ctx context.Context, q *store.Read) error {
		tables, err := store.Tables(ctx, q)
		if err != nil {
			return err
		}
		for _, table := range tables {
			rows, err := store.Select(ctx, q, func(s *string) []any { return []any{text{s}} }, whole(db, table), corp)
			if err != nil {
				return fmt.Errorf("%s: %w", table.Name, err)
			}
			for _, r := range rows {
				if strings.Contains(r, word) {
					out = append(out, table.Name)
					break
				}
			}
		}
		return nil
	})
	ok(t, err)
	return out
}

type text struct{ into *string }

// Scan takes anything as text.
func (s text) Scan(v any) error {
	var n sql.NullString
	err := n.Scan(v)
	*s.into = n.String
	return err
}

// whole is a row as one text.
func whole(db *store.DB, table store.Table) string {
	if db.Postgres() {
		return `SELECT CAST(t AS text) FROM "` + table.Name + `" AS t WHERE t.corp_id = $1`
	}
	columns := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		columns[i] = `coalesce(CAST("` + c.Name + `" AS text), '')`
	}
	return `SELECT ` + strings.Join(columns, " || ") + ` FROM "` + table.Name + `" WHERE corp_id = $1`
}

// A contact and a leaver who took part in everything are erased: no word of them is
// left anywhere, what happened still is, and the log verifies.
func TestNothingOfAPersonIsLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina, wang := c.Member("zauberlina", c.Root), c.Member("wang", c.Root)
		contact := c.Contact("zauberkunde", "NORMAL", lina, wang)
		c.Agree(contact)
		c.Said(lina, contact, db.Now(), "hello zauberkunde")
		c.Said(contact, lina, db.Now(), "zauberkunde is me")
		ok(t, db.Tx(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
			for table, insert := range map[string]string{
				"passkeys":       `INSERT INTO passkeys (corp_id, id, member_id, credential_id, public_key, flags, sign_count, name, created_at) VALUES ($1, $2, $2, $3, $3, 29, 0, 'phone of zauberlina', $4) RETURNING member_id`,
				"recovery_codes": `INSERT INTO recovery_codes (corp_id, member_id, hash, used_at) VALUES ($1, $2, $3, $4) RETURNING member_id`,
			} {
				ids, err := tx.Change(ctx, table, insert, c.ID, lina, []byte("x"), tx.Now())
				tx.Cover(ids...)
				if err != nil {
					return err
				}
			}
			return nil
		}))
		c.Grant(lina, access.Staff.Name, nid.ID{})
		reviews := &review.Service{DB: db, Log: c.Log}
		_, err := reviews.Start(c.Verified(c.Admin), db.Now().AddDate(0, 0, 10))
		ok(t, err)
		note := "zauberlina needs it"
		ok(t, reviews.Decide(c.Verified(c.Admin), review.DecideInput{Decision: review.Keep, Note: &note,
			ID: testcorp.Value[nid.ID](c, `SELECT id FROM review_items WHERE member_id = $1`, lina)}))
		c.Depart(lina)
		reason := "zauberlina moved away"
		s := &handover.Service{DB: db, Log: c.Log}
		id, err := s.HandOver(c.Verified(c.Admin), handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}, Reason: &reason}, nil, "k")
		ok(t, err)
		e := &erasure.Service{DB: db, Log: c.Log}
		system := store.System(context.Background(), c.ID, "test")
		for word, id := range map[string]nid.ID{"zauberkunde": contact, "zauberlina": lina} {
			if len(holding(t, db, c.ID, word)) < 2 {
				t.Fatalf("%s does not stand anywhere to begin with", word)
			}
			ok(t, e.Erase(system, id))
			ok(t, e.Erase(system, id))
			if left := holding(t, db, c.ID, word); len(left) > 0 {
				t.Errorf("%s still stands in %v", word, left)
			}
			if n := testcorp.Value[int](c, `SELECT count(*) FROM audit_entries WHERE action = $1 AND subject_id = $2`, string(access.PersonErase), id); n != 1 {
				t.Errorf("%d entries", n)
			}
		}
		if n := testcorp.Value[int](c, `SELECT count(*) FROM follows WHERE contact_id = $1 AND member_id = $2 AND ended_at IS NULL`, contact, wang); n != 1 {
			t.Error("who looks after whom was erased too")
		}
		if state := testcorp.Value[string](c, `SELECT state FROM handovers WHERE id = $1`, id); state != "COMPLETED" {
			t.Errorf("the handover is %s", state)
		}
		_, err = audit.Verify(context.Background(), db, c.ID, audit.Trust{}, nil)
		ok(t, err)
		// The log reads, and says that something was deleted.
		box, err := secret.NewBox(secret.ForSubjects, secret.DemoKey())
		ok(t, err)
		ok(t, db.View(c.Verified(c.Admin), func(ctx context.Context, q *store.Read) error {
			leaves, err := store.Select(ctx, q, func(b *[]byte) []any { return []any{b} }, `SELECT leaf FROM audit_entries WHERE corp_id = $1 AND handover_id = $2 AND action = 'handover.create'`, c.ID, id)
			if err != nil {
				return err
			}
			views, err := audit.NewReader(box).Values(ctx, q, leaves)
			if err != nil {
				return err
			}
			if len(views) != 1 || views[0].After["reason"] != leaf.Erased {
				t.Errorf("%+v", views)
			}
			return nil
		}))
		// It can be taken back all the same, without what is forgotten.
		_, err = s.Revert(c.Verified(c.Admin), id, "a mistake", "r")
		ok(t, err)
	})
}

func TestWhoIsNotErased(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		wang := c.Member("wang", c.Root)
		e := &erasure.Service{DB: db, Log: c.Log}
		system := store.System(context.Background(), c.ID, "test")
		for name, w := range map[string]struct {
			id   nid.ID
			code fault.Code
		}{
			"somebody at work": {wang, fault.Conflict}, "nobody": {nid.New(nid.Contact), fault.NotFound}, "a group": {c.Group("chat", wang), fault.Invalid},
		} {
			if err := e.Erase(system, w.id); fault.CodeOf(err) != w.code {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A phone number has so few digits that all of them can be tried. Nothing that the log
// keeps of an erased one can be computed from it: each value was hashed with its own
// random salt, and the salts went with the key.
func TestNumbersCannotBeGuessed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		c := testcorp.New(t, db, clock, "acme")
		lina := c.Member("lina", c.Root)
		one, two := c.Contact("one", "NORMAL", lina), c.Contact("two", "NORMAL", lina)
		const number = "13800138000"
		name := number
		for _, id := range []nid.ID{one, two} {
			ok(t, (&contact.Service{DB: db, Log: c.Log}).Update(c.Verified(c.Admin), contact.UpdateInput{ID: id, Version: 1, Name: &name}))
		}
		leaves := func() (out []string) {
			ok(t, db.View(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, q *store.Read) (err error) {
				out, err = store.Select(ctx, q, func(s *string) []any { return []any{text{s}} }, `SELECT leaf FROM audit_entries WHERE corp_id = $1 AND action = 'contact.update' ORDER BY "index"`, c.ID)
				return err
			}))
			return out
		}
		before := leaves()
		ok(t, (&erasure.Service{DB: db, Log: c.Log}).Erase(store.System(context.Background(), c.ID, "test"), one))
		if n := testcorp.Value[int](c, `SELECT count(*) FROM subject_keys WHERE corp_id = $1 AND subject_id = $2 AND wrapped IS NOT NULL`, c.ID, one); n != 0 {
			t.Error("the key is still there")
		}
		seen := map[[32]byte]bool{}
		for _, l := range before {
			e, err := leaf.Decode([]byte(l))
			ok(t, err)
			sealed, is := e.After["name"].(leaf.Sealed)
			if !is {
				t.Fatalf("the name is a %T", e.After["name"])
			}
			seen[sealed.Commitment] = true
		}
		if len(seen) != 2 {
			t.Error("one number of two people looks alike in the log")
		}
		for _, salt := range []string{"", c.ID.String(), one.String(), string(c.ID[:]), string(one[:]), "\x00"} {
			for _, sum := range [][32]byte{sha256.Sum256([]byte(salt + number)), sha256.Sum256([]byte(number + salt)), [32]byte(hmac256(salt, number))} {
				for _, text := range []string{hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:])} {
					if strings.Contains(strings.Join(leaves(), ""), text) {
						t.Errorf("the number can be tried, with the salt %q", salt)
					}
				}
			}
		}
	})
}

func hmac256(key, text string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return h.Sum(nil)
}
