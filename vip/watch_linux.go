package vip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watchGroups are what the watcher listens to.
const watchGroups = 1<<(unix.RTNLGRP_LINK-1) | 1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1)

const (
	// turnDatagrams bounds how many datagrams are taken together.
	turnDatagrams = 1024
	// gatherPause is how long notifications gather after one of an address. A new
	// master adds thousands: to look at each as it comes, at all that its interface
	// has then, and to be woken for it, took a third of the time until it served.
	gatherPause = 5 * time.Millisecond
	// resyncPause is the wait before a listing that failed is tried again.
	resyncPause = 100 * time.Millisecond
	// troubleAfter is how long listings must have failed to be worth a word.
	troubleAfter = time.Second
)

// Watch delivers the state of the interfaces in the network namespace of the
// caller: at first of all of them, in one delivery, and then of those that
// changed. A link that is deleted or renamed is delivered under its old name
// with index 0. Changes of a link itself are delivered one by one; changes of
// addresses that arrive together are delivered together, and an address that
// was only renewed is not delivered. For 5 ms behind a change of addresses others
// gather, and changes of links with them. deliver runs on the caller's goroutine
// and owns what it gets.
//
// While the kernel's lists cannot be read nothing is delivered. trouble, when not
// nil, hears why once that has lasted a second, and nil once they can be read again.
//
// Watch returns when ctx is done, with its error, or when the kernel cannot be
// asked at all.
func Watch(ctx context.Context, deliver func([]LinkState), trouble func(error)) error {
	return watch(ctx, deliver, trouble, nil)
}

// Watch is the function [Watch], and does not hear of the renewals of IPv4 addresses
// that k makes: each is renewed again and again. Of an IPv6 address the
// kernel does not tell who renewed it. While it runs, k need not look up the
// interfaces for them, and looks them up for other orders without waiting for the
// kernel's network lock.
func (k *Linux) Watch(ctx context.Context, deliver func([]LinkState), trouble func(error)) error {
	defer k.watched.forget()
	return watch(ctx, func(states []LinkState) {
		k.watched.note(states)
		deliver(states)
	}, trouble, k.renewal)
}

func watch(ctx context.Context, deliver func([]LinkState), trouble func(error), renewal *rtnl) error {
	w, err := newWatcher(deliver)
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	defer w.close()
	if trouble != nil {
		w.trouble = trouble
	}
	if renewal != nil {
		if err := w.ignore(renewal); err != nil {
			return fmt.Errorf("watch interfaces: %w", err)
		}
	}
	// Wakes a read that waits.
	stop := context.AfterFunc(ctx, func() { _ = w.bell.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	return w.run(ctx)
}

// watcher turns notifications into the events of a table.
type watcher struct {
	route   *rtnl // for listings
	fd      int   // of the notifications
	bell    *doorbell
	receive []byte
	table   *table
	trouble func(error)
}

func newWatcher(deliver func([]LinkState)) (*watcher, error) {
	fd, err := routeSocket(watchGroups, unix.SOCK_RAW|unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, err
	}
	bell, err := newDoorbell(fd)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	route, err := dialRTNL()
	if err != nil {
		return nil, errors.Join(err, bell.close(), unix.Close(fd))
	}
	return &watcher{route: route, fd: fd, bell: bell, receive: make([]byte, receiveSize), table: newTable(deliver), trouble: func(error) {}}, nil
}

// ignore has the kernel drop what it tells of IPv4 addresses that were renewed
// through s.
func (w *watcher) ignore(s *rtnl) error {
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	port := name.(*unix.SockaddrNetlink).Pid
	// Filters read numbers as big-endian; netlink's header has the host's.
	var kind [2]byte
	var from [4]byte
	binary.NativeEndian.PutUint16(kind[:], unix.RTM_NEWADDR)
	binary.NativeEndian.PutUint32(from[:], port)
	const all = 1 << 18
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4}, // nlmsg_type
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(binary.BigEndian.Uint16(kind[:])), Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12}, // nlmsg_pid
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(from[:]), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
	}
	err = unix.SetsockoptSockFprog(w.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
}

func (w *watcher) close() {
	_ = w.bell.close()
	_ = unix.Close(w.fd)
	_ = w.route.close()
}

func (w *watcher) run(ctx context.Context) error {
	// Notifications are subscribed to already, so that nothing falls between
	// them and the listing.
	if err := w.resync(ctx); err != nil {
		return err
	}
	for {
		err := w.turn()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if w.table.addressed { // as a rule not the only one
				w.table.addressed = false
				time.Sleep(gatherPause)
			}
			continue
		case !errors.Is(err, unix.ENOBUFS):
			// It may not pass: do not spin.
			if err := pause(ctx); err != nil {
				return err
			}
		}
		// Some notifications are lost.
		if err := w.resync(ctx); err != nil {
			return err
		}
	}
}

// resync lists everything, again and again until that succeeds.
func (w *watcher) resync(ctx context.Context) error {
	began, told := time.Now(), false
	for {
		w.drain()
		links, addrs, err := w.route.listing()
		if err == nil {
			if told {
				w.trouble(nil)
			}
			w.table.replace(links, addrs)
			return nil
		}
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return fmt.Errorf("watch interfaces: %w", err)
		}
		if !told && time.Since(began) >= troubleAfter {
			told = true
			w.trouble(err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// drain forgets what waits: it is older than the listing that follows. After an
// overflow the kernel drops, without a further word, all that comes until the last of
// it was read.
func (w *watcher) drain() {
	for {
		if _, err := w.read(); err != nil && err != unix.ENOBUFS {
			return
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(resyncPause):
		return nil
	}
}

// turn waits for notifications, takes those that are there, and delivers what
// they changed.
func (w *watcher) turn() error {
	if err := w.bell.wait(); err != nil {
		return err
	}
	for range turnDatagrams {
		n, err := w.read()
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return err
		}
		for m := range messages(w.receive[:n]) {
			w.handle(m)
		}
	}
	w.table.flush()
	return nil
}

// read reads one datagram, if there is one.
func (w *watcher) read() (n int, err error) {
	for {
		n, _, err = unix.Recvfrom(w.fd, w.receive, unix.MSG_TRUNC)
		switch {
		case err == unix.EINTR:
		case err == nil && n > len(w.receive):
			return 0, fmt.Errorf("notification of %d bytes is too long", n)
		default:
			return n, err
		}
	}
}

// handle passes one notification to the table.
func (w *watcher) handle(m message) {
	switch m.kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, ok := parseLink(m.data)
		switch {
		case !ok:
		case m.kind == unix.RTM_NEWLINK:
			w.table.setLink(l.LinkState)
		default:
			w.table.deleteLink(l.Index)
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, ok := parseAddr(m.data)
		switch {
		case !ok:
		case m.kind == unix.RTM_NEWADDR:
			w.table.setAddr(a.index, a.addrState)
		default:
			w.table.deleteAddr(a.index, a.Prefix)
		}
	}
}
