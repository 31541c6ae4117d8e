package outbound_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"github.com/openhandover/openhandover/internal/outbound"
)

func TestWhichAddressesAreReachable(t *testing.T) {
	for address, want := range map[string]struct{ usual, private bool }{
		"8.8.8.8": {true, true}, "2606:4700:4700::1111": {true, true}, "::ffff:8.8.8.8": {true, true}, "64:ff9b::808:808": {true, true},
		"127.0.0.1": {false, true}, "127.8.8.8": {false, true}, "::1": {false, true}, "::ffff:127.0.0.1": {false, true},
		"10.0.0.1": {false, true}, "172.16.0.1": {false, true}, "192.168.1.1": {false, true}, "fd12::1": {false, true}, "100.64.0.1": {false, true},
		"64:ff9b::a00:1": {false, true}, "64:ff9b::a9fe:a9fe": {false, false},
		"169.254.169.254": {false, false}, "169.254.0.23": {false, false}, "::ffff:169.254.169.254": {false, false}, "fe80::1": {false, false},
		"100.100.100.200": {false, false}, "fd00:ec2::254": {false, false}, "0.0.0.0": {false, false}, "::": {false, false}, "0.1.2.3": {false, false},
		"224.0.0.1": {false, false}, "ff02::1": {false, false}, "255.255.255.255": {false, false}, "240.0.0.1": {false, false}, "198.18.0.1": {false, false},
		"192.0.2.1": {false, false}, "2001:db8::1": {false, false}, "2002:7f00:1::": {false, false}, "::7f00:1": {false, false}, "2001::1": {false, false},
	} {
		a := netip.MustParseAddr(address)
		if got := outbound.Reachable(a, false); got != want.usual {
			t.Errorf("%s: %v", address, got)
		}
		if got := outbound.Reachable(a, true); got != want.private {
			t.Errorf("%s, private networks allowed: %v", address, got)
		}
	}
}

func TestAForbiddenAddressIsNotDialled(t *testing.T) {
	for _, address := range []string{"http://localhost:1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]:1/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := outbound.NewClient(false).Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
