package offline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The exit codes. Only proven means that the package proves something: it is in order
// and signed with a key that the caller knows.
const (
	proven = iota
	broken
	usage
	untrusted
)

// Print writes what a package proves for people.
func (s Summary) Print(w io.Writer, path string) error {
	when := "with no time that a signature vouches for, since an earlier version signed it"
	if !s.At.IsZero() {
		when = "at " + s.At.Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(w, "%s: handover %s is %s, %d transfers, %d log entries up to entry %d, all in order\nfour-eyes rule: %s\n"+
		"as of %s, the time of entry %d; %d entries of the log were signed %s\nverifier key: %s\nnot proven by it: %s\n",
		path, s.Handover, s.State, s.Transfers, s.Entries, s.Last, s.FourEyes, s.LastAt.Format(time.RFC3339), s.Last, s.Size, when, s.Key, Unproven)
	return err
}

const help = `usage: handover-verify PACKAGE [--key KEY]...
KEY is a verifier key known from elsewhere, such as openhandover/crp_…+1a2b3c4d+AZ…; a key that it introduced is known by it.
Exit codes: 0 in order and signed with a known key, 1 broken, 2 usage, 3 in order but no known key.
`

// Main runs the program handover-verify and gives its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	var packages, keys []string
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		switch {
		case name == "--key" && joined:
			keys = append(keys, value)
		case name == "--key" && i+1 < len(args):
			i++
			keys = append(keys, args[i])
		case strings.HasPrefix(name, "-"):
			packages = nil
			i = len(args)
		default:
			packages = append(packages, args[i])
		}
	}
	if len(packages) != 1 {
		_, _ = io.WriteString(stderr, help)
		return usage
	}
	s, err := verifyFile(packages[0], keys)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "handover-verify: %s: BROKEN: %v\n", packages[0], err)
		return broken
	}
	if err := s.Print(stdout, packages[0]); err != nil {
		return broken
	}
	if !s.Trusted {
		_, _ = fmt.Fprintf(stderr, "handover-verify: %s: %v; name it with --key\n", packages[0], ErrUntrusted)
		return untrusted
	}
	return proven
}

func verifyFile(path string, keys []string) (s Summary, err error) {
	f, err := os.Open(path) // #nosec G304 G703 -- whoever calls it names it
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	return Verify(f, info.Size(), keys...)
}
