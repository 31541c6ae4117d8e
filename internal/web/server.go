// Package web is the HTTP server: what a request meets before and after the API.
//
// It gives every request an id, an address, a language and an actor, bounds what
// one client and all of them may take, keeps other sites' pages out, and serves
// what is not the API itself: GraphiQL, the schema, health, metrics and build
// facts. It knows nothing of members or handovers; the command hands in the API
// and whoever recognises a credential.
//
//	everything  id → log, metrics, panics → headers → cross-origin, CORS → path
//	/graphql    rate of the address → body → room → deadline → actor → rates of account and corp → API
//	/api/v1/reports/…  the same, for GET, with problems instead of GraphQL's errors
//	/scim/v2/…  the same as /graphql, with SCIM's errors
//	/api/v1/exports/…  rate of the address → room; a link says by itself whose it is
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options is what a server is made of. GraphQL and Authenticator are required.
type Options struct {
	// Listen is the address for Run, HOST:PORT; port 0 takes a free one.
	Listen string
	// Operator is the address for what only operators may read, HOST:PORT; empty opens
	// none. One that is taken keeps Run from starting unless OperatorYields.
	Operator       string
	OperatorYields bool
	// GraphQL answers /graphql. Its context has the actor, the cookie
	// (access.CookieFrom) and a deadline, save for event streams.
	GraphQL http.Handler
	// Reports answers below /api/v1/reports/, in a context like GraphQL's; nil
	// answers 404 there.
	Reports http.Handler
	// Exports answers below /api/v1/exports/. It gets no actor: its links say whose they
	// are. nil answers 404 there.
	Exports http.Handler
	// SSO answers below /sso/, in a context like GraphQL's and with room of its own; nil
	// answers 404 there.
	SSO http.Handler
	// SCIM answers below /scim/v2/, in a context like GraphQL's; nil answers 404 there.
	SCIM http.Handler
	// OpenAPI is the description of the reports served at /api/v1/openapi.json.
	OpenAPI []byte
	// Authenticator recognises credentials.
	Authenticator Authenticator
	// Schema is the SDL served at /schema.graphql; nil answers 404 there.
	Schema []byte
	// ReadsSchema says who may read it; nil: everybody.
	ReadsSchema func(context.Context) bool
	// Checks are what /readyz asks.
	Checks []Check
	// Build is what /version answers, to operators in full; BuildFacts gives it.
	Build Build
	// Log gets the access log and what goes wrong; nil is slog.Default().
	Log *slog.Logger
	// Metrics is where /metrics reads; the caller registers its own collectors,
	// the database pool's among them, and must leave out the Go and process
	// ones. nil makes a registry.
	Metrics *prometheus.Registry
	// PublicURL is where browsers reach the server; cookies are Secure where it is https.
	PublicURL string
	// LoopbackOnly refuses requests whose Host is not this machine: a page whose name was
	// bound anew to 127.0.0.1 reaches a server that listens there.
	LoopbackOnly bool
	// AllowOrigin are the origins whose pages may call, with cookies.
	AllowOrigin []string
	// BehindProxy are the networks whose X-Forwarded-For is believed.
	BehindProxy []netip.Prefix
	Limits      Limits
	// Shared adds up rates over replicas; nil where there is one process.
	Shared Shared
	// Ready is called once when Run accepts connections, with the address and the
	// operators', which is nil where there is none.
	Ready func(address, operator net.Addr)
}

// Limits bound what clients may take. A zero field means its default, the figure
// of safety.md §1 where that names one.
type Limits struct {
	Requests int   // in flight at once, event streams left out; 256
	Streams  int   // event streams at once; 1024
	Uploads  int   // bodies being received at once; 512
	Body     int64 // bytes of a body; 1 MiB

	Header time.Duration // to receive the header; 5 s
	Upload time.Duration // to receive the body; 30 s
	Answer time.Duration // to answer once the body is there, event streams left out; 15 s
	Drain  time.Duration // to finish what runs when stopping; 30 s

	// Rate is the requests a second that one address (an IPv6 /64) may make, after
	// Burst at once; 50 and four times the rate. A negative one sets no limit.
	Rate  float64
	Burst int
	// AccountRate and CorpRate are the same for a member or service token, 50, and for
	// all of a corp together, 500.
	AccountRate, CorpRate   float64
	AccountBurst, CorpBurst int

	Files int // files being sent at once; 64
}

// away is how many may wait for identity providers at once.
const away = 32

func (l Limits) orDefaults() Limits {
	address, account, corp := or(l.Rate, 50), or(l.AccountRate, 50), or(l.CorpRate, 500)
	return Limits{
		Requests: or(l.Requests, 256), Streams: or(l.Streams, 1024), Uploads: or(l.Uploads, 512), Files: or(l.Files, 64), Body: or(l.Body, 1<<20),
		Header: or(l.Header, 5*time.Second), Upload: or(l.Upload, 30*time.Second),
		Answer: or(l.Answer, 15*time.Second), Drain: or(l.Drain, 30*time.Second),
		Rate: address, Burst: or(l.Burst, int(4*address)), AccountRate: account, AccountBurst: or(l.AccountBurst, int(4*account)),
		CorpRate: corp, CorpBurst: or(l.CorpBurst, int(4*corp)),
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// face is what one listener shows.
type face struct {
	mux     *http.ServeMux
	handler http.Handler // mux behind the rules about hosts and origins
}

// Server serves HTTP. It is an http.Handler, and Run listens.
type Server struct {
	o       Options
	log     *slog.Logger
	public  face
	metrics *metrics
	rates   *pace

	requests, streams, uploads, files, away slots
	readiness                               readiness
	stopping                                context.Context // ends when Run begins to stop
	stop                                    context.CancelFunc
}

// New makes a server. It fails on an origin that is none, and when the registry
// already has metrics of ours.
func New(o Options) (*Server, error) {
	o.Limits = o.Limits.orDefaults()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	s := &Server{
		o:        o,
		log:      slog.New(LogHandler(o.Log.Handler())),
		public:   face{mux: http.NewServeMux()},
		rates:    newPace(o.Limits),
		requests: make(slots, o.Limits.Requests),
		streams:  make(slots, o.Limits.Streams),
		uploads:  make(slots, o.Limits.Uploads),
		files:    make(slots, o.Limits.Files),
		away:     make(slots, away),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.readiness.checks = o.Checks
	var err error
	if s.metrics, err = newMetrics(s, o.Metrics); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if s.public.handler, err = s.origins(s.public.mux, o.AllowOrigin); err != nil {
		return nil, err
	}
	if o.LoopbackOnly {
		s.public.handler = s.loopbackOnly(s.public.handler)
	}
	s.routes()
	return s, nil
}

func (s *Server) routes() {
	mux := s.public.mux
	mux.Handle("/graphql", s.api(s.o.GraphQL, manner{room: s.requests, streams: true}))
	if s.o.Reports != nil {
		// The one place that takes Basic: spreadsheets know nothing else.
		mux.Handle("/api/v1/reports/{file}", reading(s.api(s.o.Reports, manner{room: s.requests, basic: true})))
		mux.Handle("/api/v1/openapi.json", reading(fixed("openapi.json", "application/json; charset=utf-8", s.o.OpenAPI)))
	}
	if s.o.SCIM != nil {
		mux.Handle("/scim/v2/", s.api(s.o.SCIM, manner{room: s.requests}))
	}
	if s.o.Exports != nil {
		mux.Handle("/api/v1/exports/{id}/{file}", reading(s.downloads(s.o.Exports)))
	}
	if s.o.SSO != nil {
		mux.Handle("/sso/", s.api(s.o.SSO, manner{room: s.away}))
	}
	mux.Handle("/schema.graphql", reading(s.schema()))
	mux.Handle("/graphiql", reading(graphiqlPage()))
	mux.Handle("/graphiql/{file}", reading(graphiqlFile()))
	mux.Handle("/healthz", reading(http.HandlerFunc(healthz)))
	mux.Handle("/readyz", reading(s.readyz(false)))
	mux.Handle("/version", reading(answers(map[string]string{"version": s.o.Build.Version})))
	mux.HandleFunc("/", nothing)
}

// operator is what the second listener shows: the details that clients have no use for.
func (s *Server) operator(at net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", reading(http.HandlerFunc(healthz)))
	mux.Handle("/readyz", reading(s.readyz(true)))
	mux.Handle("/metrics", reading(s.metrics.handler))
	mux.Handle("/version", reading(answers(s.o.Build)))
	mux.HandleFunc("/", nothing)
	f := face{mux, mux}
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		f.handler = s.loopbackOnly(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, f) })
}

func nothing(w http.ResponseWriter, r *http.Request) { fail(w, r, noSuchPath()) }

// reading refuses every method but GET and HEAD.
func reading(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			failWith(w, r, http.StatusMethodNotAllowed, wrongMethod())
			return
		}
		h.ServeHTTP(w, r)
	})
}
