package config

import "testing"

// An address that somebody wrote is meant; the default only where it is free.
func TestMetricsAddress(t *testing.T) {
	for written, want := range map[string]struct {
		address string
		yields  bool
	}{"": {"127.0.0.1:9090", true}, "auto": {"127.0.0.1:9090", true}, "127.0.0.1:9090": {"127.0.0.1:9090", false}, ":9100": {":9100", false}, "off": {"", false}} {
		c, err := load(t, map[string]string{"HANDOVER_LISTEN_METRICS": written})
		if err != nil {
			t.Fatal(err)
		}
		if address, yields := c.Metrics(); address != want.address || yields != want.yields {
			t.Errorf("%q: %q, %v", written, address, yields)
		}
	}
}
