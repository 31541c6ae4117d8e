package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// Passkeys says for which domain passkeys are made and from which origins they may be
// asked; empty where there are none. Without passkey-origin those are the origins
// whose pages may call the API, where they are all of one host; in demo mode this
// machine's localhost.
func (c Config) Passkeys(demo bool) (domain string, origins []string) {
	origins = c.PasskeyOrigin
	if len(origins) == 0 {
		origins = slices.DeleteFunc(slices.Clone(c.AllowOrigin), func(o string) bool { return !secure(o) })
	}
	if len(origins) == 0 && demo {
		_, port, _ := net.SplitHostPort(c.Listen)
		origins = []string{"http://localhost:" + port}
	}
	domain = c.PasskeyDomain
	if domain == "" {
		domain = sameHost(origins)
	}
	if domain == "" {
		return "", nil
	}
	return domain, slices.DeleteFunc(slices.Clone(origins), func(o string) bool { return !under(hostOf(o), domain) })
}

func (c *Config) checkPasskeys() error {
	for i, o := range c.PasskeyOrigin {
		origin, err := checkOrigin("passkey-origin", o)
		if err != nil {
			return err
		}
		if !secure(origin) {
			return bad("passkey-origin", "%q has no TLS: browsers give passkeys to https only, and to http://localhost", o)
		}
		c.PasskeyOrigin[i] = origin
	}
	c.PasskeyDomain = strings.ToLower(c.PasskeyDomain)
	switch {
	case c.PasskeyDomain == "" && len(c.PasskeyOrigin) > 0 && sameHost(c.PasskeyOrigin) == "":
		return bad("passkey-domain", "is needed, since the origins of passkeys are of several hosts: the domain that they have in common")
	case c.PasskeyDomain != "" && (strings.ContainsAny(c.PasskeyDomain, ":/*@ ") || net.ParseIP(c.PasskeyDomain) != nil || strings.Trim(c.PasskeyDomain, ".") != c.PasskeyDomain):
		return bad("passkey-domain", "%q is no domain; write one such as example.com", c.PasskeyDomain)
	}
	for _, o := range c.PasskeyOrigin {
		if d := c.PasskeyDomain; d != "" && !under(hostOf(o), d) {
			return bad("passkey-origin", "%q is not within %s: browsers would refuse", o, d)
		}
		if net.ParseIP(hostOf(o)) != nil {
			return bad("passkey-origin", "%q is an address: passkeys are bound to a domain", o)
		}
	}
	return nil
}

// secure reports whether browsers take an origin for a secure context.
func secure(origin string) bool {
	return strings.HasPrefix(origin, "https://") || hostOf(origin) == "localhost"
}

func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// sameHost is the one host of all origins; empty where there are several, or an address.
func sameHost(origins []string) (host string) {
	for i, o := range origins {
		if i > 0 && hostOf(o) != host {
			return ""
		}
		host = hostOf(o)
	}
	if net.ParseIP(host) != nil {
		return ""
	}
	return host
}

func under(host, domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
