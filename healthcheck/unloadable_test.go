package healthcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// unloadable is a program whose start the kernel does not get done with, as on a host
// whose scanner of files does not answer, until answer is called.
type unloadable struct {
	path   string
	answer func()
}

// makeUnloadable makes one.
func makeUnloadable(t *testing.T) *unloadable {
	t.Helper()
	dir, err := os.MkdirTemp("", "hanging") // t.TempDir is for one user only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "program")
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, []byte("#!/bin/sh\necho fine\n"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_CLOEXEC)
	if err == nil {
		err = unix.FanotifyMark(listener, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, path)
	}
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatalf("no program can be made to hang with fanotify: %v", err)
		}
		t.Skipf("no program can be made to hang with fanotify, which needs root: %v", err)
	}
	// From fork to exec a thread cannot be stopped, as a collection needs it, and one
	// that is under way would.
	percent, parallel := debug.SetGCPercent(-1), runtime.GOMAXPROCS(max(6, runtime.GOMAXPROCS(0)))
	runtime.GC()
	answer := sync.OnceFunc(func() {
		err := unix.FanotifyMark(listener, unix.FAN_MARK_REMOVE, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, path)
		if err := errors.Join(err, answerAll(listener)); err != nil {
			t.Error(err)
		}
		unix.Close(listener)
		debug.SetGCPercent(percent)
		runtime.GOMAXPROCS(parallel)
	})
	t.Cleanup(answer)
	return &unloadable{path, answer}
}

// answerAll lets those go on that wait. To close the listener is not enough: children
// have it too until they become programs.
func answerAll(listener int) error {
	for {
		buffer := make([]byte, 4096)
		n, err := unix.Read(listener, buffer)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		for r := bytes.NewReader(buffer[:n]); r.Len() > 0; {
			var event unix.FanotifyEventMetadata
			if err := binary.Read(r, binary.NativeEndian, &event); err != nil {
				return err
			}
			var response bytes.Buffer
			err := binary.Write(&response, binary.NativeEndian, unix.FanotifyResponse{Fd: event.Fd, Response: unix.FAN_ALLOW})
			_, writeErr := unix.Write(listener, response.Bytes())
			unix.Close(int(event.Fd))
			if writeErr != unix.ENOENT { // killed meanwhile
				err = errors.Join(err, writeErr)
			}
			if err != nil {
				return err
			}
		}
	}
}
