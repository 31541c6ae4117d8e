//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// account is who the server runs as: ourselves, unless we are root.
type account struct{ credential *syscall.Credential }

func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"nobody", "postgres"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseInt(u.Uid, 10, 64) // macOS writes nobody's as -2
		gid, errG := strconv.ParseInt(u.Gid, 10, 64)
		if errU == nil && errG == nil {
			return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user nobody or postgres to run it as; " +
		"run the tests as another user, or set " + EnvURL)
}

// makeDir makes a folder that only the account can read.
func (a account) makeDir() (string, error) {
	base := os.TempDir()
	if a.credential != nil && !reachable(base) {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "handover-pg-")
	if err != nil {
		return "", err
	}
	return dir, a.own(dir)
}

// reachable reports whether everybody may walk down to the folder.
func reachable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(path, int(a.credential.Uid), int(a.credential.Gid))
}

// apply makes the command run as the account, in dir, untouched by the caller's
// PGDATA, PGPORT and the like, and out of reach of the terminal's Ctrl-C.
func (a account) apply(cmd *exec.Cmd, dir string) {
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "LC_ALL=C"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: a.credential}
}

// watch runs the server and, beside it, a reader of the pipe whose other end we
// hold. However our process ends, the kernel closes that end; the reader then
// stops the server, and its folder goes. A test process needs no TestMain for
// this, and SIGKILL or a timeout's panic leaves nothing behind.
const watch = `
dir=$1; shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
(cat <&3 >/dev/null; kill -QUIT $server) &
reader=$!
wait $server
status=$?
kill $reader 2>/dev/null
cd /
rm -rf "$dir"
exit $status
`

func (a account) supervise(dir string, log *os.File, command []string) (io.Closer, chan error, error) {
	if err := a.own(log.Name()); err != nil {
		return nil, nil, err
	}
	read, write, err := os.Pipe() // close-on-exec: no other child of ours keeps it open
	if err != nil {
		return nil, nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", watch, "sh", dir}, command...)...)
	a.apply(cmd, dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = read, log, log
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return nil, nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	exited := make(chan error, 1)
	go func() {
		exited <- cmd.Wait()
		// The collector would close the pipe, and so stop the server, once the caller
		// keeps no more of it than its URL.
		runtime.KeepAlive(write)
	}()
	return write, exited, nil
}
