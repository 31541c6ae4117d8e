package audit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/audit/checkpoint"
	"github.com/openhandover/openhandover/internal/audit/leaf"
	"github.com/openhandover/openhandover/internal/audit/witness"
)

// honest is a witness as c2sp.org/tlog-witness has it, of one log.
type honest struct {
	s     *scene
	trust []string // the log's keys
	size  int64
	root  tlog.Hash
	down  atomic.Bool
	asked int
}

const witnessName = "witness.example/w1"

// start serves it and gives what the program knows of it.
func (h *honest) start() *witness.Witness {
	server := httptest.NewServer(h)
	h.s.t.(*testing.T).Cleanup(server.Close)
	public := append([]byte{4}, key(9).Public().(ed25519.PublicKey)...)
	v, err := witness.ParseKey(fmt.Sprintf("%s+%08x+%s", witnessName, h.hash(public), base64.StdEncoding.EncodeToString(public)))
	ok(h.s.t, err)
	return &witness.Witness{URL: server.URL, Key: v, HTTP: witness.Client()}
}

func (h *honest) hash(public []byte) uint32 {
	sum := sha256.Sum256(append([]byte(witnessName+"\n"), public...))
	return binary.BigEndian.Uint32(sum[:])
}

func (h *honest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked++
	if h.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, _ := io.ReadAll(r.Body)
	head, text, _ := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	c, err := checkpoint.Open(text, h.s.corp, h.trust)
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var proof tlog.TreeProof
	for _, l := range lines[1:] {
		b, _ := base64.StdEncoding.DecodeString(l)
		proof = append(proof, tlog.Hash(b))
	}
	switch {
	case lines[0] != fmt.Sprintf("old %d", h.size):
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", h.size)
		return
	case h.size == 0 && len(proof) > 0, h.size > 0 && tlog.CheckTree(proof, c.Size, c.Root, h.size, h.root) != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	h.size, h.root = c.Size, c.Root
	said, _, _ := strings.Cut(text, "\n\n")
	sig := binary.BigEndian.AppendUint32(nil, h.hash(append([]byte{4}, key(9).Public().(ed25519.PublicKey)...)))
	sig = binary.BigEndian.AppendUint64(sig, 1700000000)
	sig = append(sig, ed25519.Sign(key(9), []byte("cosignature/v1\ntime 1700000000\n"+said+"\n"))...)
	fmt.Fprintf(w, "— %s %s\n", witnessName, base64.StdEncoding.EncodeToString(sig))
}

// shown shows the newest checkpoint.
func (s *scene) shown(sealer *audit.Sealer) error {
	_, err := sealer.Show(context.Background(), s.corp)
	return err
}

func lines(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestWitnessesSeeALogThatGrows(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		h := &honest{s: s, trust: []string{sealer.Keys.Public(s.corp)}}
		sealer.Witness = h.start()
		ok(t, s.shown(sealer)) // nothing yet
		s.sealed(sealer, 5)
		if n := s.count(`SELECT count(*) FROM alarms WHERE kind = $1`, audit.WorkWitnesses); n != 1 {
			t.Errorf("%d alarms for the witness", n)
		}
		ok(t, s.shown(sealer))
		ok(t, s.shown(sealer)) // has been seen
		h.down.Store(true)
		s.sealed(sealer, 5) // what is outside keeps nobody from sealing
		if err := s.shown(sealer); err == nil || !strings.Contains(err.Error(), "503") {
			t.Error(err)
		}
		h.down.Store(false)
		s.sealed(sealer, 4)
		ok(t, s.shown(sealer))
		if h.size != 15 || h.asked != 3 {
			t.Errorf("the witness knows %d entries, was asked %d times", h.size, h.asked)
		}
		// Another replica, which does not know what the first has shown.
		other := s.sealer()
		other.Witness = sealer.Witness
		s.sealed(other, 3)
		ok(t, s.shown(other))
		if h.size != 18 || h.asked != 5 {
			t.Errorf("the witness knows %d entries, was asked %d times", h.size, h.asked)
		}
		if n := lines(t, audit.Witnessed(sealer.Folder, s.corp)); n != 2 {
			t.Errorf("%d are kept", n)
		}
		r, err := audit.Verify(context.Background(), s.db, s.corp, audit.Trust{Folder: sealer.Folder, Keys: h.trust}, nil)
		ok(t, err)
		if r.Copies != 5 {
			t.Errorf("%+v", r)
		}
		b, err := os.ReadFile(audit.Witnessed(other.Folder, s.corp))
		ok(t, err)
		if !strings.Contains(string(b), witnessName) {
			t.Errorf("not cosigned: %s", b)
		}
	})
}

// Who has the database and the machine with the key can have another past signed, but
// not seen.
func TestWitnessesSeeThroughAnotherPast(t *testing.T) {
	for name, c := range map[string]struct {
		entries int
		want    error
	}{"shorter": {2, audit.ErrForked}, "as long": {4, witness.ErrRefused}, "longer": {20, witness.ErrRefused}} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				sealer := s.sealer()
				h := &honest{s: s, trust: []string{sealer.Keys.Public(s.corp)}}
				sealer.Witness = h.start()
				s.sealed(sealer, 4)
				ok(t, s.shown(sealer))
				s.unlocked()
				for _, t := range []string{"audit_entries", "audit_heads", "audit_hashes", "checkpoints"} {
					s.exec(`DELETE FROM ` + t)
				}
				sealer.Folder = t.TempDir() // the copies too
				s.clock.Add(time.Second)
				s.sealed(sealer, c.entries)
				if err := s.shown(sealer); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if n := lines(t, audit.Witnessed(sealer.Folder, s.corp)); n != 0 {
					t.Errorf("%d are kept as cosigned", n)
				}
			})
		})
	}
}

// What a witness has cosigned counts as a copy: a database put back is found by it alone.
func TestWitnessedCopiesCount(t *testing.T) {
	s := onSQLite(t)
	sealer := s.sealer()
	sealer.Witness = (&honest{s: s, trust: []string{sealer.Keys.Public(s.corp)}}).start()
	s.sealed(sealer, 4)
	ok(t, s.shown(sealer))
	ok(t, os.Remove(audit.File(sealer.Folder, s.corp)))
	s.unlocked()
	s.exec(`DELETE FROM audit_entries WHERE "index" >= 3`)
	s.exec(`DELETE FROM checkpoints`)
	s.exec(`DELETE FROM audit_hashes`)
	s.exec(`UPDATE audit_heads SET size = 3, hash = (SELECT hash FROM audit_entries WHERE "index" = 2)`)
	if b := s.broken(audit.Trust{Folder: sealer.Folder}); b == nil || b.Why != leaf.TreeDiffers && b.Why != leaf.Forgotten {
		t.Errorf("found %v", b)
	}
}

// authority is a time-stamp authority whose signature nobody checks here.
func authority(t *testing.T, clock func() time.Time) (url string, asked *int) {
	type imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Hash      []byte
	}
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		body, _ := io.ReadAll(r.Body)
		var q struct {
			Version int
			Imprint imprint
			Nonce   *big.Int
			CertReq bool
		}
		if _, err := asn1.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		info, err := asn1.Marshal(struct {
			Version int
			Policy  asn1.ObjectIdentifier
			Imprint imprint
			Serial  int
			Time    time.Time `asn1:"generalized"`
			Nonce   *big.Int
		}{1, asn1.ObjectIdentifier{1, 2, 3}, q.Imprint, 1, clock().Truncate(time.Second), q.Nonce})
		ok(t, err)
		type content struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		type signed struct {
			Version    int
			Algorithms []int `asn1:"set"`
			Content    content
		}
		type token struct {
			Type    asn1.ObjectIdentifier
			Content signed `asn1:"explicit,tag:0"`
		}
		reply, err := asn1.Marshal(struct {
			Status struct{ Status int }
			Token  token
		}{Token: token{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, signed{3, nil, content{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}, info}}}})
		ok(t, err)
		_, _ = w.Write(reply)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestStampsAreTakenHourly(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		sealer := s.sealer()
		url, asked := authority(t, s.clock.Now)
		sealer.Stamper = &witness.Stamper{URL: url, HTTP: witness.Client()}
		h := &honest{s: s, trust: nil} // knows no key: fails, and keeps nobody from being asked
		sealer.Witness = h.start()
		show := func() (time.Time, error) { return sealer.Show(context.Background(), s.corp) }
		first := s.db.Now()
		s.sealed(sealer, 2)
		if _, err := show(); err == nil || !strings.Contains(err.Error(), "does not know the key") {
			t.Error(err)
		}
		sealer.Witness = nil
		if next, err := show(); err != nil || !next.IsZero() || *asked != 1 {
			t.Errorf("%s, %v, asked %d times", next, err, *asked)
		}
		s.sealed(sealer, 2)
		if next, err := show(); err != nil || !next.Equal(first.Add(audit.StampEvery)) || *asked != 1 {
			t.Errorf("%s, %v, asked %d times", next, err, *asked)
		}
		s.clock.Add(audit.StampEvery)
		if next, err := show(); err != nil || !next.IsZero() || *asked != 2 {
			t.Errorf("%s, %v, asked %d times", next, err, *asked)
		}
		if n := lines(t, audit.Stamped(sealer.Folder, s.corp)); n != 2 {
			t.Errorf("%d are kept", n)
		}
		if b := s.broken(audit.Trust{Folder: sealer.Folder}); b != nil {
			t.Error(b)
		}
	})
}
