// Command handover-verify checks an evidence package and does nothing else: it knows
// no server and no database, and is built of the standard library alone. It is for
// whoever receives a package.
package main

import (
	"fmt"
	"os"

	"github.com/openhandover/openhandover/internal/evidence/offline"
)

func main() {
	if len(os.Args) < 2 || os.Args[1][0] == '-' {
		fmt.Fprintln(os.Stderr, "usage: handover-verify PACKAGE [KEY]...\nKEY is a verifier key that you trust, such as openhandover/crp_…+1a2b3c4d+AZ…")
		os.Exit(2)
	}
	if err := verify(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "handover-verify: %s: BROKEN: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func verify(path string, keys []string) error {
	f, err := os.Open(path) // #nosec G304 G703 -- whoever calls it names it
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, err := offline.Verify(f, info.Size(), keys...)
	if err != nil {
		return err
	}
	fmt.Printf("%s: in order\nhandover %s of %s: %s, %d transfers\n%d entries of a log of %d\nsigned with %s", path, s.Handover, s.Corp, s.State, s.Transfers, s.Entries, s.Size, s.Key)
	if s.Trusted {
		fmt.Println(", which you gave")
	} else {
		fmt.Println(", which the package names itself: give the key to be sure whose it is")
	}
	fmt.Println("not proven by it:", offline.Unproven)
	return nil
}
