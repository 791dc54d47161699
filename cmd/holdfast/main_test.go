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
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Setenv(beHoldfast, "1") // for the children
	os.Exit(m.Run())
}
