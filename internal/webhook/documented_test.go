package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/webhook"
)

// docs/webhooks.md shows what stands between the two lines.

// begin
// verified says whether a request came from who knows the secret ("whsec_…"), not
// longer ago than five minutes. body is what was read from the request, unchanged.
func verified(secret string, h http.Header, body []byte, now time.Time) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	sent, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || now.Sub(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, signature := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(signature), []byte(want)) {
			return true
		}
	}
	return false
}

// end

func TestTheDocumentedCheckWorks(t *testing.T) {
	const secret, id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
	at := time.Unix(1614265330, 0)
	body := []byte(`{"test": 2432232314}`)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	timestamp, signature := webhook.Sign(key, id, at, body)
	header := func(id, timestamp, signature string) http.Header {
		return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
	}
	good := header(id, timestamp, signature)
	if !verified(secret, good, body, at) || !verified(secret, header(id, timestamp, "v1a,AAAA "+signature), body, at.Add(5*time.Minute)) {
		t.Error("a good message is refused")
	}
	for name, ok := range map[string]bool{
		"another body":   verified(secret, good, append(body, ' '), at),
		"another secret": verified("whsec_AAAA", good, body, at),
		"another id":     verified(secret, header("x", timestamp, signature), body, at),
		"another time":   verified(secret, header(id, "1614265331", signature), body, at),
		"too old":        verified(secret, good, body, at.Add(6*time.Minute)),
		"from tomorrow":  verified(secret, good, body, at.Add(-6*time.Minute)),
		"no signature":   verified(secret, header(id, timestamp, ""), body, at),
	} {
		if ok {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestTheDocumentsShowThisCheck(t *testing.T) {
	source, err := os.ReadFile("documented_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(source), "\n// begin\n")
	shown, _, _ = strings.Cut(shown, "\n// end\n")
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) < 500 || !strings.Contains(string(page), strings.TrimSpace(shown)) {
		t.Error("docs/webhooks.md shows another check than the one that is tested here")
	}
	for _, p := range webhook.Problems {
		if !strings.Contains(string(page), "`"+string(p)+"`") {
			t.Errorf("docs/webhooks.md does not explain %s", p)
		}
	}
}
