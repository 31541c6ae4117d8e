package config

import (
	"slices"
	"strings"
	"testing"
)

func TestPasskeys(t *testing.T) {
	for name, test := range map[string]struct {
		args    []string
		demo    bool
		domain  string
		origins []string
		err     string
	}{
		"nothing":                    {},
		"demo":                       {demo: true, args: []string{"--listen=127.0.0.1:9090"}, domain: "localhost", origins: []string{"http://localhost:9090"}},
		"the console's origin":       {args: []string{"--allow-origin=https://console.example.com"}, domain: "console.example.com", origins: []string{"https://console.example.com"}},
		"a console without TLS":      {args: []string{"--allow-origin=http://console.example.com"}},
		"consoles of two hosts":      {args: []string{"--allow-origin=https://a.example.com", "--allow-origin=https://b.example.com"}},
		"named":                      {args: []string{"--passkey-origin=https://H.example.com:443", "--allow-origin=https://a.example.com"}, domain: "h.example.com", origins: []string{"https://h.example.com"}},
		"a port":                     {args: []string{"--passkey-origin=http://localhost:3000"}, domain: "localhost", origins: []string{"http://localhost:3000"}},
		"a domain over all":          {args: []string{"--passkey-origin=https://a.example.com", "--passkey-origin=https://b.example.com", "--passkey-domain=Example.com"}, domain: "example.com", origins: []string{"https://a.example.com", "https://b.example.com"}},
		"two hosts":                  {args: []string{"--passkey-origin=https://a.example.com", "--passkey-origin=https://b.example.com"}, err: "--passkey-domain: is needed"},
		"without TLS":                {args: []string{"--passkey-origin=http://a.example.com"}, err: "has no TLS"},
		"another domain":             {args: []string{"--passkey-origin=https://a.example.com", "--passkey-domain=example.org"}, err: "is not within example.org"},
		"a domain that ends alike":   {args: []string{"--passkey-origin=https://evilexample.com", "--passkey-domain=example.com"}, err: "is not within example.com"},
		"an address":                 {args: []string{"--passkey-origin=https://192.0.2.1"}, err: "--passkey"},
		"a path":                     {args: []string{"--passkey-origin=https://a.example.com/x"}, err: "--passkey-origin: \"https://a.example.com/x\" is no origin"},
		"any":                        {args: []string{"--passkey-origin=*"}, err: "is no origin"},
		"a domain that is an origin": {args: []string{"--passkey-domain=https://example.com"}, err: "is no domain"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(t, nil, test.args...)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("%v, want %q", err, test.err)
			}
			if err != nil {
				return
			}
			domain, origins := c.Passkeys(test.demo)
			if domain != test.domain || !slices.Equal(origins, test.origins) {
				t.Errorf("%q %q", domain, origins)
			}
		})
	}
}
