package vip

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestAppendChangeRoundTrip(t *testing.T) {
	tests := []struct {
		name    string
		address Address
		want    addrInfo
	}{
		{"ipv4", Address{Prefix: netip.MustParsePrefix("192.0.2.100/24")}, addrInfo{}},
		{"ipv4 lease", Address{Prefix: netip.MustParsePrefix("192.0.2.100/32"), ValidLifetime: 2 * time.Second}, addrInfo{valid: 2 * time.Second}},
		{"ipv6 host", Address{Prefix: netip.MustParsePrefix("2001:db8::1/128")}, addrInfo{}},
		{"ipv6 link-local", Address{Prefix: netip.MustParsePrefix("fe80::1/64")}, addrInfo{addrState: addrState{scope: unix.RT_SCOPE_LINK}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := appendChange([]byte{1, 2, 3, 4}, 9, 7, Change{Replace, tt.address})[4:]
			if len(b)%4 != 0 {
				t.Errorf("%d bytes: not aligned", len(b))
			}
			var got []message
			for m := range messages(b) {
				got = append(got, m)
			}
			if len(got) != 1 || got[0].kind != unix.RTM_NEWADDR || got[0].seq != 9 {
				t.Fatalf("messages %+v", got)
			}
			if want := uint16(unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_REPLACE); got[0].flags != want {
				t.Errorf("flags %#x, want %#x", got[0].flags, want)
			}
			a, ok := parseAddr(got[0].data)
			tt.want.index, tt.want.Prefix, tt.want.Proto = 7, tt.address.Prefix, Proto
			if !ok || a != tt.want {
				t.Errorf("parsed %+v, want %+v", a, tt.want)
			}
		})
	}
}

func TestAppendChangeFlags(t *testing.T) {
	host := Address{Prefix: netip.MustParsePrefix("2001:db8::1/128")}
	tests := []struct {
		verb Verb
		kind uint16
		want uint16
	}{
		{Create, unix.RTM_NEWADDR, unix.NLM_F_CREATE | unix.NLM_F_EXCL},
		{Replace, unix.RTM_NEWADDR, unix.NLM_F_CREATE | unix.NLM_F_REPLACE},
		{Remove, unix.RTM_DELADDR, 0},
	}
	for _, tt := range tests {
		t.Run(tt.verb.String(), func(t *testing.T) {
			for m := range messages(appendChange(nil, 1, 7, Change{tt.verb, host})) {
				if m.kind != tt.kind || m.flags != tt.want|unix.NLM_F_REQUEST {
					t.Errorf("type %d, flags %#x", m.kind, m.flags)
				}
				attrs := map[uint16]string{}
				for kind, value := range attributes(m.data[unix.SizeofIfAddrmsg:]) {
					attrs[kind] = hex.EncodeToString(value)
				}
				const ip = "20010db8000000000000000000000001"
				want := map[uint16]string{unix.IFA_LOCAL: ip, unix.IFA_ADDRESS: ip}
				if tt.verb != Remove {
					want[ifaProto] = "48"
					flags := binary.NativeEndian.AppendUint32(nil, unix.IFA_F_NODAD|unix.IFA_F_NOPREFIXROUTE)
					want[unix.IFA_FLAGS] = hex.EncodeToString(flags)
					want[unix.IFA_CACHEINFO] = "00000000" + "ffffffff" + "0000000000000000"
				}
				if diff := cmp.Diff(want, attrs); diff != "" {
					t.Errorf("attributes (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	errno := func(e unix.Errno) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(-int32(e))) }
	header := make([]byte, unix.NLMSG_HDRLEN)
	explained := slices.Concat(errno(unix.EACCES), header, appendAttr(nil, unix.NLMSGERR_ATTR_MSG, []byte("IPv6 is disabled\x00")))
	const tlvs = unix.NLM_F_ACK_TLVS | unix.NLM_F_CAPPED
	tests := []struct {
		name string
		m    message
		is   error
		want string
	}{
		{"success", message{data: slices.Concat(errno(0), header)}, nil, ""},
		{"errno", message{data: slices.Concat(errno(unix.EPERM), header)}, unix.EPERM, "operation not permitted"},
		{"explained", message{flags: tlvs, data: explained}, unix.EACCES, "permission denied (IPv6 is disabled)"},
		{"explanation cut", message{flags: tlvs, data: explained[:21]}, unix.EACCES, "permission denied"},
		{"too short", message{data: []byte{1}}, errUnanswered, errUnanswered.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.m.answer()
			if !errors.Is(err, tt.is) {
				t.Errorf("error %v, want %v", err, tt.is)
			}
			if err != nil && err.Error() != tt.want {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

func TestMeaning(t *testing.T) {
	tests := []struct {
		verb Verb
		err  error
		want error
	}{
		{Create, nil, nil},
		{Create, unix.EEXIST, ErrExists},
		{Create, unix.ENODEV, ErrNoInterface},
		{Remove, unix.ENODEV, ErrNoInterface},
		{Remove, unix.EADDRNOTAVAIL, ErrNotFound},
		{Remove, unix.ENXIO, ErrNotFound},
		{Create, unix.ENXIO, unix.ENXIO},
		{Create, unix.EADDRNOTAVAIL, unix.EADDRNOTAVAIL},
		{Remove, unix.EEXIST, unix.EEXIST},
		{Replace, unix.EPERM, unix.EPERM},
	}
	for _, tt := range tests {
		if got := meaning(tt.verb, tt.err); !errors.Is(got, tt.want) {
			t.Errorf("%v: %v means %v, want %v", tt.verb, tt.err, got, tt.want)
		}
	}
}

// What the kernel could never send must not hang or panic.
func FuzzParse(f *testing.F) {
	f.Add(appendChange(nil, 1, 2, Change{Create, Address{Prefix: netip.MustParsePrefix("192.0.2.1/24")}}))
	f.Add(appendChange(nil, 1, 2, Change{Replace, Address{Prefix: netip.MustParsePrefix("2001:db8::1/128")}}))
	f.Add(binary.NativeEndian.AppendUint32(nil, 0xffffffff))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for m := range messages(b) {
			total += unix.NLMSG_HDRLEN + len(m.data)
			_ = m.answer()
			if a, ok := parseAddr(m.data); ok && !a.Prefix.IsValid() {
				t.Errorf("parsed %+v", a)
			}
			for range attributes(m.data) {
				total++
			}
		}
		if total > 2*len(b) {
			t.Errorf("%d bytes of messages in %d bytes", total, len(b))
		}
	})
}

func TestSendAll(t *testing.T) {
	broken := errors.New("message too long")
	tests := []struct {
		name   string
		n      int
		answer []any // an int is a number sent, else an error; the last one stays
		failed int
		err    error
		pauses int
	}{
		{name: "at once", n: 3, answer: []any{3}},
		{name: "in pieces", n: 3, answer: []any{1, 1, 1}},
		{name: "interrupted", n: 2, answer: []any{unix.EINTR, 2}},
		{name: "queue full for a while", n: 3, answer: []any{1, unix.ENOBUFS, unix.EAGAIN, 2}, pauses: 2},
		{name: "one bad frame", n: 3, answer: []any{1, broken, 1}, failed: 1, err: broken},
		{name: "interface down", n: 3, answer: []any{1, unix.ENETDOWN}, failed: 2, err: unix.ENETDOWN},
		{name: "one bad frame, and then the interface down", n: 4, answer: []any{1, broken, unix.ENETDOWN}, failed: 3, err: broken},
		{name: "queue full for ever", n: 3, answer: []any{unix.ENOBUFS}, failed: 3, err: unix.ENOBUFS, pauses: int(sendPatience / sendPause)},
		{name: "nothing to send", n: 0, answer: []any{broken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls, pauses := 0, 0
			failed, err := sendAll(tt.n, func(from int) (int, error) {
				a := tt.answer[min(calls, len(tt.answer)-1)]
				calls++
				if n, ok := a.(int); ok {
					return min(n, tt.n-from), nil
				}
				return 0, a.(error)
			}, func() { pauses++ })
			if failed != tt.failed || !errors.Is(err, tt.err) || pauses != tt.pauses {
				t.Errorf("%d failed, %v, %d pauses; want %d, %v, %d", failed, err, pauses, tt.failed, tt.err, tt.pauses)
			}
		})
	}
}

// What is parsed must outlive the buffer it came in: the next answer overwrites
// that, and announcements would carry a MAC address that nobody has.
func TestParseLinkKeepsNothingOfTheBuffer(t *testing.T) {
	mac := net.HardwareAddr{0x02, 0, 0x5e, 0, 0, 0x01}
	data := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(data[4:], 7)
	data = appendAttr(data, unix.IFLA_IFNAME, []byte("eth0\x00"))
	data = appendAttr(data, unix.IFLA_ADDRESS, mac)
	l, ok := parseLink(data)
	if !ok {
		t.Fatal("the link was not understood")
	}
	clear(data)
	if diff := cmp.Diff(LinkState{Name: "eth0", Index: 7, MAC: mac}, l.LinkState); diff != "" {
		t.Errorf("link after its buffer was used again (-want +got):\n%s", diff)
	}
}

// The kernel tells of what happens on the air by a message that looks as if the link
// had lost its MAC address and its MTU, and had a carrier whatever its state.
func TestParseLinkLeavesWirelessEvents(t *testing.T) {
	data := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(data[4:], 7)
	binary.NativeEndian.PutUint32(data[8:], unix.IFF_UP|unix.IFF_LOWER_UP)
	data = appendAttr(data, unix.IFLA_IFNAME, []byte("wlan0\x00"))
	if _, ok := parseLink(data); !ok {
		t.Fatal("the link was not understood, so that this tests nothing")
	}
	data = appendAttr(data, unix.IFLA_WIRELESS, make([]byte, 8))
	if l, ok := parseLink(data); ok {
		t.Errorf("taken for the state of a link: %+v", l.LinkState)
	}
}
