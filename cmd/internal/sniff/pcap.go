package sniff

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Of the formats. A reader of anything else than a capture file must not wait
// for gigabytes, so sizes beyond these are damage.
const (
	maxPacket = 1 << 18 // what tcpdump captures of a packet at most
	maxBlock  = 1 << 24 // of pcapng
)

// ErrCut is in the error of [File.Next] when a file ends in the middle of a
// packet, as when the program that wrote it was killed.
var ErrCut = errors.New("the file ends in the middle of a packet")

// File reads captured frames, in the formats pcap and pcapng, also compressed
// with gzip.
type File struct {
	r interface {
		next() (Frame, error)
	}
}

// NewFile reads the head of a capture file.
func NewFile(r io.Reader) (*File, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(2)
	if err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read it as gzip: %w", cut(err))
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	head, err := b.Peek(4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return nil, errors.New("it is empty")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, cut(err)
	case len(head) < 4:
		return nil, errNoCapture
	}
	if binary.LittleEndian.Uint32(head) == blockSection {
		return &File{&pcapng{r: b}}, nil
	}
	p, err := newPcap(b)
	if err != nil {
		return nil, err
	}
	return &File{p}, nil
}

// Next returns the next frame, whose data are valid until the next call. At the
// end of the file the error is io.EOF; after any error there is no next frame.
func (f *File) Next() (Frame, error) { return f.r.next() }

var errNoCapture = errors.New("it is neither a pcap nor a pcapng file")

// pcap reads the classic format.
type pcap struct {
	r     io.Reader
	order binary.ByteOrder
	tick  time.Duration
	link  Link
	buf   []byte
}

func newPcap(r io.Reader) (*pcap, error) {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return nil, err
	}
	p := &pcap{r: r}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head[:]) {
		case 0xa1b2c3d4:
			p.order, p.tick = order, time.Microsecond
		case 0xa1b23c4d:
			p.order, p.tick = order, time.Nanosecond
		}
	}
	if p.order == nil {
		return nil, errNoCapture
	}
	if _, err := io.ReadFull(r, head[4:]); err != nil {
		return nil, fmt.Errorf("%w: there is not even a whole head", cut(err))
	}
	// The upper bits tell of the frame check sequence.
	p.link = Link(p.order.Uint32(head[20:]) & 0xffff)
	if !p.link.known() {
		return nil, unknownLink(p.link)
	}
	return p, nil
}

// cut makes ErrCut of the end of a file.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

func unknownLink(l Link) error {
	return fmt.Errorf("its frames are of link type %d: only Ethernet, Linux cooked, loopback and raw IP are read", l)
}

func (p *pcap) next() (f Frame, err error) {
	var head [16]byte
	if n, err := io.ReadFull(p.r, head[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return f, io.EOF
		}
		return f, cut(err)
	}
	kept, length := p.order.Uint32(head[8:]), p.order.Uint32(head[12:])
	if kept > maxPacket {
		return f, fmt.Errorf("it is damaged: a packet of %d bytes", kept)
	}
	p.buf = grow(p.buf, int(kept))
	if _, err := io.ReadFull(p.r, p.buf); err != nil {
		return f, cut(err)
	}
	at := time.Unix(int64(p.order.Uint32(head[:])), 0).Add(time.Duration(p.order.Uint32(head[4:])) * p.tick)
	return Frame{Time: at, Link: p.link, Data: p.buf, Length: max(int(min(length, 1<<30)), int(kept))}, nil
}

// grow returns a buffer of a size, the same one if it is large enough.
func grow(b []byte, size int) []byte {
	if cap(b) < size {
		return make([]byte, size)
	}
	return b[:size]
}
