// Package witness brings checkpoints out of the house: to a witness, which signs that
// it saw a log that only grew (c2sp.org/tlog-witness, c2sp.org/tlog-cosignature), and
// to a time-stamp authority, which signs when (RFC 3161). It knows no database.
package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Witness is somebody else's service that cosigns checkpoints.
type Witness struct {
	// URL is its submission prefix.
	URL string
	// Key checks its cosignatures.
	Key note.Verifier
	// HTTP asks; it needs a timeout.
	HTTP *http.Client
}

// ErrRefused is a witness that will not sign, because what it has seen of the log
// before does not fit the checkpoint: the log was not only added to.
var ErrRefused = errors.New("the witness has seen another past of the log")

// ConflictError says up to where the witness knows the log, where that is not the old
// size of the request.
type ConflictError struct{ Size int64 }

func (e *ConflictError) Error() string { return fmt.Sprintf("the witness knows %d entries", e.Size) }

// answer is how much of an answer is read.
const answer = 64 << 10

// Add asks for a cosignature of a checkpoint that continues the one of old entries,
// 0 for none. It gives the checkpoint with the cosignature added. It fails with
// *ConflictError where the witness knows another size and with ErrRefused where the
// log it knows is another one.
func (w *Witness) Add(ctx context.Context, old int64, proof []tlog.Hash, checkpoint string) (string, error) {
	var body strings.Builder
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(h[:]))
	}
	body.WriteString("\n" + checkpoint)
	status, kind, text, err := post(ctx, w.HTTP, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", "text/plain; charset=utf-8", []byte(body.String()))
	if err != nil {
		return "", err
	}
	switch status {
	case http.StatusOK:
		return w.cosigned(checkpoint, string(text))
	case http.StatusConflict:
		size, err := strconv.ParseInt(strings.TrimSuffix(string(text), "\n"), 10, 64)
		if kind != "text/x.tlog.size" || err != nil || size < 0 || size == old {
			// The size fits, so it is the root that does not.
			return "", ErrRefused
		}
		return "", &ConflictError{size}
	case http.StatusUnprocessableEntity:
		return "", ErrRefused
	case http.StatusNotFound:
		return "", errors.New("the witness does not know the log; give it the origin and the verifier key that handover audit checkpoint prints")
	case http.StatusForbidden:
		return "", errors.New("the witness does not know the key that signed the checkpoint; give it the verifier key that handover audit checkpoint prints")
	}
	return "", fmt.Errorf("the witness answers %d", status)
}

// cosigned adds the witness's lines to the checkpoint, if they are its and hold.
// Lines of keys that nobody named are left out.
func (w *Witness) cosigned(checkpoint, lines string) (string, error) {
	n, err := note.Open([]byte(checkpoint+lines), note.VerifierList(w.Key))
	if err != nil {
		return "", fmt.Errorf("the witness's answer: %w", err)
	}
	for _, s := range n.Sigs {
		checkpoint += fmt.Sprintf("— %s %s\n", s.Name, s.Base64)
	}
	return checkpoint, nil
}

// post sends a body and reads the answer, of which it takes only so much.
func post(ctx context.Context, client *http.Client, url, kind string, body []byte) (status int, answered string, text []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	r.Header.Set("Content-Type", kind)
	a, err := client.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = a.Body.Close() }()
	text, err = io.ReadAll(io.LimitReader(a.Body, answer))
	return a.StatusCode, a.Header.Get("Content-Type"), text, err
}

// cosigner checks cosignatures of one Ed25519 key.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

const (
	cosignature = 4 // the algorithm's number in keys
	stampBytes  = 8 // of the time before a signature
)

// ParseKey reads a witness's verifier key: name, hash and key joined by plus signs
// (c2sp.org/signed-note), of the Ed25519 kind for cosignatures.
func ParseKey(text string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(text, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || name == "" || strings.ContainsAny(name, " \t\r\n") || len(public) != 1+ed25519.PublicKeySize || public[0] != cosignature {
		return nil, errors.New("no verifier key of a witness; write NAME+HASH+KEY with a key for Ed25519 cosignatures")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	if hash != fmt.Sprintf("%x", sum[:4]) {
		return nil, errors.New("the hash in the witness's verifier key is not the key's")
	}
	return &cosigner{name, binary.BigEndian.Uint32(sum[:]), public[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(text, signature []byte) bool {
	if len(signature) != stampBytes+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	return ed25519.Verify(c.key, cosignedText(at, text), signature[stampBytes:])
}

func cosignedText(at uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
}

// Client is what witnesses and time-stamp authorities are asked with: it waits ten
// seconds and follows nobody elsewhere.
func Client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
