package web

import (
	"fmt"
	"net/http"
	"slices"

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

func (s *Server) foreign(w http.ResponseWriter, r *http.Request) {
	s.metrics.refused.WithLabelValues("origin").Inc()
	fail(w, r, fault.Denied("pages of this origin may not call the API", "此来源的页面不允许调用 API"))
}
