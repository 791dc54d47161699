package sniff

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// tcpdump finds the program: installed, or unpacked by .ci/peers with its
// libraries. Without it the test is skipped, but not under make test, which
// fetches it.
func tcpdump(t *testing.T) (bin string, env []string) {
	t.Helper()
	if bin, err := exec.LookPath("tcpdump"); err == nil {
		return bin, os.Environ()
	}
	root := filepath.Join("..", "..", "..", ".peers", "tcpdump")
	bin = filepath.Join(root, "usr", "bin", "tcpdump")
	if _, err := os.Stat(bin); err == nil {
		libraries, err := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-gnu*"))
		if err != nil {
			t.Fatal(err)
		}
		return bin, append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	}
	if os.Getenv("HOLDFAST_REQUIRE") != "" {
		t.Fatal("this test needs tcpdump (run .ci/peers)")
	}
	t.Skip("tcpdump is not installed")
	return "", nil
}

// asTcpdump says of a sound packet what tcpdump does. It knows one form of the
// checksum of version 3 over IPv4 alone.
func asTcpdump(a *Advert) string {
	s := fmt.Sprintf("%v > %v: VRRPv%d, Advertisement, vrid %d, prio %d, ", a.Source, a.Destination, a.Version, a.VRID, a.Priority)
	if a.Version == vrrp.Version2 {
		kind := map[uint8]string{vrrp.AuthNone: "none", vrrp.AuthSimple: "simple"}[a.AuthType]
		s += fmt.Sprintf("authtype %s, intvl %ds", kind, a.Interval/time.Second)
	} else {
		s += fmt.Sprintf("intvl %dcs", a.Interval/vrrp.IntervalStep)
	}
	s += fmt.Sprintf(", length %d, ", a.Length)
	if a.Checksum == ChecksumRFC9568 {
		s += "(bad vrrp cksum), "
	}
	var list []string
	for _, x := range a.Addresses {
		list = append(list, x.String())
	}
	if len(list) > 1 {
		s += fmt.Sprintf("addrs(%d): ", len(list))
	} else {
		s += "addrs: "
	}
	s += strings.Join(list, ",")
	if a.AuthType == vrrp.AuthSimple {
		s += fmt.Sprintf(" auth %q", password(a))
	}
	return s
}

// TestAsTcpdump reads captures of each format with tcpdump, too.
func TestAsTcpdump(t *testing.T) {
	bin, env := tcpdump(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, capture := range captures() {
		if name == "faults.pcap" {
			continue // tcpdump ends with the first fault of a packet
		}
		t.Run(name, func(t *testing.T) {
			var want []string
			frames, err := readAll(capture)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				if a, ok := DecodeAdvert(f); ok && !a.has(KindCARP) {
					want = append(want, f.Time.UTC().Format("15:04:05.000000 ")+asTcpdump(&a))
				}
			}
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, capture, 0o644); err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			// As this user: the one that the package makes for it is not there.
			c := exec.Command(bin, "-n", "-vv", "-Z", me.Username, "-r", file)
			c.Env, c.Stderr = append(env, "TZ=UTC"), &stderr
			out, err := c.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &stderr)
			}
			if diff := cmp.Diff(want, tcpdumpLines(string(out))); diff != "" {
				t.Errorf("-sniff +tcpdump:\n%s", diff)
			}
		})
	}
}

// tcpdumpLines cuts what tcpdump says down to time, addresses and VRRP.
func tcpdumpLines(out string) (list []string) {
	for line := range strings.Lines(strings.ReplaceAll(out, "\n    ", " ")) {
		words := strings.Fields(line)
		at := -1
		for n, w := range words {
			if w == ">" {
				at = n
			}
		}
		if at < 1 || at+2 >= len(words) || !strings.HasPrefix(words[at+2], "VRRPv") || strings.Contains(line, "addrs(7)") {
			continue // of CARP it makes an advert with 7 addresses
		}
		words = append(words[:1:1], words[at-1:]...)
		for n, w := range words {
			if w == "cksum" {
				words[n+1] = ")," // whichever it should be
			}
		}
		list = append(list, strings.ReplaceAll(strings.Join(words, " "), "cksum ),", "cksum),"))
	}
	return list
}
