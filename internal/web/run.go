package web

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"
)

// Time and size limits of a connection that are no setting. A query of the
// largest size the API takes fits into a URL.
const (
	idleTime  = 2 * time.Minute
	writeTime = 15 * time.Second // on top of receiving and answering
	maxHeader = 128 << 10
)

// Run listens and serves until ctx ends, then stops taking connections, ends the
// event streams, and gives what runs Limits.Drain to finish. It returns nil after
// an orderly stop. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.o.Listen)
	if err != nil {
		return err // names the address and what is wrong with it
	}
	second, err := s.listenOperator(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	limits := s.o.Limits
	server := s.over(s)
	go s.rates.share(s.stopping, s.o.Shared)
	served := make(chan error, 2)
	go func() { served <- server.Serve(listener) }()
	var operator net.Addr
	if second != nil {
		operator = second.Addr()
		watched := s.over(s.operator(operator))
		go func() { served <- watched.Serve(second) }()
		defer func() { _ = watched.Close() }() // it says "stopping" as long as something runs
	}
	if s.o.Ready != nil {
		s.o.Ready(listener.Addr(), operator)
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.stop()
	s.log.Info("stopping", "requests", len(s.requests), "streams", len(s.streams))
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Drain)
	defer cancel()
	err = server.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		cut := len(s.requests) + len(s.streams)
		_ = server.Close()
		return fmt.Errorf("%d requests did not finish within %s and were cut off", cut, limits.Drain)
	}
	return err
}

// over is how both listeners are served.
func (s *Server) over(h http.Handler) *http.Server {
	limits := s.o.Limits
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: limits.Header,
		WriteTimeout:      limits.Upload + limits.Answer + writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(anonymous{s.log}, "", 0),
	}
}

// listenOperator opens the operators' listener: nil where none is wanted, or where another
// program has an address that nobody chose.
func (s *Server) listenOperator(ctx context.Context) (net.Listener, error) {
	if s.o.Operator == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.o.Operator)
	if err != nil && s.o.OperatorYields {
		s.log.Warn("no metrics are served: the address is taken; name another with --listen-metrics", "address", s.o.Operator, "error", err)
		return nil, nil
	}
	return l, err
}

// anonymous logs what net/http has to say, without the addresses in it.
type anonymous struct{ log *slog.Logger }

var addresses = regexp.MustCompile(`\[[0-9a-fA-F:.%]+\](:\d+)?|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b`)

func (a anonymous) Write(b []byte) (int, error) {
	a.log.Warn("http server", "message", addresses.ReplaceAllString(string(b), "(address)"))
	return len(b), nil
}
