// Serve puts the edge with the small test schema on an address, so that test suites
// written in other languages can be run against it. It prints its URL and ends with
// its standard input.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	l, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/graphql\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	d := &directory.Directory{}
	s := &http.Server{Handler: edge.New(d.Schema(), edge.Options{}), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(s.Serve(l))
}
