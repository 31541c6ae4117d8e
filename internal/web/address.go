package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is who asks: the peer, or, where the peer is a proxy of ours, the
// last address of X-Forwarded-For that is none. Addresses further left were
// written by the client and prove nothing.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, ok := parseAddress(r.RemoteAddr)
	if !ok || !within(proxies, peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		addr, ok := parseAddress(strings.TrimSpace(hop))
		if !ok {
			break
		}
		if peer = addr; !within(proxies, addr) {
			break
		}
	}
	return peer
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// parseAddress reads an address with or without a port.
func parseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		both, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = both.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
