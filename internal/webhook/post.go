package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/openhandover/openhandover/internal/outbound"
)

// answerBytes is how much of an answer is read, so that the connection can be used
// again; nothing of it is kept.
const answerBytes = 4 << 10

// post sends a signed message once and judges the answer.
func post(ctx context.Context, client *http.Client, address, id string, key, body []byte, now time.Time) result {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return result{problem: NoAddress}
	}
	timestamp, signature := sign(key, id, now, body)
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"OpenHandover-Webhook/1"},
		"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature},
	}
	// The client repeats a request by itself where a kept connection turns out to be
	// closed and the request says that this is safe. It is: receivers know the id.
	req.Header.Set("Idempotency-Key", id)
	res, err := client.Do(req)
	if err != nil {
		return result{problem: problemOf(err)}
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, answerBytes) // the status has said it all
	return judge(res, now)
}

// judge says what an answer means (Standard Webhooks, "Delivery success and failure").
func judge(res *http.Response, now time.Time) result {
	r := result{status: res.StatusCode, after: retryAfter(res.Header.Get("Retry-After"), now)}
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
	case res.StatusCode == http.StatusGone:
		r.problem = Gone
	case res.StatusCode >= 300 && res.StatusCode < 400:
		r.problem = Redirected
	default:
		r.problem = BadStatus
	}
	return r
}

// retryAfter reads the header of RFC 9110 §10.2.3: seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// problemOf finds the word for an error of the network. The error itself is not
// kept: it names the address, which may hold a password of the receiver's.
func problemOf(err error) Problem {
	var timed interface{ Timeout() bool }
	_, name := errors.AsType[*net.DNSError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	switch {
	case errors.Is(err, outbound.ErrForbidden):
		return NoAddress
	case errors.As(err, &timed) && timed.Timeout():
		return NoAnswer
	case name:
		return NoAddress
	case certificate || record || alert:
		return NoTrust
	}
	return NoContact
}
