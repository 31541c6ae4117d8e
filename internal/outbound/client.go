// Package outbound makes the HTTP client with which the server calls addresses that its
// users name: webhooks, identity providers.
package outbound

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// timeout bounds one request, from the name's look-up to the end of the answer.
const timeout = 10 * time.Second

// ErrForbidden says that a name leads to where nothing may be sent.
var ErrForbidden = errors.New("nothing may be sent to this address")

// NewClient makes a client that follows no redirect, takes no proxy from the
// environment, and looks at every address when it dials, after the name was looked up:
// what a name means when it is saved says nothing about what it means later.
// allowPrivate admits loopback and private networks, never link-local addresses and
// those at which clouds tell machines their secrets.
func NewClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !Reachable(to.Addr(), allowPrivate) {
			return ErrForbidden
		}
		return nil
	}}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

var (
	// secrets are addresses at which clouds answer every program on a machine, beside
	// the link-local 169.254.169.254: of Alibaba Cloud and of AWS.
	secrets = prefixes("100.100.100.200/32", "fd00:ec2::/32")
	// special are the networks of IANA's special-purpose registries that are not
	// reachable from everywhere, beside those that netip knows.
	special = prefixes("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")
	// shared is the address space between carriers and customers (RFC 6598), used
	// inside clouds like a private one.
	shared = netip.MustParsePrefix("100.64.0.0/10")
	// translated addresses carry an IPv4 address in their last four bytes (RFC 6052).
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// Reachable says whether something may be sent to an address.
func Reachable(a netip.Addr, allowPrivate bool) bool {
	a = a.Unmap()
	if translated.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, p := range secrets {
		if p.Contains(a) {
			return false
		}
	}
	if a.IsLoopback() || a.IsPrivate() || shared.Contains(a) {
		return allowPrivate
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsGlobalUnicast() // neither unspecified, multicast, broadcast nor link-local
}
