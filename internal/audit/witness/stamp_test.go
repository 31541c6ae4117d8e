package witness_test

import (
	"bytes"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/audit/witness"
)

// stamper is an authority that answers one way.
func stamper(t *testing.T, nonce string, status int, body []byte) (*witness.Stamper, *[]byte) {
	t.Helper()
	asked := new([]byte)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked, _ = io.ReadAll(r.Body)
		if r.Header.Get("Content-Type") != "application/timestamp-query" {
			status = http.StatusUnsupportedMediaType
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	n, _ := new(big.Int).SetString(nonce, 16)
	return &witness.Stamper{URL: s.URL, HTTP: witness.Client(), Nonce: func() (*big.Int, error) { return n, nil }}, asked
}

// query.tsq and reply.tsr are OpenSSL's, of this text and number.
const (
	stampedText = "a checkpoint\n"
	nonce       = "90A109E0ABE0E6D8"
)

func TestStampsAreOpenSSLs(t *testing.T) {
	s, asked := stamper(t, nonce, 200, read(t, "reply.tsr"))
	got, err := s.Stamp(t.Context(), stampedText)
	if err != nil || !bytes.Equal(got.Reply, read(t, "reply.tsr")) || !got.At.Equal(time.Date(2026, 11, 23, 18, 19, 37, 483e6, time.UTC)) {
		t.Errorf("%s, %v", got.At.Format(time.RFC3339Nano), err)
	}
	if !bytes.Equal(*asked, read(t, "query.tsq")) {
		t.Errorf("asked %x", *asked)
	}
}

func TestStampsOfSomethingElse(t *testing.T) {
	reply := read(t, "reply.tsr")
	for name, c := range map[string]struct {
		text, nonce string
		status      int
		body        []byte
		want        string
	}{
		"another text":   {"another\n", nonce, 200, reply, "not of what was asked"},
		"another nonce":  {stampedText, "1", 200, reply, "not of what was asked"},
		"refused":        {stampedText, nonce, 200, []byte{0x30, 5, 0x30, 3, 2, 1, 2}, "refuses with status 2"},
		"granted, empty": {stampedText, nonce, 200, []byte{0x30, 5, 0x30, 3, 2, 1, 0}, "no time-stamp"},
		"not DER":        {stampedText, nonce, 200, []byte("<html>"), "no time-stamp"},
		"more behind":    {stampedText, nonce, 200, append(bytes.Clone(reply), 0), "no time-stamp"},
		"out of order":   {stampedText, nonce, 503, nil, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stamper(t, c.nonce, c.status, c.body)
			if got, err := s.Stamp(t.Context(), c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// A cut answer is none, and a changed one breaks nothing.
func TestDamagedStamps(t *testing.T) {
	reply := read(t, "reply.tsr")
	for i := range reply {
		s, _ := stamper(t, nonce, 200, reply[:i])
		if got, err := s.Stamp(t.Context(), stampedText); err == nil {
			t.Fatalf("cut at %d: %s", i, got.At)
		}
		changed := bytes.Clone(reply)
		changed[i] ^= 0x41
		s, _ = stamper(t, nonce, 200, changed)
		if got, err := s.Stamp(t.Context(), stampedText); err != nil && !got.At.IsZero() {
			t.Fatalf("changed at %d: both %s and %v", i, got.At, err)
		}
	}
}
