package access

import (
	"context"
	"testing"
	"time"
)

type jar struct {
	secret, device string
	cleared        bool
}

func (j *jar) Set(secret string, _ time.Time) { j.secret = secret }
func (j *jar) Clear()                         { j.cleared = true }
func (j *jar) Device() string                 { return j.device }
func (j *jar) Remember(device string)         { j.device = device }

func TestCookieTravelsInTheContext(t *testing.T) {
	j := &jar{}
	ctx := WithCookie(context.Background(), j)
	CookieFrom(ctx).Set("s", time.Time{})
	CookieFrom(ctx).Clear()
	if j.secret != "s" || !j.cleared {
		t.Errorf("%+v", j)
	}
	// A command or a job has none; signing in there must not fail.
	CookieFrom(context.Background()).Set("s", time.Time{})
	CookieFrom(context.Background()).Clear()
}

func TestRefused(t *testing.T) {
	if Refused(context.Background()) {
		t.Error("a request without a credential counts as refused")
	}
	ctx := WithRefused(context.Background())
	if !Refused(ctx) || From(ctx).SignedIn() {
		t.Error("a refused request is anonymous and marked")
	}
}
