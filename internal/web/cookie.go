package web

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The names of our cookies. Where they are Secure they carry the prefix by which a
// browser takes them from this host alone, over TLS (RFC 6265bis §4.1.3.2).
const (
	sessionCookie = "handover_session"
	deviceCookie  = "handover_device"
	hostPrefix    = "__Host-"
)

// deviceLife is how long a browser keeps that somebody has signed in at it.
const deviceLife = 365 * 24 * time.Hour

// cookie is the request's access.Cookie. What it is told goes out with the header
// of the answer; after that it has no effect.
type cookie struct {
	secure bool
	device string
	mu     sync.Mutex
	change map[string]*http.Cookie
}

func (s *Server) newCookie(r *http.Request) *cookie {
	c := &cookie{secure: s.secureCookies(r), change: map[string]*http.Cookie{}}
	if d := r.CookiesNamed(named(deviceCookie, c.secure)); len(d) > 0 && plausible(d[0].Value) {
		c.device = d[0].Value
	}
	return c
}

func named(name string, secure bool) string {
	if secure {
		return hostPrefix + name
	}
	return name
}

// secureCookies reports whether cookies are for TLS only: as the public URL says, and
// where there is none, unless the browser is on this machine.
func (s *Server) secureCookies(r *http.Request) bool {
	if s.o.PublicURL != "" {
		return strings.HasPrefix(s.o.PublicURL, "https:")
	}
	return !plainLoopback(r)
}

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
	c.put(sessionCookie, &http.Cookie{Value: secret, Expires: expires.UTC(), MaxAge: max(1, int(time.Until(expires).Seconds()))})
}

// Clear takes it away.
func (c *cookie) Clear() { c.put(sessionCookie, &http.Cookie{Expires: time.Unix(1, 0), MaxAge: -1}) }

// Device is what Remember gave earlier.
func (c *cookie) Device() string { return c.device }

// Remember gives the browser a device.
func (c *cookie) Remember(device string) {
	if device != "" {
		c.put(deviceCookie, &http.Cookie{Value: device, MaxAge: int(deviceLife.Seconds())})
	}
}

func (c *cookie) put(name string, h *http.Cookie) {
	h.Name, h.Path = named(name, c.secure), "/"
	h.HttpOnly, h.Secure, h.SameSite = true, c.secure, http.SameSiteLaxMode
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change[name] = h
}

func (c *cookie) forget() {
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		clear(c.change)
	}
}

func (c *cookie) send(h http.Header) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{sessionCookie, deviceCookie} {
		if v := c.change[name]; v != nil {
			h.Add("Set-Cookie", v.String())
		}
	}
}
