package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

const (
	debianMark = "/etc/debian_version"
	// clusterConf is read by the package's install script.
	clusterConf = "/etc/postgresql-common/createcluster.conf"
	noCluster   = "# The tests of OpenHandover installed PostgreSQL for its programs only.\ncreate_main_cluster = false\n"
	installLock = "/run/handover-pgtest.lock"
)

// install gets the programs from the distribution where we may: as root on Debian
// or one of its children, as in a container or on a build machine. Anywhere else
// it leaves the machine alone and answers ErrNoServer.
func install(ctx context.Context, logf func(string, ...any)) (string, error) {
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return "", ErrNoServer
	}
	if _, err := os.Stat(debianMark); err != nil {
		return "", ErrNoServer
	}
	// Several packages' tests may come here at once, and apt-get update does not wait.
	lock, err := os.OpenFile(installLock, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if bin, err := find(); err == nil {
		return bin, nil
	}
	logf("no PostgreSQL server programs found; installing them with apt-get")
	restore, err := withoutCluster()
	if err != nil {
		return "", err
	}
	defer restore()
	for _, args := range [][]string{
		{"update"},
		{"install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", "postgresql"},
	} {
		cmd := exec.CommandContext(ctx, apt, append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "UCF_FORCE_CONFFOLD=1")
		if said, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w; apt-get %s failed: %w\n%s", ErrNoServer, args[0], err, said)
		}
	}
	return find()
}

// withoutCluster keeps the package from making and starting a server of its own.
// What the file said before is put back afterwards; a file that was not there
// stays, because the package takes it for its own.
func withoutCluster() (restore func(), err error) {
	before, err := os.ReadFile(clusterConf)
	switch {
	case err == nil:
		restore = func() { _ = os.WriteFile(clusterConf, before, 0o644) }
	case errors.Is(err, fs.ErrNotExist):
		restore = func() {}
		if err := os.MkdirAll("/etc/postgresql-common", 0o755); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if len(before) > 0 && before[len(before)-1] != '\n' {
		before = append(before, '\n')
	}
	return restore, os.WriteFile(clusterConf, append(before, noCluster...), 0o644)
}
