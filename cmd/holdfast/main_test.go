package main

import (
	"context"
	"os"
	"testing"
)

// beHoldfast makes the test binary behave as the program, so that tests can
// start real daemons and commands without building anything else.
const beHoldfast = "HOLDFAST_TEST_BE_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beHoldfast) != "" {
		if len(os.Args) > 1 && otherPrograms[os.Args[1]] != nil {
			otherPrograms[os.Args[1]](os.Args[2:])
		}
		if path := os.Getenv(profileTo); path != "" {
			profiled(path)
		}
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Setenv(beHoldfast, "1") // for the children
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}
