//go:build !unix

package pgtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
)

// account is empty here: we only start servers where there is a POSIX shell.
type account struct{}

func unprivileged() (account, error) {
	return account{}, errors.New("this system's PostgreSQL cannot be started by the tests: set " + EnvURL +
		" to the postgres:// URL of a superuser on a server that tests may use")
}

func (account) makeDir() (string, error) { return "", errors.ErrUnsupported }
func (account) own(string) error         { return errors.ErrUnsupported }
func (account) apply(*exec.Cmd, string)  {}

func (account) supervise(string, *os.File, []string) (io.Closer, chan error, error) {
	return nil, nil, errors.ErrUnsupported
}
