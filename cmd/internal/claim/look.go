package claim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Others lists the daemons of this network namespace that live, but for the one that
// has the claim, which may be nil.
func (c *Claim) Others() ([]Holder, error) {
	names, err := claimed()
	if err != nil {
		return nil, fmt.Errorf("cannot tell which other daemons there are: %w", err)
	}
	var list []Holder
	for _, name := range names {
		if c != nil && name == c.name {
			continue
		}
		_, k, ok := strings.Cut(strings.TrimPrefix(name, prefix), ":")
		h, lives := ask(name)
		if !ok || !lives {
			continue
		}
		h.RunDir, h.key = k, k
		if !strings.HasPrefix(k, "/") {
			h.RunDir = ""
		}
		list = append(list, h)
	}
	return list, nil
}

// listens is the flag of a socket that listens, in the kernel's list.
const listens = 1 << 16

// claimed lists the names of this network namespace that look like claims.
func claimed() (names []string, err error) {
	f, err := os.Open("/proc/thread-self/net/unix")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " "+prefix)
		fields := strings.Fields(before) // number, references, protocol, flags, type, state, inode
		if !ok || len(fields) != 7 {
			continue
		}
		if flags, err := strconv.ParseUint(fields[3], 16, 32); err == nil && flags&listens != 0 {
			names = append(names, prefix+after)
		}
	}
	return names, nil
}

// askPatience is how long an answer is awaited of one whom too many ask.
const askPatience = time.Second

// mostTold is more than any daemon tells.
const mostTold = 16 << 20

// ask reports whether a daemon is behind a name, which process, and what it tells.
func ask(name string) (h Holder, lives bool) {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", name)
		switch {
		case err == nil:
			defer conn.Close()
			cred, err := peer(conn.(*net.UnixConn))
			if err != nil || !mayServe(cred) {
				return h, false
			}
			h.PID = int(cred.Pid)
			_ = conn.SetReadDeadline(time.Now().Add(askPatience))
			h.Told, _ = io.ReadAll(io.LimitReader(conn, mostTold))
			return h, true
		case !errors.Is(err, unix.EAGAIN): // it has just ended, or a child has the socket still
			return h, false
		case time.Since(began) > askPatience: // so many ask that it is safer to take it for one
			return h, true
		}
	}
}

func peer(conn *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil {
		return nil, cerr
	}
	return cred, err
}

// mayConfigure reports whether a process may set addresses.
func mayConfigure(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), "\nCapEff:")
	line, _, _ := strings.Cut(after, "\n")
	held, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return err == nil && held&(1<<unix.CAP_NET_ADMIN) != 0
}
