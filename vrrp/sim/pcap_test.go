package sim

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// capture writes frames 1.5 s apart.
func capture(t *testing.T, frames ...Frame) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewPcapWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for n, f := range frames {
		if err := w.Write(plainStart.Add(time.Duration(n)*1500*time.Millisecond), f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func pcapFrames() []Frame {
	r := Router9568()
	frames := NewPlain(plainOf(plain1, 100, r)).speak(100)
	frames = append(frames, NewPlain(plainOf(plain1v6, 150, r)).speak(0)...)
	return append(frames, NewPlain(plainOf(plain2, 100, Keepalived(), plainV2, plainWord("secret"))).speak(100)...)
}

func TestPcapBytes(t *testing.T) {
	head := "4d3cb2a1 0200 0400 00000000 00000000 ffff0000 65000000"
	want := []string{
		head,
		"a5355769 00000000 20000000 20000000",
		"45c0 0020 0000 4000 ff 70 d899 c0000201 e0000012",
		"31 33 64 01 0064 a802 c0000264",
		"a6355769 0065cd1d 50000000 50000000",
		"6c000000 0028 70 ff fe800000000000000000000000000001 ff020000000000000000000000000012",
		"31 33 00 02 0064 a1fd fe800000000000000000000000000100 20010db8000000000000000000000100",
		"a8355769 00000000 28000000 28000000",
		"45c0 0028 0000 4000 ff 70 d890 c0000202 e0000012",
		"21 33 64 01 01 01 7b19 c0000264 7365637265740000",
	}
	got := capture(t, pcapFrames()...)
	wantBytes, err := hex.DecodeString(strings.ReplaceAll(strings.Join(want, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(hex.Dump(wantBytes), hex.Dump(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPcapRefuses(t *testing.T) {
	w, err := NewPcapWriter(&bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		at   time.Time
		f    Frame
		want string
	}{
		{plainStart, Frame{Source: plain1, Destination: plainGroup6}, "not two addresses of one family"},
		{plainStart, Frame{}, "not two addresses of one family"},
		{plainStart, Frame{Source: plain1, Destination: plain2, Payload: make([]byte, 65536)}, "more than an IP packet holds"},
		{time.Time{}, Frame{Source: plain1, Destination: plain2}, "it cannot tell the time"},
		{time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC), Frame{Source: plain1, Destination: plain2}, "it cannot tell the time"},
	}
	for _, tt := range tests {
		if err := w.Write(tt.at, tt.f); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

// limited is a disk with room for so many bytes.
type limited int

var errFull = errors.New("no space left on device")

func (l *limited) Write(b []byte) (int, error) {
	if *l -= limited(len(b)); *l < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestPcapFullDisk(t *testing.T) {
	for room := range limited(2) {
		left := room * 24
		w, err := NewPcapWriter(&left)
		if err == nil {
			err = w.Write(plainStart, Frame{Source: plain1, Destination: plain2})
		}
		if !errors.Is(err, errFull) {
			t.Errorf("room for %d heads: error %v", room, err)
		}
	}
}

// reader finds a program that reads captures: installed, or unpacked by .ci/peers
// with its libraries. Without it the test is skipped, but for tcpdump under make
// test, which fetches that.
func reader(t *testing.T, program string) (bin string, env []string) {
	t.Helper()
	if bin, err := exec.LookPath(program); err == nil {
		return bin, nil
	}
	root := filepath.Join("..", "..", ".peers", program)
	bin = filepath.Join(root, "usr", "bin", program)
	if _, err := os.Stat(bin); err == nil {
		libraries, err := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-gnu*"))
		if err != nil {
			t.Fatal(err)
		}
		return bin, append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	}
	if os.Getenv("HOLDFAST_REQUIRE") != "" && program == "tcpdump" {
		t.Fatal("this test needs tcpdump (run .ci/peers)")
	}
	t.Skipf("%s, which reads captures, is not installed", program)
	return "", nil
}

// readCapture lets a program read a capture.
func readCapture(t *testing.T, frames []Frame, program string, args ...string) []string {
	t.Helper()
	bin, env := reader(t, program)
	file := filepath.Join(t.TempDir(), "adverts.pcap")
	if err := os.WriteFile(file, capture(t, frames...), 0o644); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(bin, append(args, "-r", file)...)
	cmd.Env = env
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, &stderr)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestPcapInTcpdump(t *testing.T) {
	frames := append(pcapFrames()[1:], NewPlain(plainOf(plain1, 100, FRR())).speak(100)...)
	me, err := user.Current() // the user that tcpdump's package makes for it is not there
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(readCapture(t, frames, "tcpdump", "-Z", me.Username, "-n", "-vv", "--nano", "-tttt"), " ")
	for _, want := range []string{
		"hlim 255", "fe80::1 > ff02::12", "VRRPv3, Advertisement, vrid 51, prio 0", "addrs(2): fe80::100,2001:db8::100",
		"ttl 255", "proto VRRP (112)", "192.0.2.2 > 224.0.0.18", "VRRPv2, Advertisement, vrid 51, prio 100, authtype simple, intvl 1s", `auth "secret"`,
		"192.0.2.1 > 224.0.0.18", ":06.500000000",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("tcpdump does not say %q", want)
		}
	}
	if strings.Contains(got, "bad") {
		t.Error("tcpdump finds something bad")
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestPcapInTshark(t *testing.T) {
	var addresses []netip.Addr
	for n := range 255 {
		addresses = append(addresses, netip.AddrFrom4([4]byte{10, 1, byte(n), 7}))
	}
	frames := append(pcapFrames(), NewPlain(plainOf(plain1, 100, Router9568(), plainWith(addresses...))).speak(255)...)
	got := readCapture(t, frames, "tshark", "-n", "-o", "ip.check_checksum:TRUE", "-o", "vrrp.v3_checksum_as_in_v2:TRUE",
		"-T", "fields", "-E", "separator=/s", "-E", "occurrence=f", "-e", "frame.time_epoch", "-e", "ip.checksum.status", "-e", "vrrp.checksum.status",
		"-e", "vrrp.version", "-e", "vrrp.prio", "-e", "vrrp.addr_count", "-e", "frame.len", "-e", "_ws.malformed")
	for n, line := range got {
		got[n] = strings.TrimSpace(strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"1767323045.000000000 1 1 3 100 1 32",
		"1767323046.500000000 1 3 0 2 80",
		"1767323048.000000000 1 1 2 100 1 40",
		"1767323049.500000000 1 1 3 255 255 1048",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
