package sniff

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
	"unicode"
)

// The blocks of the pcapng format that are read; others are skipped.
const (
	blockSection   = 0x0a0d0d0a // the same in both byte orders
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockPacket    = 6
)

// The options of an interface that are read.
const (
	optEnd    = 0
	optName   = 2
	optTick   = 9
	optOffset = 14
)

const byteOrderMagic uint32 = 0x1a2b3c4d

// pcapng reads the format that Wireshark writes.
type pcapng struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	interfaces []pcapngInterface
	buf        []byte
	// read tells that there was a frame that can be taken apart, skipped is of
	// what kind there was another.
	read    bool
	skipped *Link
}

type pcapngInterface struct {
	link    Link
	name    string
	snaplen uint32
	tick    tick
	offset  int64 // seconds
}

// tick is the unit of timestamps: 1/n of a second.
type tick struct{ n uint64 }

// split makes seconds and nanoseconds of a timestamp.
func (t tick) split(stamp uint64) (sec, nsec int64) {
	hi, lo := bits.Mul64(stamp%t.n, uint64(time.Second))
	q, _ := bits.Div64(hi, lo, t.n) // less than a second, so it cannot overflow
	return int64(stamp / t.n), int64(q)
}

// lastSecond is the last one of the year 9999.
const lastSecond = 253402300799

// maxInterfaces bounds what is remembered of a file.
const maxInterfaces = 1 << 12

// next skips frames that cannot be taken apart, unless there are no others.
func (p *pcapng) next() (Frame, error) {
	for {
		kind, body, err := p.block()
		if errors.Is(err, io.EOF) && !p.read && p.skipped != nil {
			err = unknownLink(*p.skipped)
		}
		if err != nil {
			return Frame{}, err
		}
		var f Frame
		packet := true
		switch kind {
		case blockInterface:
			packet, err = false, p.addInterface(body)
		case blockPacket:
			f, err = p.packet(body)
		case blockOldPacket:
			f, err = p.oldPacket(body)
		case blockSimple:
			f, err = p.simple(body)
		default:
			packet = false
		}
		if packet && err == nil && !f.Link.known() {
			p.skipped = &f.Link
			continue
		}
		if err != nil || packet {
			p.read = true
			return f, err
		}
	}
}

// block reads the next block. That of a section sets the byte order.
func (p *pcapng) block() (kind uint32, body []byte, err error) {
	var head [12]byte
	if n, err := io.ReadFull(p.r, head[:8]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, cut(err)
	}
	if binary.LittleEndian.Uint32(head[:]) == blockSection {
		return blockSection, nil, p.section(head[4:8])
	}
	kind = p.order.Uint32(head[:])
	size := p.order.Uint32(head[4:])
	if size < 12 || size%4 != 0 || size > maxBlock {
		return 0, nil, fmt.Errorf("it is damaged: a block of %d bytes", size)
	}
	switch kind {
	case blockInterface, blockPacket, blockOldPacket, blockSimple:
	default:
		_, err := io.CopyN(io.Discard, p.r, int64(size-8))
		return kind, nil, cut(err)
	}
	if size > 2*maxPacket {
		return 0, nil, fmt.Errorf("it is damaged: a packet of %d bytes", size)
	}
	p.buf = grow(p.buf, int(size-8))
	if _, err := io.ReadFull(p.r, p.buf); err != nil {
		return 0, nil, cut(err)
	}
	return kind, p.buf[:size-12], nil
}

// section begins a new section, which has its own byte order and interfaces.
func (p *pcapng) section(length []byte) error {
	magic, err := p.r.Peek(4)
	if err != nil {
		return cut(err)
	}
	switch byteOrderMagic {
	case binary.LittleEndian.Uint32(magic):
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(magic):
		p.order = binary.BigEndian
	default:
		return errNoCapture
	}
	p.interfaces = nil
	size := p.order.Uint32(length)
	if size < 28 || size%4 != 0 || size > maxBlock {
		return fmt.Errorf("it is damaged: a block of %d bytes", size)
	}
	_, err = io.CopyN(io.Discard, p.r, int64(size-8))
	return cut(err)
}

var errBlock = errors.New("it is damaged: a block is too short")

func (p *pcapng) addInterface(b []byte) error {
	if len(b) < 8 {
		return errBlock
	}
	if len(p.interfaces) == maxInterfaces {
		return fmt.Errorf("it is damaged: more than %d interfaces", maxInterfaces)
	}
	i := pcapngInterface{link: Link(p.order.Uint16(b)), snaplen: p.order.Uint32(b[4:]), tick: tick{1e6}}
	for o := b[8:]; len(o) >= 4; {
		code, size := p.order.Uint16(o), int(p.order.Uint16(o[2:]))
		o = o[4:]
		if code == optEnd || size > len(o) {
			break
		}
		value := o[:size]
		o = o[min(len(o), (size+3)&^3):]
		switch {
		case code == optName:
			i.name = printable(string(value))
		case code == optTick && size == 1:
			var ok bool
			if i.tick, ok = tickOf(value[0]); !ok {
				return fmt.Errorf("it is damaged: timestamps of resolution %#02x", value[0])
			}
		case code == optOffset && size == 8:
			i.offset = int64(p.order.Uint64(value))
		}
	}
	p.interfaces = append(p.interfaces, i)
	return nil
}

// tickOf decodes if_tsresol: a negative power of 10 or, with the highest bit, of
// 2.
func tickOf(b byte) (t tick, ok bool) {
	t.n = 1
	if b&0x80 != 0 {
		if b &= 0x7f; b > 63 {
			return t, false
		}
		t.n <<= b
		return t, true
	}
	if b > 19 {
		return t, false
	}
	for range b {
		t.n *= 10
	}
	return t, true
}

// printable is a name that must not disturb a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != ' ' {
			return r
		}
		if r == 0 {
			return -1
		}
		return '_'
	}, strings.ToValidUTF8(s, "_"))
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40])
	}
	return s
}

func (p *pcapng) packet(b []byte) (f Frame, err error) {
	if len(b) < 20 {
		return f, errBlock
	}
	i, err := p.at(p.order.Uint32(b))
	if err != nil {
		return f, err
	}
	return p.frame(i, b[4:])
}

// oldPacket reads the block that preceded the one of today: it has a count of
// drops beside a shorter number of the interface.
func (p *pcapng) oldPacket(b []byte) (f Frame, err error) {
	if len(b) < 20 {
		return f, errBlock
	}
	i, err := p.at(uint32(p.order.Uint16(b)))
	if err != nil {
		return f, err
	}
	return p.frame(i, b[4:])
}

// frame reads what follows the interface.
func (p *pcapng) frame(i *pcapngInterface, b []byte) (f Frame, err error) {
	stamp := uint64(p.order.Uint32(b))<<32 | uint64(p.order.Uint32(b[4:]))
	kept, length := p.order.Uint32(b[8:]), p.order.Uint32(b[12:])
	data := b[16:]
	if int64(kept) > int64(len(data)) {
		return f, errBlock
	}
	sec, nsec := i.tick.split(stamp)
	if sec += i.offset; sec < 0 || sec > lastSecond {
		return f, errors.New("it is damaged: a packet of another age")
	}
	f = Frame{Time: time.Unix(sec, nsec), Interface: i.name, Link: i.link, Data: data[:kept]}
	f.Length = max(int(min(length, 1<<30)), int(kept))
	return f, nil
}

// simple reads a packet without interface and time.
func (p *pcapng) simple(b []byte) (f Frame, err error) {
	if len(b) < 4 {
		return f, errBlock
	}
	i, err := p.at(0)
	if err != nil {
		return f, err
	}
	length := p.order.Uint32(b)
	kept := min(length, uint32(len(b)-4))
	if i.snaplen > 0 {
		kept = min(kept, i.snaplen)
	}
	return Frame{Time: time.Unix(0, 0), Interface: i.name, Link: i.link, Data: b[4 : 4+kept], Length: max(int(min(length, 1<<30)), int(kept))}, nil
}

func (p *pcapng) at(n uint32) (*pcapngInterface, error) {
	if int64(n) >= int64(len(p.interfaces)) {
		return nil, fmt.Errorf("it is damaged: a packet of interface %d, there are %d", n, len(p.interfaces))
	}
	return &p.interfaces[n], nil
}
