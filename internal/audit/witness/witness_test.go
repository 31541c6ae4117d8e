package witness_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/openhandover/openhandover/internal/audit/witness"
)

// key is a witness's, and its verifier key.
func key(name string, first byte) (ed25519.PrivateKey, string) {
	k := ed25519.NewKeyFromSeed(append([]byte{first}, make([]byte, 31)...))
	public := append([]byte{4}, k.Public().(ed25519.PublicKey)...)
	h := sha256.Sum256(append([]byte(name+"\n"), public...))
	return k, fmt.Sprintf("%s+%x+%s", name, h[:4], base64.StdEncoding.EncodeToString(public))
}

// line is a cosignature of a checkpoint's text.
func line(name string, k ed25519.PrivateKey, text string, at uint64) string {
	_, verifier := key(name, k.Seed()[0])
	v, _ := witness.ParseKey(verifier)
	b := binary.BigEndian.AppendUint32(nil, v.KeyHash())
	b = binary.BigEndian.AppendUint64(b, at)
	b = append(b, ed25519.Sign(k, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))...)
	return fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(b))
}

const (
	said   = "openhandover/crp_x\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	signed = said + "\n— openhandover/crp_x AAAAAAAA\n"
)

// serving is a witness that answers one way, and what it was asked.
func serving(t *testing.T, status int, kind, body string) (*witness.Witness, *string) {
	t.Helper()
	asked := new(string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*asked = r.Method + " " + r.URL.Path + "\n" + string(b)
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	_, k := key("witness.example/w1", 9)
	v, err := witness.ParseKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return &witness.Witness{URL: s.URL + "/submit/", Key: v, HTTP: witness.Client()}, asked
}

func TestAdd(t *testing.T) {
	k, _ := key("witness.example/w1", 9)
	other, _ := key("witness.example/w2", 8)
	mine := line("witness.example/w1", k, said, 1679315147)
	w, asked := serving(t, 200, "text/plain", line("witness.example/w2", other, said, 5)+mine)
	got, err := w.Add(t.Context(), 3, []tlog.Hash{{1}, {2}}, signed)
	if err != nil || got != signed+mine {
		t.Errorf("%v\n%s", err, got)
	}
	want := "POST /submit/add-checkpoint\nold 3\nAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" + signed
	if *asked != want {
		t.Errorf("asked\n%s\nwant\n%s", *asked, want)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	k, _ := key("witness.example/w1", 9)
	forger, _ := key("witness.example/w1", 7)
	for name, c := range map[string]struct {
		status     int
		kind, body string
		check      func(error) bool
	}{
		"another size": {409, "text/x.tlog.size", "12\n", func(err error) bool {
			c, ok := errors.AsType[*witness.ConflictError](err)
			return ok && c.Size == 12
		}},
		"the same size":   {409, "text/x.tlog.size", "3\n", refused},
		"another root":    {409, "text/plain", "", refused},
		"no proof":        {422, "text/plain", "", refused},
		"unknown log":     {404, "text/plain", "", has("does not know the log")},
		"unknown key":     {403, "text/plain", "", has("does not know the key")},
		"out of order":    {500, "text/plain", "", has("500")},
		"nothing":         {200, "text/plain", "", has("answer")},
		"somebody else's": {200, "text/plain", line("witness.example/w1", forger, said, 1), has("answer")},
		"of another text": {200, "text/plain", line("witness.example/w1", k, said+"x\n", 1), has("answer")},
		"not lines":       {200, "text/plain", "<html>", has("answer")},
		"another time": {200, "text/plain", func() string {
			l := line("witness.example/w1", k, said, 1)
			b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(l[strings.LastIndex(l, " ")+1:]))
			b[11]++
			return fmt.Sprintf("— witness.example/w1 %s\n", base64.StdEncoding.EncodeToString(b))
		}(), has("answer")},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := serving(t, c.status, c.kind, c.body)
			if got, err := w.Add(t.Context(), 3, nil, signed); !c.check(err) || got != "" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func refused(err error) bool { return errors.Is(err, witness.ErrRefused) }

func has(text string) func(error) bool {
	return func(err error) bool { return err != nil && strings.Contains(err.Error(), text) }
}

// A key for signing logs is none for cosigning them.
func TestKeys(t *testing.T) {
	_, good := key("witness.example/w1", 9)
	if v, err := witness.ParseKey(good); err != nil || v.Name() != "witness.example/w1" || v.Verify([]byte(said), make([]byte, 64)) {
		t.Errorf("%v, %v", v, err)
	}
	public := make([]byte, 32)
	log, err := note.NewEd25519VerifierKey("witness.example/w1", public)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", "a+b+c", log, strings.Replace(good, "w1", "w2", 1), "+" + strings.SplitN(good, "+", 2)[1]} {
		if _, err := witness.ParseKey(bad); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
