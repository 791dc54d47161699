package vip

import (
	"context"
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
	// resyncPause is the wait before a listing that failed is tried again.
	resyncPause = 100 * time.Millisecond
)

// Watch delivers the state of the interfaces in the network namespace of the
// caller: at first of all of them, in one delivery, and then of those that
// changed. A link that is deleted or renamed is delivered under its old name
// with index 0. Changes of a link itself are delivered one by one; changes of
// addresses that arrive together are delivered together, and an address that
// was only renewed is not delivered. deliver runs on the caller's goroutine
// and owns what it gets.
//
// Watch returns when ctx is done, with its error, or when the kernel cannot be
// asked at all.
func Watch(ctx context.Context, deliver func([]LinkState)) error {
	w, err := newWatcher(deliver)
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	defer w.close()
	// Wakes a read that waits.
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	return w.run(ctx)
}

// watcher turns notifications into the events of a table.
type watcher struct {
	route   *rtnl // for listings
	file    *os.File
	receive []byte
	table   *table
}

func newWatcher(deliver func([]LinkState)) (*watcher, error) {
	fd, err := routeSocket(watchGroups, unix.SOCK_RAW|unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "rtnetlink")
	route, err := dialRTNL()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &watcher{route: route, file: file, receive: make([]byte, receiveSize), table: newTable(deliver)}, nil
}

func (w *watcher) close() {
	_ = w.file.Close()
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
	for {
		links, addrs, err := w.route.listing()
		if err == nil {
			w.table.replace(links, addrs)
			return nil
		}
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return fmt.Errorf("watch interfaces: %w", err)
		}
		if err := pause(ctx); err != nil {
			return err
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
	conn, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	taken := 0
	err = conn.Read(func(fd uintptr) bool {
		for taken < turnDatagrams {
			n, _, err := unix.Recvfrom(int(fd), w.receive, unix.MSG_TRUNC)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return taken > 0
			case err == nil && n > len(w.receive):
				err = fmt.Errorf("notification of %d bytes is too long", n)
			}
			if err != nil {
				failure = err
				return true
			}
			taken++
			for m := range messages(w.receive[:n]) {
				w.handle(m)
			}
		}
		return true
	})
	if err = errors.Join(err, failure); err != nil {
		return err
	}
	w.table.flush()
	return nil
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
