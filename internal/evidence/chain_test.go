package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/evidence/offline"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
	"github.com/openhandover/openhandover/internal/testcorp"
)

func keyOf(b byte) checkpoint.Keys {
	return checkpoint.Keys{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))}
}

// Whoever knows an older key accepts a package that a newer one signed, as long as each key
// introduced the next; a newer key does not vouch for an older one.
func TestAnOlderKeyIntroducesTheNewer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		s := newScene(t, db, clock)
		first, second, third, fourth := keyOf(1), keyOf(2), keyOf(3), keyOf(4)
		s.sealer.Keys = first
		s.seal()
		rotate := func(to, from checkpoint.Keys) {
			clock.Add(time.Hour)
			s.sealer.Keys = append(slices.Clone(to), from...)
			s.seal()
			s.sealer.Keys = to
		}
		another := func() []byte {
			lina, wang := s.Member(nid.New(nid.Member).String(), s.Root), s.Member(nid.New(nid.Member).String(), s.Root)
			s.Contact("customer", "NORMAL", lina)
			s.Depart(lina)
			admin := s.Verified(s.Admin)
			var err error
			s.id, err = (&handover.Service{DB: db, Log: s.Log}).Create(admin, handover.Input{Kind: handover.Resigned, LeaverID: lina, Successors: handover.Choice{MemberID: &wang}}, nil, nil, lina.String())
			ok(t, err)
			s.seal()
			pack, err := s.write(s.Verified(s.Admin))
			ok(t, err)
			return pack
		}
		rotate(second, first)
		rotate(third, second)
		pack := another()
		key := func(k checkpoint.Keys) string { return k.Public(s.ID) }
		for name, k := range map[string]checkpoint.Keys{"the first": first, "the second": second, "the third": third} {
			if got, err := verify(pack, key(k)); err != nil || !got.Trusted || got.Key != key(third) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		if _, err := verify(pack, key(fourth)); err == nil || !strings.Contains(err.Error(), "none of those given") {
			t.Errorf("a key of somebody else: %v", err)
		}
		// A link taken out, or changed, breaks the chain.
		for name, change := range map[string]func(string) string{
			"the first link less":  func(l string) string { _, rest, _ := strings.Cut(l, "\n"); return rest + "\n" },
			"the links turned":     func(l string) string { a, b, _ := strings.Cut(l, "\n"); return b + a + "\n" },
			"another key is named": func(l string) string { return strings.ReplaceAll(l, key(third), key(fourth)) },
			"another proof":        func(l string) string { return strings.Replace(l, `"proof":["`, `"proof":["00`, 1) },
		} {
			files := unpack(t, pack)
			files[offline.KeysFile] = strings.TrimPrefix(change(files[offline.KeysFile]), "\n")
			if _, err := verify(repack(t, files), key(first)); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		// A key whose former one did not sign is introduced by nobody.
		clock.Add(time.Hour)
		s.sealer.Keys = fourth
		s.seal()
		pack = another()
		if _, err := verify(pack, key(third)); err == nil || !strings.Contains(err.Error(), "none of those given") {
			t.Errorf("a key that nobody introduced: %v", err)
		}
		if got, err := verify(pack, key(fourth)); err != nil || !got.Trusted {
			t.Errorf("itself: %+v, %v", got, err)
		}
		if testcorp.Value[int](s.Corp, `SELECT count(*) FROM audit_entries WHERE corp_id = $1 AND action = 'checkpoint.key'`, s.ID) != 4 {
			t.Error("the log does not name four keys")
		}
	})
}
