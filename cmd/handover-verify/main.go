// Command handover-verify checks an evidence package and does nothing else: it knows
// no server and no database, and is built of the standard library alone. It is for
// whoever receives a package.
package main

import (
	"os"

	"github.com/openhandover/openhandover/internal/evidence/offline"
)

func main() { os.Exit(offline.Main(os.Args[1:], os.Stdout, os.Stderr)) }
