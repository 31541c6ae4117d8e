package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts requests by path and class of status. Nothing that clients make
// up becomes a label.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
}

func newMetrics(s *Server, registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "handover_http_requests_total", Help: "Requests answered, by path and class of status.",
		}, []string{"path", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "handover_http_request_seconds", Help: "Time to answer, event streams left out.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"path"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "handover_http_refused_total", Help: "Requests refused before the API saw them, by reason.",
		}, []string{"reason"}),
	}
	all := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.seconds, m.refused,
	}
	for kind, room := range map[string]slots{"request": s.requests, "stream": s.streams, "upload": s.uploads, "file": s.files, "sso": s.away} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "handover_http_in_flight", Help: "What is going on just now, by kind.", ConstLabels: prometheus.Labels{"kind": kind},
		}, func() float64 { return float64(len(room)) }))
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(path string, status int, took time.Duration, stream bool) {
	m.requests.WithLabelValues(path, strconv.Itoa(status/100)+"xx").Inc()
	if !stream {
		m.seconds.WithLabelValues(path).Observe(took.Seconds())
	}
}
