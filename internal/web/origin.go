package web

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/fault"
)

// origins keeps pages of other sites from changing anything, and lets pages of the
// listed origins call with cookies (Fetch standard, CORS protocol).
func (s *Server) origins(next http.Handler, allowed []string) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, o := range allowed {
		if err := protection.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("allowed origin %q: %w", o, err)
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(s.foreign))
	protected := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		if len(allowed) > 0 {
			h.Add("Vary", "Origin")
		}
		listed := origin != "" && slices.Contains(allowed, origin)
		if listed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, ETag, Link")
		}
		if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
			protected.ServeHTTP(w, r)
			return
		}
		if !listed {
			s.foreign(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
		h.Set("Access-Control-Allow-Headers", "Accept, Accept-Language, Authorization, Content-Type, If-None-Match, X-Request-Id")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

// loopbackOnly answers requests by a name of this machine alone (DNS rebinding).
func (s *Server) loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if a, ok := parseAddress(strings.Trim(host, "[]")); host != "localhost" && (!ok || !a.IsLoopback()) {
			s.metrics.refused.WithLabelValues("host").Inc()
			fail(w, r, fault.Denied("this server answers on this machine only, as localhost or 127.0.0.1", "本服务仅限本机访问，请使用 localhost 或 127.0.0.1"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) foreign(w http.ResponseWriter, r *http.Request) {
	s.metrics.refused.WithLabelValues("origin").Inc()
	fail(w, r, fault.Denied("pages of this origin may not call the API", "此来源的页面不允许调用 API"))
}
