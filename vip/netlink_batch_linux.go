package vip

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO of linux/if_addr.h, since Linux 5.18.
const ifaProto = 11

// batchTries is how often requests are sent whose answers get lost.
const batchTries = 8

// forever is the lifetime of an address without one.
const forever = ^uint32(0)

// appendChange appends the request for a change on the interface of an index.
// The kernel answers it only when it refuses.
func appendChange(dst []byte, seq uint32, index int, c Change) []byte {
	kind, flags := uint16(unix.RTM_NEWADDR), uint16(0)
	switch c.Verb {
	case Create:
		flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	case Replace, Renew:
		flags |= unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	default:
		kind = unix.RTM_DELADDR
	}
	return appendRequest(dst, kind, flags, seq, func(b []byte) []byte {
		addr := c.Address.Prefix.Addr()
		b = append(b, family(addr.Is4()), byte(c.Address.Prefix.Bits()), 0, scope(c.Address))
		b = binary.NativeEndian.AppendUint32(b, uint32(index))
		b = appendAttrAddr(b, unix.IFA_LOCAL, addr)
		b = appendAttrAddr(b, unix.IFA_ADDRESS, addr)
		if kind == unix.RTM_DELADDR {
			return b
		}
		return c.Address.appendDetails(b)
	})
}

// appendAttrAddr appends an address, without garbage.
func appendAttrAddr(dst []byte, kind uint16, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return appendAttr(dst, kind, b[:])
	}
	b := a.As16()
	return appendAttr(dst, kind, b[:])
}

// appendDetails appends how the address is to be, beside what it is.
func (a Address) appendDetails(b []byte) []byte {
	b = appendAttr(b, ifaProto, []byte{Proto})
	var flags uint32
	if a.Prefix.Addr().Is6() {
		flags |= unix.IFA_F_NODAD // must serve at once, also where it just was
	}
	preferred, valid := forever, forever
	if a.ValidLifetime > 0 {
		valid = uint32(a.ValidLifetime / time.Second)
		preferred = valid
	}
	if a.hidden() {
		flags |= unix.IFA_F_NOPREFIXROUTE
		preferred = 0
	}
	if flags != 0 {
		b = appendAttr32(b, unix.IFA_FLAGS, flags)
	}
	if preferred != forever || valid != forever {
		var info [unix.SizeofIfaCacheinfo]byte
		binary.NativeEndian.PutUint32(info[0:], preferred)
		binary.NativeEndian.PutUint32(info[4:], valid)
		b = appendAttr(b, unix.IFA_CACHEINFO, info[:])
	}
	return b
}

func family(v4 bool) byte {
	if v4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func scope(a Address) byte {
	if a.Prefix.Addr().IsLinkLocalUnicast() && a.Prefix.Addr().Is6() {
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}

// batch carries out changes on the interface of an index: as many requests a
// datagram as fit, and then their answers. Changes whose answers were lost are
// sent again, fewer at a time: a change that was made already says so. The
// errors are valid until the next batch.
func (s *rtnl) batch(index int, changes []Change) []error {
	errs, todo := sized(&s.errs, len(changes)), sized(&s.todo, len(changes))
	for i := range changes {
		todo[i] = i
		errs[i] = errUnanswered
	}
	for range batchTries {
		for rest := todo; len(rest) > 0; {
			rest = rest[s.exchange(index, changes, rest, errs):]
		}
		lost := todo[:0]
		for _, i := range todo {
			if errors.Is(errs[i], errUnanswered) {
				lost = append(lost, i)
			}
		}
		if todo = lost; len(todo) == 0 {
			break
		}
		s.acks = max(1, s.acks/4)
	}
	for i, err := range errs {
		errs[i] = meaning(changes[i].Verb, err)
	}
	return errs
}

// sized returns a list of so many elements, with anything in them, out of what
// was used before where that is large enough.
func sized[E any](list *[]E, size int) []E {
	if cap(*list) < size {
		*list = make([]E, size)
	}
	return (*list)[:size]
}

// exchange sends the first of the changes in todo, as many as fit, sets their
// errors, and returns how many they were. The kernel answers in their order, and
// only the last is asked to answer also when all is well: the answers would cost
// a good part of what the changes do.
func (s *rtnl) exchange(index int, changes []Change, todo []int, errs []error) int {
	s.send = s.send[:0]
	first := s.seq + 1
	n, last := 0, 0
	for n < len(todo) && n < s.acks && len(s.send) < batchSize {
		s.seq++
		last = len(s.send)
		s.send = appendChange(s.send, s.seq, index, changes[todo[n]])
		n++
	}
	flags := s.send[last+6:] // of struct nlmsghdr
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	s.beginQuiet()
	defer s.endQuiet()
	if err := s.write(s.send); err != nil {
		for _, i := range todo[:n] {
			errs[i] = err
		}
		return n
	}
	answers := sized(&s.answers, n)
	clear(answers)
	complete := s.collect(first, answers)
	for k, i := range todo[:n] {
		if errs[i] = answers[k]; errs[i] == nil && !complete {
			errs[i] = errUnanswered // or done; the next try tells
		}
	}
	return n
}

// collect reads the answers to requests numbered from first, until that to the
// last is there. It reports whether none was lost: if not, those that seem well
// need not be.
func (s *rtnl) collect(first uint32, answers []error) (complete bool) {
	flags := 0
	for complete = true; ; {
		b, err := s.read(flags)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			flags = unix.MSG_DONTWAIT // some are lost: take what is there
			complete = false
			continue
		case err != nil:
			return false
		}
		for m := range messages(b) {
			k := m.seq - first
			if m.kind != unix.NLMSG_ERROR || k >= uint32(len(answers)) {
				continue
			}
			if answers[k] = m.answer(); k == uint32(len(answers))-1 {
				return complete
			}
		}
	}
}

// meaning tells what an errno means for a change.
func meaning(v Verb, err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return ErrNoInterface
	case v != Remove && errors.Is(err, unix.EEXIST):
		return ErrExists
	case v == Remove && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENXIO)):
		return ErrNotFound // ENXIO: all IPv6 is gone from the interface, as with an MTU below 1280
	}
	return err
}
