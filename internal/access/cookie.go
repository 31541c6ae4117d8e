package access

import (
	"context"
	"time"
)

// Cookie carries a session to and from a browser. The edge that answers the
// request implements it; signing in and out use it.
type Cookie interface {
	// Set gives the browser the session's secret, until expires.
	Set(secret string, expires time.Time)
	// Clear takes the session from the browser.
	Clear()
	// Device is what Remember gave the browser at an earlier sign-in; empty for nothing.
	Device() string
	// Remember gives the browser what it shows at its next sign-ins, for a year.
	Remember(device string)
}

type cookieKey struct{}

// WithCookie puts the request's cookie into the context.
func WithCookie(ctx context.Context, c Cookie) context.Context {
	return context.WithValue(ctx, cookieKey{}, c)
}

// CookieFrom gives the request's cookie, never nil: outside a browser's request
// what it is told has no effect.
func CookieFrom(ctx context.Context) Cookie {
	if c, ok := ctx.Value(cookieKey{}).(Cookie); ok {
		return c
	}
	return noCookie{}
}

type noCookie struct{}

func (noCookie) Set(string, time.Time) {}
func (noCookie) Clear()                {}
func (noCookie) Device() string        { return "" }
func (noCookie) Remember(string)       {}

type refusedKey struct{}

// WithRefused marks a request that showed a credential which is not valid, or not
// any more. Its actor is anonymous: it may sign in again, but what needs somebody
// known answers UNAUTHENTICATED rather than an emptier result.
func WithRefused(ctx context.Context) context.Context {
	return context.WithValue(ctx, refusedKey{}, true)
}

// Refused reports whether the request showed a credential that is not valid.
func Refused(ctx context.Context) bool {
	refused, _ := ctx.Value(refusedKey{}).(bool)
	return refused
}
