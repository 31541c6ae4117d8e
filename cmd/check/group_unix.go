//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// group puts the command and all it starts into a process group of its own, which
// gets one interrupt when the command is cancelled. In ours, the terminal and we
// would both send one, and a test binary that go starts would miss ours.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}

// killGroup ends what did not end when it was interrupted.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails where none is left
	}
}
