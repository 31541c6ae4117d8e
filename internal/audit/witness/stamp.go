package witness

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// Stamper is a time-stamp authority (RFC 3161 over HTTP).
type Stamper struct {
	URL string
	// HTTP asks; it needs a timeout.
	HTTP *http.Client
	// Nonce makes the number that an answer must repeat; nil: a random one.
	Nonce func() (*big.Int, error)
}

// Stamp is what an authority said.
type Stamp struct {
	// At is its time.
	At time.Time
	// Reply is the whole answer, DER, as openssl ts -verify reads it.
	Reply []byte
}

// What is sent and answered: RFC 3161 §2.4, and RFC 5652 around it.
type (
	imprint struct {
		Algorithm pkix.AlgorithmIdentifier
		Hash      []byte
	}
	request struct {
		Version int
		Imprint imprint
		Nonce   *big.Int
		CertReq bool
	}
	// Of what follows what is read here, encoding/asn1 takes no notice.
	reply struct {
		Status struct{ Status int }
		Token  asn1.RawValue `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version    int
		Algorithms asn1.RawValue
		Content    struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
	}
	info struct {
		Version  int
		Policy   asn1.ObjectIdentifier
		Imprint  imprint
		Serial   *big.Int
		Time     asn1.RawValue // encoding/asn1 reads no fractions of a second
		Accuracy struct {
			Seconds int `asn1:"optional"`
		} `asn1:"optional"`
		Ordering bool     `asn1:"optional"`
		Nonce    *big.Int `asn1:"optional"`
	}
)

var (
	oidSHA256     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidInfo       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// Stamp asks for a time-stamp of a text. It makes sure that the answer is about this
// text and this request. The authority's signature is in the answer for whoever needs
// it later; which authorities to trust is for them to say.
func (s *Stamper) Stamp(ctx context.Context, text string) (Stamp, error) {
	make := s.Nonce
	if make == nil {
		make = func() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64)) }
	}
	nonce, err := make()
	if err != nil {
		return Stamp{}, err
	}
	hash := sha256.Sum256([]byte(text))
	asked := request{1, imprint{pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}, hash[:]}, nonce, true}
	body, err := asn1.Marshal(asked)
	if err != nil {
		return Stamp{}, err
	}
	status, _, answered, err := post(ctx, s.HTTP, s.URL, "application/timestamp-query", body)
	if err != nil {
		return Stamp{}, err
	}
	if status != http.StatusOK {
		return Stamp{}, fmt.Errorf("the time-stamp authority answers %d", status)
	}
	at, err := stamped(answered, asked)
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{at, answered}, nil
}

var errNoStamp = errors.New("the time-stamp authority's answer is no time-stamp")

// stamped reads the time of an answer to a request.
func stamped(answer []byte, asked request) (time.Time, error) {
	var r reply
	if rest, err := asn1.Unmarshal(answer, &r); err != nil || len(rest) > 0 {
		return time.Time{}, errNoStamp
	}
	if r.Status.Status > 1 { // granted, with modifications or without
		return time.Time{}, fmt.Errorf("the time-stamp authority refuses with status %d", r.Status.Status)
	}
	var content contentInfo
	var signed signedData
	var said info
	if _, err := asn1.Unmarshal(r.Token.FullBytes, &content); err != nil || !content.Type.Equal(oidSignedData) {
		return time.Time{}, errNoStamp
	}
	if _, err := asn1.Unmarshal(content.Content.Bytes, &signed); err != nil || !signed.Content.Type.Equal(oidInfo) {
		return time.Time{}, errNoStamp
	}
	if _, err := asn1.Unmarshal(signed.Content.Content, &said); err != nil || said.Time.Tag != asn1.TagGeneralizedTime {
		return time.Time{}, errNoStamp
	}
	if !said.Imprint.Algorithm.Algorithm.Equal(oidSHA256) || !bytes.Equal(said.Imprint.Hash, asked.Imprint.Hash) || said.Nonce == nil || said.Nonce.Cmp(asked.Nonce) != 0 {
		return time.Time{}, errors.New("the time-stamp is not of what was asked")
	}
	at, err := time.Parse("20060102150405Z", string(said.Time.Bytes)) // takes fractions too
	if err != nil {
		return time.Time{}, errNoStamp
	}
	return at, nil
}
