package graph

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// sealing is the key that signs the test's checkpoints.
var sealing = checkpoint.Keys{ed25519.NewKeyFromSeed(make([]byte, checkpoint.KeyBytes))}

// image is what a power cut left, and what was acknowledged before it.
type image struct {
	folder string
	acked  []nid.ID
	lost   int // bytes that were not synced, of which some are gone
}

// TestAnAcknowledgedHandoverSurvivesAPowerCut hands contacts over by the API and seals the log, and
// at random moments, in the middle of commits too, takes the files as a power cut may
// leave them: of the database what was synced and any part of the rest; of the
// checkpoints all that was written, which is the worst case, since a checkpoint that
// outlives its entries looks like a forged log. In each, every handover that was
// acknowledged is there, and the log verifies against the checkpoints.
func TestAnAcknowledgedHandoverSurvivesAPowerCut(t *testing.T) {
	const handovers, images, sealEvery = 24, 40, 3
	folder, cuts := t.TempDir(), t.TempDir()
	clock := storetest.NewClock()
	_, url := storetest.SQLiteURL(t, clock)
	b, err := os.ReadFile(strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "handover.db")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(11, 18))
	var acked atomic.Pointer[[]nid.ID]
	acked.Store(new([]nid.ID))
	var taken []image
	var events int
	checkpoints := filepath.Join(folder, "checkpoints")
	d, err := storetest.Watch(folder, func(d *storetest.Disk) {
		if events++; acked.Load() == nil || len(*acked.Load()) == 0 || rnd.IntN(100) != 0 || len(taken) == images {
			return
		}
		i := image{folder: filepath.Join(cuts, fmt.Sprint(len(taken))), acked: slices.Clone(*acked.Load()), lost: d.Unsynced()}
		if err := os.CopyFS(filepath.Join(i.folder, "checkpoints"), os.DirFS(checkpoints)); err != nil {
			t.Error(err)
		}
		for name, b := range d.Cut(rnd) {
			if err := os.WriteFile(filepath.Join(i.folder, name), b, 0o600); err != nil {
				t.Error(err)
			}
		}
		taken = append(taken, i)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.End()
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + file, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := testcorp.New(t, db, clock, "acme")
	lina, wang := c.Member("lina", c.Root), c.Member("wang", c.Root)
	contacts := c.Contacts(handovers, lina)
	c.Depart(lina)
	if err := os.MkdirAll(checkpoints, 0o700); err != nil {
		t.Fatal(err)
	}
	api := newAPI(t, db, c)
	sealer := &audit.Sealer{DB: db, Log: c.Log, Keys: sealing, Folder: checkpoints}
	for n, contact := range contacts {
		var answer struct {
			HandOver struct{ Handover struct{ ID nid.ID } }
		}
		api.good(c.Verified(c.Admin), `mutation($from: ID!, $to: ID!, $contacts: [ID!], $key: String!) {
			handOver(input: {plan: {leaverId: $from, select: {contactIds: $contacts}, successors: {memberId: $to}}, idempotencyKey: $key}) { handover { id } } }`,
			map[string]any{"from": lina, "to": wang, "contacts": []nid.ID{contact}, "key": fmt.Sprint("key ", n)}, &answer)
		more := append(slices.Clone(*acked.Load()), answer.HandOver.Handover.ID)
		acked.Store(&more)
		if n%sealEvery == 0 {
			if _, err := sealer.Work(context.Background(), c.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	losing := 0
	for _, i := range taken {
		if i.lost > 0 {
			losing++
		}
		i.check(t, c)
	}
	t.Logf("%d writes, syncs and removals; %d images, %d of them with something that was not synced", events, len(taken), losing)
	if len(taken) < images/2 || losing < images/4 {
		t.Errorf("%d images, %d of them lost something: the test shows little", len(taken), losing)
	}
}

// check starts the program on what is left.
func (i image) check(t *testing.T, c *testcorp.Corp) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(i.folder, "handover.db")})
	if err != nil {
		t.Errorf("%s: %v", i.folder, err)
		return
	}
	defer db.Close()
	err = db.View(store.System(context.Background(), c.ID, "test"), func(ctx context.Context, q *store.Read) error {
		done, err := store.Select(ctx, q, func(id *nid.ID) []any { return []any{id} }, `SELECT id FROM handovers WHERE corp_id = $1 AND state = 'COMPLETED'`, c.ID)
		for _, id := range i.acked {
			if !slices.Contains(done, id) {
				t.Errorf("%s: an acknowledged handover is gone, of %d", i.folder, len(i.acked))
			}
		}
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", i.folder, err)
		return
	}
	if _, err := audit.Verify(context.Background(), db, c.ID, audit.Trust{Folder: filepath.Join(i.folder, "checkpoints")}, nil); err != nil {
		t.Errorf("%s: %v", i.folder, err)
	}
	sealer := &audit.Sealer{DB: db, Log: c.Log, Keys: sealing, Folder: filepath.Join(i.folder, "checkpoints")}
	if _, err := sealer.Work(context.Background(), c.ID); err != nil {
		t.Errorf("%s: sealing does not go on: %v", i.folder, err)
	}
}
