package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestTransient(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"interface down", syscall.ENETDOWN, true},
		{"transmit queue full", syscall.ENOBUFS, true},
		{"send buffer full", syscall.EAGAIN, true},
		{"no route", syscall.ENETUNREACH, true},
		{"no neighbour", syscall.EHOSTUNREACH, true},
		{"neighbour down", syscall.EHOSTDOWN, true},
		{"address not there", syscall.EADDRNOTAVAIL, true},
		{"interface gone", syscall.ENODEV, true},
		{"interface gone, as some drivers say it", syscall.ENXIO, true},
		{"no memory", syscall.ENOMEM, true},
		{"no descriptors in the process", syscall.EMFILE, true},
		{"no descriptors in the system", syscall.ENFILE, true},
		{"interrupted", syscall.EINTR, true},
		{"no permission", syscall.EPERM, false},
		{"not allowed", syscall.EACCES, false},
		{"no such family", syscall.EAFNOSUPPORT, false},
		{"no such protocol", syscall.EPROTONOSUPPORT, false},
		{"no such option", syscall.ENOPROTOOPT, false},
		{"nonsense", syscall.EINVAL, false},
		{"too long", syscall.EMSGSIZE, false},
		{"bad descriptor", syscall.EBADF, false},
		{"closed", net.ErrClosed, false},
		{"no system call", errors.New("wrong family"), false},

		{"wrapped system call", os.NewSyscallError("sendmmsg", syscall.ENETDOWN), true},
		{"wrapped text", fmt.Errorf("send on eth0: %w", syscall.ENODEV), true},
		{"wrapped permanent", fmt.Errorf("socket: %w", os.NewSyscallError("socket", syscall.EPERM)), false},
		{"one packet", &WriteError{3, syscall.ENOBUFS}, true},
		{"one bad packet", &WriteError{3, errors.New("wrong family")}, false},
		{"several, all transient", errors.Join(&WriteError{0, syscall.ENOBUFS}, &WriteError{1, syscall.ENETDOWN}), true},
		{"several, first permanent", errors.Join(&WriteError{0, syscall.EPERM}, &WriteError{1, syscall.ENETDOWN}), false},
		{"several, last permanent", errors.Join(&WriteError{0, syscall.ENETDOWN}, &WriteError{1, syscall.EPERM}), false},
		{"joined and wrapped", fmt.Errorf("turn: %w", errors.Join(syscall.EAGAIN)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Transient(tt.err); got != tt.want {
				t.Errorf("Transient(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}

func TestWriteError(t *testing.T) {
	err := fmt.Errorf("turn: %w", errors.Join(&WriteError{Index: 7, Err: fmt.Errorf("send on eth0: %w", syscall.ENETDOWN)}))
	w, ok := errors.AsType[*WriteError](err)
	if !ok || w.Index != 7 {
		t.Fatalf("AsType found %v, %v; want the error of packet 7", w, ok)
	}
	if !errors.Is(w, syscall.ENETDOWN) {
		t.Errorf("%v does not wrap its cause", w)
	}
	if got, want := w.Error(), "packet 7: send on eth0: network is down"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
