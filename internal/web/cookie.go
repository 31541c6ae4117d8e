package web

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// cookieName is the session cookie's name.
const cookieName = "handover_session"

// cookie is the request's access.Cookie. What it is told goes out with the header
// of the answer; after that it has no effect.
type cookie struct {
	secure bool
	mu     sync.Mutex
	change *http.Cookie
}

func newCookie(r *http.Request) *cookie { return &cookie{secure: !plainLoopback(r)} }

// plainLoopback reports whether the browser talks to this machine without TLS: a
// Secure cookie would not come back from every browser. A proxy that ends TLS on
// the same machine says so in X-Forwarded-Proto; believing a lie here only makes
// the cookie stricter.
func plainLoopback(r *http.Request) bool {
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return false
	}
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if addr == nil {
		return false
	}
	local, ok := parseAddress(addr.String())
	return ok && local.IsLoopback()
}

// Set gives the browser the session.
func (c *cookie) Set(secret string, expires time.Time) {
	c.put(&http.Cookie{Value: secret, Expires: expires.UTC(), MaxAge: max(1, int(time.Until(expires).Seconds()))})
}

// Clear takes it away.
func (c *cookie) Clear() { c.put(&http.Cookie{Expires: time.Unix(1, 0), MaxAge: -1}) }

func (c *cookie) put(h *http.Cookie) {
	h.Name, h.Path = cookieName, "/"
	h.HttpOnly, h.Secure, h.SameSite = true, c.secure, http.SameSiteLaxMode
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change = h
}

func (c *cookie) forget() {
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.change = nil
	}
}

func (c *cookie) send(h http.Header) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.change != nil {
		h.Add("Set-Cookie", c.change.String())
	}
}
