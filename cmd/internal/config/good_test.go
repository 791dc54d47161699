package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// compare makes cmp look at netip values as what they print, and at what a text
// says rather than at how.
var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.IgnoreFields(Config{}, "Hash"),
}

const oneInstance = `
[[instance]]
name = "web"
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]
`

func TestHash(t *testing.T) {
	a, b, c := mustParse(t, oneInstance), mustParse(t, oneInstance), mustParse(t, oneInstance+"# more\n")
	if a.Hash != b.Hash || a.Hash == c.Hash || len(a.Hash) != 16 {
		t.Errorf("hashes %q, %q of the same text, %q of another", a.Hash, b.Hash, c.Hash)
	}
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, _, err := Parse(caseFile, []byte(text))
	if err != nil {
		t.Fatalf("Parse:\n%v\nof:\n%s", err, text)
	}
	return c
}

func defaultInstance() vrrp.Config {
	return vrrp.Config{
		Name:           "web",
		Interface:      "eth0",
		VRID:           51,
		Version:        vrrp.Version3,
		Priority:       100,
		Addresses:      []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		AdvertInterval: time.Second,
		Preempt:        true,
		Announce:       vrrp.Announce{Repeat: 5, Interval: 200 * time.Millisecond, Refresh: time.Minute},
	}
}

func TestDefaults(t *testing.T) {
	got := mustParse(t, oneInstance+`
[[check]]
name = "nginx"
http = "http://127.0.0.1/healthz"
[[notify]]
exec = ["/etc/holdfast/notify.sh"]
`)
	in := defaultInstance()
	in.Lease = 2 * time.Second
	in.Checks = []vrrp.Check{{Name: "nginx", OnFailure: vrrp.Demote}}
	want := &Config{
		File:      caseFile,
		Node:      Node{LogLevel: "info", LogFormat: "auto", RunDir: "/run/holdfast"},
		Control:   Control{Socket: "/run/holdfast/holdfast.sock", Group: "adm"},
		Instances: []vrrp.Config{in},
		VIP:       map[string]vip.Config{"web": {Name: "web", ARP: vip.ARPRequest}},
		Checks: []healthcheck.Config{{
			Name:     "nginx",
			HTTP:     &healthcheck.HTTP{URL: "http://127.0.0.1/healthz", Status: []healthcheck.StatusRange{{From: 200, To: 399}}},
			Interval: time.Second,
			Timeout:  time.Second,
			Retry:    50 * time.Millisecond,
			Fall:     2,
			Rise:     2,
		}},
		Hooks: []notify.Config{{Exec: []string{"/etc/holdfast/notify.sh"}, Timeout: 30 * time.Second}},
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestInstance(t *testing.T) {
	tests := []struct {
		name  string
		lines string
		want  func(*vrrp.Config)
	}{
		{"nothing more", "", func(*vrrp.Config) {}},
		{"priority lowest", "priority = 32", func(c *vrrp.Config) { c.Priority = 32 }},
		{"priority owner", "priority = 255", func(c *vrrp.Config) { c.Priority = 255 }},
		{"interval shortest", `advert_interval = "10ms"`, func(c *vrrp.Config) { c.AdvertInterval = 10 * time.Millisecond }},
		{"interval longest", `advert_interval = "40.95s"`, func(c *vrrp.Config) { c.AdvertInterval = 40950 * time.Millisecond }},
		{"interval version 2", "version = 2\nadvert_interval = \"4m15s\"", func(c *vrrp.Config) {
			c.Version, c.AdvertInterval = vrrp.Version2, 255*time.Second
		}},
		{"preempt true", "preempt = true", func(*vrrp.Config) {}},
		{"preempt false", "preempt = false", func(c *vrrp.Config) { c.Preempt = false }},
		{"preempt delay", `preempt = "1m30s"`, func(c *vrrp.Config) { c.PreemptDelay = 90 * time.Second }},
		{"startup delay", `startup_delay = "5s"`, func(c *vrrp.Config) { c.StartupDelay = 5 * time.Second }},
		{"unicast", "peers = [\"192.0.2.2\", \"192.0.2.3\"]\nsource = \"192.0.2.1\"", func(c *vrrp.Config) {
			c.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")}
			c.Source = netip.MustParseAddr("192.0.2.1")
		}},
		{"owner sends from its address", "priority = 255\nsource = \"192.0.2.100\"", func(c *vrrp.Config) {
			c.Priority, c.Source = 255, netip.MustParseAddr("192.0.2.100")
		}},
		{"checksum rfc9568", `checksum = "rfc9568"`, func(c *vrrp.Config) { c.Checksum = vrrp.ChecksumRFC9568 }},
		{"checksum pseudo-header", `checksum = "pseudo-header"`, func(c *vrrp.Config) { c.Checksum = vrrp.ChecksumPseudoHeader }},
		{"checksum auto", `checksum = "auto"`, func(*vrrp.Config) {}},
		{"what is done anyway", "lease = \"auto\"\naccept = true\nvirtual_mac = false", func(*vrrp.Config) {}},
		{"lease off", `lease = "off"`, func(*vrrp.Config) {}},
		{"lease in seconds", `lease = 3`, func(c *vrrp.Config) { c.Lease = 3 * time.Second }},
		{"auth", "version = 2\nauth = { type = \"pass\", password = \"12345678\" }", func(c *vrrp.Config) {
			c.Version, c.Password = vrrp.Version2, "12345678"
		}},
		{"announce", `announce = { repeat = 1, interval = "10ms", refresh = "0s" }`, func(c *vrrp.Config) {
			c.Announce = vrrp.Announce{Repeat: 1, Interval: 10 * time.Millisecond}
		}},
		{"announce dotted", "announce.repeat = 3", func(c *vrrp.Config) { c.Announce.Repeat = 3 }},
		{"announce table", "[instance.announce]\nrepeat = 3", func(c *vrrp.Config) { c.Announce.Repeat = 3 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := defaultInstance()
			tt.want(&want)
			if want.Lease == 0 && !strings.Contains(tt.lines, `"off"`) {
				want.Lease = vrrp.AutoLease(want.AdvertInterval, 0)
			}
			got := mustParse(t, oneInstance+tt.lines+"\n")
			if diff := cmp.Diff([]vrrp.Config{want}, got.Instances, compare); diff != "" {
				t.Errorf("instance (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	tests := []struct {
		name string
		vrid string
		list string
		want string
	}{
		{"host length", "51", `["192.0.2.100"]`, "192.0.2.100/32"},
		{"order kept", "51", `["192.0.2.9/24", "192.0.2.1/24"]`, "192.0.2.9/24 192.0.2.1/24"},
		{"point to point", "51", `["192.0.2.0/31", "192.0.2.3/31"]`, "192.0.2.0/31 192.0.2.3/31"},
		{"zero octet in a wide network", "51", `["10.0.1.0/16"]`, "10.0.1.0/16"},
		{"link-local added", "51", `["2001:db8::100"]`, "fe80::200:5eff:fe00:233/128 2001:db8::100/128"},
		{"link-local of the last vrid", "255", `["2001:db8::100"]`, "fe80::200:5eff:fe00:2ff/128 2001:db8::100/128"},
		{"link-local added after IPv4", "1", `["192.0.2.1", "2001:db8::100/64"]`, "192.0.2.1/32 fe80::200:5eff:fe00:201/128 2001:db8::100/64"},
		{"link-local listed", "51", `["fe80::7/64", "2001:db8::100"]`, "fe80::7/64 2001:db8::100/128"},
		{"link-local moved", "51", `["2001:db8::1", "192.0.2.1", "fe80::7", "fe80::8"]`, "fe80::7/128 2001:db8::1/128 192.0.2.1/32 fe80::8/128"},
		{"IPv4 link-local is not it", "51", `["169.254.1.1", "2001:db8::1"]`, "169.254.1.1/32 fe80::200:5eff:fe00:233/128 2001:db8::1/128"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustParse(t, "[[instance]]\nname = \"a\"\ninterface = \"eth0\"\nvrid = "+tt.vrid+"\naddresses = "+tt.list+"\n")
			var got []string
			for _, p := range c.Instances[0].Addresses {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyAddresses fills an instance, and goes one further.
func TestManyAddresses(t *testing.T) {
	list := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.ReplaceAll(format, "N", strconv.FormatInt(int64(i), 16)) + ", ")
		}
		return "[[instance]]\nname = \"a\"\ninterface = \"eth0\"\nvrid = 1\naddresses = [" + b.String() + "]\n"
	}
	if got := len(mustParse(t, list(4095, `"2001:db8::1:N"`)).Instances[0].Addresses); got != 4096 {
		t.Errorf("4095 addresses and the link-local make %d, want 4096", got)
	}
	_, _, err := Parse(caseFile, []byte(list(4096, `"2001:db8::1:N"`)))
	if err == nil || !strings.Contains(err.Error(), "at most 4095 ipv6 addresses") {
		t.Errorf("4096 addresses without a link-local: %v", err)
	}
	if got := len(mustParse(t, list(4096, `"fe80::1:N"`)).Instances[0].Addresses); got != 4096 {
		t.Errorf("4096 link-local addresses make %d", got)
	}
}

func TestChecks(t *testing.T) {
	base := func(edit func(*healthcheck.Config)) healthcheck.Config {
		c := healthcheck.Config{
			Name: "c", Interval: time.Second, Timeout: time.Second, Retry: 50 * time.Millisecond, Fall: 2, Rise: 2,
		}
		edit(&c)
		return c
	}
	tests := []struct {
		name  string
		lines string
		want  func(*healthcheck.Config)
	}{
		{"http", `
http = "https://[2001:db8::1]:8443/x?y=z"
status = [204, "300-399", "404"]
body = "^ok"
method = "HEAD"
headers = { Accept = "text/plain", X-Probe = "" }
host = "www.example.com"
ca_file = "/etc/ca.pem"
insecure = false`, func(c *healthcheck.Config) {
			c.HTTP = &healthcheck.HTTP{
				URL:     "https://[2001:db8::1]:8443/x?y=z",
				Status:  []healthcheck.StatusRange{{From: 204, To: 204}, {From: 300, To: 399}, {From: 404, To: 404}},
				Body:    "^ok",
				Method:  "HEAD",
				Headers: map[string]string{"Accept": "text/plain", "X-Probe": ""},
				Host:    "www.example.com",
				CAFile:  "/etc/ca.pem",
			}
		}},
		{"tcp", "tcp = \"[::1]:25\"\nsend = \"QUIT\\r\\n\"\nexpect = \"^220\"", func(c *healthcheck.Config) {
			c.TCP = &healthcheck.TCP{Address: "[::1]:25", Send: "QUIT\r\n", Expect: "^220"}
		}},
		{"exec", "exec = [\"/bin/check\", \"-x\", \"\"]\nuser = \"nobody\"\nenv = [\"A=1\", \"B=\"]", func(c *healthcheck.Config) {
			c.Exec = &healthcheck.Exec{Command: []string{"/bin/check", "-x", ""}, User: "nobody", Env: []string{"A=1", "B="}}
		}},
		{"timeout follows the interval", "tcp = \"h:1\"\ninterval = \"5s\"", func(c *healthcheck.Config) {
			c.TCP, c.Interval, c.Timeout = &healthcheck.TCP{Address: "h:1"}, 5*time.Second, 5*time.Second
		}},
		{"timeout follows a long interval to its bound", "tcp = \"h:1\"\ninterval = \"1h\"", func(c *healthcheck.Config) {
			c.TCP, c.Interval, c.Timeout = &healthcheck.TCP{Address: "h:1"}, time.Hour, 10*time.Minute
		}},
		{"retry is not longer than the interval", "tcp = \"h:1\"\ninterval = \"20ms\"", func(c *healthcheck.Config) {
			c.TCP, c.Interval, c.Timeout, c.Retry = &healthcheck.TCP{Address: "h:1"}, 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
		}},
		{"all times", "tcp = \"h:1\"\ninterval = \"2s\"\ntimeout = \"3s\"\nretry = \"1s\"\nfall = 1\nrise = 100", func(c *healthcheck.Config) {
			c.TCP, c.Interval, c.Timeout, c.Retry = &healthcheck.TCP{Address: "h:1"}, 2*time.Second, 3*time.Second, time.Second
			c.Fall, c.Rise = 1, 100
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustParse(t, oneInstance+"[[check]]\nname = \"c\"\n"+tt.lines+"\n").Checks
			if diff := cmp.Diff([]healthcheck.Config{base(tt.want)}, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEffect tells which checks act on which instance, and how.
func TestEffect(t *testing.T) {
	const checks = `
[[check]]
name = "a"
tcp = "h:1"
[[check]]
name = "b"
tcp = "h:1"
on_failure = "release"
[[check]]
name = "c"
tcp = "h:1"
weight = -253
`
	a := vrrp.Check{Name: "a", OnFailure: vrrp.Demote}
	b := vrrp.Check{Name: "b", OnFailure: vrrp.Release}
	c := vrrp.Check{Name: "c", OnFailure: vrrp.Weigh, Weight: -253}
	tests := []struct {
		name string
		line string
		want []vrrp.Check
	}{
		{"all", "", []vrrp.Check{a, b, c}},
		{"none", "checks = []", nil},
		{"in the order named", `checks = ["c", "a"]`, []vrrp.Check{c, a}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustParse(t, oneInstance+tt.line+checks).Instances[0].Checks
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRest(t *testing.T) {
	got := mustParse(t, `
[node]
name = "lb1"
log_level = "trace"
log_format = "json"
run_dir = "/tmp/hf/"
[control]
group = ""
[metrics]
listen = ":9650"
compat = true
`+oneInstance+`
announce = { arp = "both" }
[[instance]]
name = "six"
interface = "eth0"
vrid = 51 # the same number in the other family is another virtual router
addresses = ["fe80::1"]
announce.arp = "reply"
[[notify]]
on = ["master", "stop"]
instances = ["six"]
exec = ["/bin/hook", "x"]
timeout = "5s"
style = "keepalived"
[[notify]]
exec = ["/bin/other"]
style = "holdfast"
`)
	got.Instances = nil
	want := &Config{
		File:    caseFile,
		Node:    Node{Name: "lb1", LogLevel: "trace", LogFormat: "json", RunDir: "/tmp/hf"},
		Control: Control{Socket: "/tmp/hf/holdfast.sock"},
		Metrics: Metrics{Listen: ":9650", Compat: true},
		VIP:     map[string]vip.Config{"web": {Name: "web", ARP: vip.ARPBoth}, "six": {Name: "six", ARP: vip.ARPReply}},
		Hooks: []notify.Config{
			{On: []string{"master", "stop"}, Instances: []string{"six"}, Exec: []string{"/bin/hook", "x"}, Timeout: 5 * time.Second, Style: notify.Keepalived},
			{Exec: []string{"/bin/other"}, Timeout: 30 * time.Second},
		},
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

// TestLarge parses as many instances as an operator may ever have.
func TestLarge(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "[[instance]]\nname = \"i%d\"\ninterface = \"eth%d\"\nvrid = %d\naddresses = [\"10.0.%d.%d/16\"]\n", i, i/250, 1+i%250, i/250, 1+i%250)
	}
	c := mustParse(t, b.String())
	if len(c.Instances) != 2000 || len(c.VIP) != 2000 {
		t.Errorf("%d instances and %d of vip, want 2000", len(c.Instances), len(c.VIP))
	}
	b.WriteString("[[instance]]\n")
	_, _, err := Parse(caseFile, []byte(b.String()))
	if problems, _ := errors.AsType[Errors](err); len(problems) != 4 || problems[0].Line != 10001 {
		t.Errorf("an empty instance in line 10001: %v", err)
	}
}

func TestManyPeers(t *testing.T) {
	list := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "\"10.0.%d.%d\",", i/250, 1+i%250)
		}
		return oneInstance + "peers = [" + b.String() + "]\n"
	}
	if got := len(mustParse(t, list(maxPeers)).Instances[0].Peers); got != maxPeers {
		t.Errorf("%d peers, want %d", got, maxPeers)
	}
	if _, _, err := Parse(caseFile, []byte(list(maxPeers+1))); err == nil {
		t.Errorf("%d peers are accepted", maxPeers+1)
	}
}
