//go:build !unix

package main

import "os/exec"

// group leaves the command as it is: cancelling kills it.
func group(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
