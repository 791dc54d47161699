package main

import (
	"os"
	"os/exec"
	"testing"
)

// The program that make build makes keeps its size.
func TestProgramSize(t *testing.T) {
	for _, tool := range []string{"go", "make"} {
		_, err := exec.LookPath(tool)
		require(t, err == nil, tool)
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("measured: %d bytes", info.Size())
	if info.Size() > programMost*1e6 {
		t.Errorf("the program has %d bytes, want at most %d million", info.Size(), programMost)
	}
}
