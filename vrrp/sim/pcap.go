package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Of the classic capture format: nanoseconds, and packets that begin with the
// IP header.
const (
	pcapMagic   = 0xa1b23c4d
	pcapRaw     = 101 // LINKTYPE_RAW
	pcapSnaplen = 65535
)

// PcapWriter writes frames as a capture file, which tcpdump and Wireshark read.
// Of version 3 over IPv4 both take the checksum with the pseudo-header for the
// only right one; tshark -o vrrp.v3_checksum_as_in_v2:TRUE takes that of RFC
// 9568.
type PcapWriter struct {
	w   io.Writer
	buf []byte
}

// NewPcapWriter writes the head of a capture file to w.
func NewPcapWriter(w io.Writer) (*PcapWriter, error) {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, pcapMagic)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4) // the format's version
	b = le.AppendUint32(le.AppendUint32(b, 0), 0) // UTC, accuracy
	b = le.AppendUint32(b, pcapSnaplen)           // longest packet
	if _, err := w.Write(le.AppendUint32(b, pcapRaw)); err != nil {
		return nil, fmt.Errorf("write the head of a capture: %w", err)
	}
	return &PcapWriter{w: w, buf: b}, nil
}

// Write adds a frame that was on the wire at the given time, which must lie
// between 1970 and 2106.
func (p *PcapWriter) Write(at time.Time, f Frame) error {
	if f.Source.Is4() != f.Destination.Is4() || !f.Source.IsValid() || !f.Destination.IsValid() {
		return fmt.Errorf("write a packet to a capture: from %v to %v: not two addresses of one family", f.Source, f.Destination)
	}
	header := 20
	if f.Source.Is6() {
		header = 40
	}
	size := header + len(f.Payload)
	if size > pcapSnaplen {
		return fmt.Errorf("write a packet to a capture: %d bytes are more than an IP packet holds", size)
	}
	seconds := at.Unix()
	if seconds < 0 || seconds > 1<<32-1 {
		return fmt.Errorf("write a packet to a capture: it cannot tell the time %v", at)
	}
	le := binary.LittleEndian
	b := le.AppendUint32(p.buf[:0], uint32(seconds))
	b = le.AppendUint32(b, uint32(at.Nanosecond()))
	b = le.AppendUint32(le.AppendUint32(b, uint32(size)), uint32(size))
	if f.Source.Is4() {
		b = appendIPv4(b, f, size)
	} else {
		b = appendIPv6(b, f)
	}
	b = append(b, f.Payload...)
	p.buf = b
	if _, err := p.w.Write(b); err != nil {
		return fmt.Errorf("write a packet to a capture: %w", err)
	}
	return nil
}

// vrrpClass is the traffic class of adverts on the wire, CS6.
const vrrpClass = 0xc0

// appendIPv4 appends the header of RFC 791 without options.
func appendIPv4(b []byte, f Frame, size int) []byte {
	start := len(b)
	be := binary.BigEndian
	b = append(b, 0x45, vrrpClass)
	b = be.AppendUint16(b, uint16(size))
	b = append(b, 0, 0, 0x40, 0) // no identification, do not fragment
	b = append(b, byte(f.TTL), 112, 0, 0)
	b = appendAddrs(b, f.Source, f.Destination)
	head := b[start:]
	be.PutUint16(head[10:], ^onesSum(head))
	return b
}

// appendIPv6 appends the header of RFC 8200.
func appendIPv6(b []byte, f Frame) []byte {
	b = binary.BigEndian.AppendUint32(b, 6<<28|vrrpClass<<20)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Payload)))
	b = append(b, 112, byte(f.TTL))
	return appendAddrs(b, f.Source, f.Destination)
}

func appendAddrs(b []byte, list ...netip.Addr) []byte {
	for _, a := range list {
		b = append(b, a.AsSlice()...)
	}
	return b
}
