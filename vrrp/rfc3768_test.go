package vrrp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// The rules of RFC 3768, version 2, where they differ from RFC 9568. The names
// are explained in rfc9568_packet_test.go.

// authenticated sets the Authentication Data of a packet as type 1.
func authenticated(password string) func(*packet) {
	return func(p *packet) {
		p.AuthType = AuthSimple
		p.Auth = [8]byte{}
		copy(p.Auth[:], password)
	}
}

func password(s string) func(*Config) { return func(c *Config) { c.Password = s } }

// Section 5.3.1: the version is 2, of IPv4 alone.
func TestRFC3768_V1_Version(t *testing.T) {
	if s := firstAdvert(t, web(v2)); s.Payload[0] != 0x21 {
		t.Errorf("byte 0 is %#02x, want 0x21", s.Payload[0])
	}
	for name, c := range map[string]Config{"IPv6": six(v2), "both families": dual(v2)} {
		if err := c.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Section 5.3.6: the authentication type is 0 unless a password is set.
func TestRFC3768_V2_AuthType(t *testing.T) {
	for kind, c := range map[byte]Config{0: web(v2), 1: web(v2, password("abc"))} {
		if s := firstAdvert(t, c); s.Payload[4] != kind {
			t.Errorf("authentication type %d, want %d", s.Payload[4], kind)
		}
	}
}

// Section 5.3.7: the interval is a byte of whole seconds, 1 to 255.
func TestRFC3768_V3_Interval(t *testing.T) {
	for d, want := range map[time.Duration]byte{second: 1, 255 * second: 255} {
		if s := firstAdvert(t, web(v2, every(d))); s.Payload[5] != want {
			t.Errorf("interval %v is sent as %d, want %d", d, s.Payload[5], want)
		}
	}
	for _, d := range []time.Duration{0, second / 2, 3 * second / 2, 256 * second} {
		c := web(v2, every(d))
		if err := c.Validate(); err == nil {
			t.Errorf("interval %v: accepted", d)
		}
	}
}

// Section 5.3.10: 8 bytes of Authentication Data follow the list always; of
// type 0 they are zero, and ignored.
func TestRFC3768_V5_AuthenticationData(t *testing.T) {
	b := firstAdvert(t, web(v2, vips("192.0.2.100/24", "192.0.2.101/24"))).Payload
	if len(b) != 8+2*4+8 || !bytes.Equal(b[16:], make([]byte, 8)) {
		t.Errorf("%d bytes with the trailer % x, want 24 and zeros", len(b), b[16:])
	}
	te := newTest(t, web(v2))
	te.advert(peer, 200, version2, func(p *packet) { p.Auth = [8]byte{1, 2, 3} })
	if got := te.router().Master; got != peer {
		t.Errorf("master %v, want %v", got, peer)
	}
}

// RFC 2338 section 5.3.6: a password is padded with zeros, and all 8 bytes must
// be the same.
func TestRFC3768_V16_Password(t *testing.T) {
	for word, want := range map[string]string{"abc": "abc\x00\x00\x00\x00\x00", "abcdefgh": "abcdefgh"} {
		b := firstAdvert(t, web(v2, password(word))).Payload
		if got := string(b[len(b)-8:]); got != want {
			t.Errorf("password %q is sent as %q", word, got)
		}
	}
	c := web(v2, password("abcdefghi"))
	if err := c.Validate(); err == nil {
		t.Error("9 bytes: accepted")
	}
	for word, want := range map[string]bool{"abc": true, "abcd": false, "ab": false, "": false} {
		te := newTest(t, web(v2, password("abc")))
		te.advert(peer, 200, version2, authenticated(word))
		if got := te.router().Master == peer; got != want {
			t.Errorf("password %q accepted: %t, want %t", word, got, want)
		}
	}
}

// Sections 5.3.1 to 5.3.10: the whole packet.
func TestWholePacketV2(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no authentication", web(v2), "21 33 96 01 00 01 ____ c0000264 0000000000000000"},
		{"longest interval", web(v2, every(255*second)), "21 33 96 01 00 ff ____ c0000264 0000000000000000"},
		{"short password", web(v2, password("abc")), "21 33 96 01 01 01 ____ c0000264 6162630000000000"},
		{"full password", web(v2, password("abcdefgh")), "21 33 96 01 01 01 ____ c0000264 6162636465666768"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newMaster(t, tt.cfg)
			got := sends(te, tt.cfg.AdvertInterval)
			if len(got) != 1 {
				t.Fatalf("%d adverts, want 1", len(got))
			}
			b := hex.EncodeToString(got[0].Payload)
			b = b[:12] + "____" + b[16:]
			if want := strings.ReplaceAll(tt.want, " ", ""); b != want {
				t.Errorf("advert\n got %s\nwant %s", b, want)
			}
		})
	}
}

// Section 5.3.8: the checksum covers the message with its Authentication Data
// and no pseudo-header, and no other form is accepted.
func TestRFC3768_V4_Checksum(t *testing.T) {
	p := advertFrom(peer, 100, version2, authenticated("abcdefgh"))
	b := p.event(t).Payload
	if !validChecksum(b, formMessage, peer, GroupIPv4) {
		t.Error("the checksum does not cover exactly the message")
	}
	b[len(b)-1] ^= 1
	if validChecksum(b, formMessage, peer, GroupIPv4) {
		t.Error("the checksum does not cover the Authentication Data")
	}
	b[len(b)-1] ^= 1
	b[6], b[7] = 0, 0
	setChecksum(b, formPseudo, peer, GroupIPv4)
	var got Packet
	if reason, ok := got.Parse(b, peer, GroupIPv4); ok || reason != DropChecksum {
		t.Errorf("with pseudo-header: %v, want %v", reason, DropChecksum)
	}
}

// Section 6.1: Skew_Time is (256 - Priority) / 256 seconds at any interval, and
// Master_Down_Interval is computed from the own interval.
func TestRFC3768_V11_DownInterval(t *testing.T) {
	for _, tt := range []struct {
		priority uint8
		interval time.Duration
		want     time.Duration
	}{
		{100, second, 3_609_375_000},
		{100, 5 * second, 15_609_375_000},
		{254, 255 * second, 765_007_812_500},
	} {
		te := newTest(t, web(v2, prio(tt.priority), every(tt.interval)))
		te.advance(tt.want - 1)
		te.wantNone()
		te.advance(1)
		te.wantState("web", StateMaster)
	}
	// Priority 0 sets the timer to Skew_Time, which does not scale.
	te := newTest(t, web(v2, every(5*second)))
	te.advert(peer, 200, version2, interval(5*second))
	te.advert(peer, 0, version2, interval(5*second))
	te.wantDue(skew150)
}

// Section 6.4.3: a master discards a weaker advert without an answer.
func TestRFC3768_V12_LosingAdvertIsNotAnswered(t *testing.T) {
	te := newMaster(t, web(v2))
	te.advert(peer, 100, version2)
	te.wantOnly("advert prio")
	te.wantState("web", StateMaster)
	te.advert(peer, 0, version2) // this one is answered in both versions
	te.wantOnly("advert prio", "web: advert prio=150 interval=1s to=224.0.0.18")
}

// Section 6.4: the election is the same as in version 3.
func TestElectionV2(t *testing.T) {
	te := newMaster(t, web(v2))
	te.advert(low, 150, version2)
	te.wantState("web", StateMaster)
	te.advert(peer, 150, version2)
	te.wantState("web", StateBackup)
	te.wantDue(down150)
	te.adverts(20*second, second, peer, 150, version2)
	te.wantState("web", StateBackup)
	te.adverts(down150, second, peer, 149, version2)
	te.wantState("web", StateMaster)
}

// Section 7.1: another list of addresses is told and not dropped, as
// keepalived does.
func TestRFC3768_V9_OtherAddressesAreTold(t *testing.T) {
	te := newTest(t, web(v2))
	te.advert(peer, 200, version2, carrying("192.0.2.101"))
	te.want("web: notice: a peer advertises other addresses: only here: [192.0.2.100]; only there: [192.0.2.101]; if it is of another cluster, one of the two needs another vrid")
	te.wantDue(down150)
}

// A reload changes the interval that a version 2 backup lives by: there is none
// to learn.
func TestReloadedIntervalV2(t *testing.T) {
	te := newTest(t, web(v2))
	te.advert(peer, 200, version2)
	te.configure(web(v2, every(5*second)))
	te.wantDue(15*second + skew150)
	te.adverts(60*second, 5*second, peer, 200, version2, interval(5*second))
	te.wantState("web", StateBackup)

	te = newMaster(t, web(v2))
	te.configure(web(v2, every(5*second)))
	te.advert(peer, 200, version2, interval(5*second))
	te.wantState("web", StateBackup)
	te.wantDue(15*second + skew150)
}

// Section 7.1: the length counts the Authentication Data.
func TestRFC3768_V6_Length(t *testing.T) { refused(t, "V6") }

// Section 7.1: authentication type and data must be the node's own.
func TestRFC3768_V7_Authentication(t *testing.T) { refused(t, "V7") }

// Section 7.1: the interval must be the node's own.
func TestRFC3768_V8_Interval(t *testing.T) { refused(t, "V8") }

// Section 7.1: an owner discards what it receives while it is master. When it
// leaves it must hear its successor.
func TestRFC3768_V10_OwnerDiscards(t *testing.T) {
	refused(t, "V10")
	te := newMaster(t, web(v2, prio(255)))
	te.do(&Stop{})
	te.advance(skew(Version2, 200, second))
	te.advert(peer, 200, version2)
	te.lines = nil
	te.advance(lingered)
	te.want("web: remove 192.0.2.100/24 eth0", "web: hook init")
}
