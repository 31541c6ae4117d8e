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
	limits := s.o.Limits
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: limits.Header,
		WriteTimeout:      limits.Upload + limits.Answer + writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(anonymous{s.log}, "", 0),
	}
	go s.rates.share(s.stopping, s.o.Shared)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if s.o.Ready != nil {
		s.o.Ready(listener.Addr())
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

// anonymous logs what net/http has to say, without the addresses in it.
type anonymous struct{ log *slog.Logger }

var addresses = regexp.MustCompile(`\[[0-9a-fA-F:.%]+\](:\d+)?|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b`)

func (a anonymous) Write(b []byte) (int, error) {
	a.log.Warn("http server", "message", addresses.ReplaceAllString(string(b), "(address)"))
	return len(b), nil
}
