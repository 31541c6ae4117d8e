package graph

import (
	"bufio"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/store/storetest"
)

// Whoever is deactivated while 200 of their requests run gets no answer to any that
// begins after the commit, reading or writing, and their streams close within 5 s.
func TestNothingAnswersALeaver(t *testing.T) {
	for _, way := range []string{"deactivated", "reset", "revoked"} {
		t.Run(way, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { leave(t, newSite(t, db, clock), way) })
		})
	}
}

func leave(t *testing.T, s *site, way string) {
	lina, wen := s.Member("lina", s.Root), s.Member("wen", s.Root)
	s.Grant(lina, access.Manager.Name, nid.ID{})
	system := store.System(t.Context(), s.ID, "test")
	if err := s.id.SetPassword(system, lina, "lina", "four words make one"); err != nil {
		t.Fatal(err)
	}
	token := s.signIn("lina", "four words make one", nil)
	gone := s.Member("gone", s.Root)
	contact := s.Contact("mine", "NORMAL", lina)
	s.Contacts(2, gone)
	s.Depart(gone)
	watched, err := (&handover.Service{DB: s.DB, Log: s.Log, AtOnce: 1}).HandOver(s.Verified(s.Admin), handover.Input{Kind: handover.Resigned, LeaverID: gone, Successors: handover.Choice{MemberID: &wen}}, nil, "key")
	if err != nil {
		t.Fatal(err)
	}
	streams := make(chan error, 3)
	for range cap(streams) {
		resp, err := s.post(token, "text/event-stream", progressText, map[string]any{"id": watched})
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(resp.Body)
		for line := ""; !strings.Contains(line, "RUNNING"); { // the first event has come
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			_, err := r.WriteTo(discard{})
			_ = resp.Body.Close()
			streams <- err
		}()
	}

	// Half of them read, half change a contact of their own.
	documents := [2]string{`query { viewer { member { userId } } contacts { nodes { name } } }`, `mutation($id: ID!) { updateContact(input: {id: $id, version: 1, company: "x"}) { contact { id } } }`}
	var committed atomic.Int64 // when, in nanoseconds of the wall clock
	var before, after, late atomic.Int64
	var all sync.WaitGroup
	started := make(chan struct{}, 200)
	for i := range 200 {
		all.Go(func() {
			for first := true; ; first = false {
				at := time.Now().UnixNano()
				out := s.ask(token, documents[i%2], map[string]any{"id": contact})
				if first {
					started <- struct{}{}
				}
				refused := len(out.Errors) > 0 && out.Errors[0].Extensions.Code == "UNAUTHENTICATED"
				if done := committed.Load(); done == 0 || at <= done {
					before.Add(1)
					continue
				}
				after.Add(1)
				if !refused {
					late.Add(1)
				}
				return
			}
		})
	}
	for range 20 { // they are well under way
		<-started
	}
	switch way {
	case "deactivated":
		_, err = (&member.Service{DB: s.DB, Log: s.Log}).Deactivate(s.Verified(s.Admin), member.DeactivateInput{MemberID: lina, Mode: member.Disable})
	case "reset":
		_, err = s.id.ResetPassword(s.Verified(s.Admin), lina, nil)
	case "revoked":
		_, err = s.id.RevokeSessions(s.SignedIn(s.Admin, false), &lina)
	}
	end := time.Now()
	committed.Store(end.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if late.Load() != 0 || before.Load() < 20 || after.Load() != 200 {
		t.Errorf("%d requests began after the commit, %d of them were answered; %d before", after.Load(), late.Load(), before.Load())
	}
	for range cap(streams) {
		select {
		case <-streams:
		case <-time.After(10 * time.Second):
			t.Fatal("a stream stays open")
		}
	}
	if took := time.Since(end); took > 5*time.Second {
		t.Errorf("streams closed after %v", took)
	}
	t.Logf("%s: %d requests before, %d after the commit; streams closed after %v", way, before.Load(), after.Load(), time.Since(end).Round(time.Millisecond))
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
