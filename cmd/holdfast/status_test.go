package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

var statusNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time     { return statusNow.Add(-d) }
func agoPtr(d time.Duration) *time.Time { t := ago(d); return &t }

// TestPrintStatus holds the whole text against what a person should read.
func TestPrintStatus(t *testing.T) {
	tests := []struct {
		name string
		st   control.Status
		want string
		exit int
	}{
		{
			"master, all well",
			control.Status{Node: "lb1", Instances: []control.Instance{{
				Name: "web", State: "master", Since: ago(26*time.Hour + 5*time.Minute), Reason: "no master heard for 3.41s",
				Interface: "eth0", VRID: 51, Priority: control.Priority{Base: 150, Effective: 150},
				LeaseMS: 2000, Master: &control.Master{Address: "192.0.2.1", Priority: 150, Self: true},
				Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}, {Address: "2001:db8::100/128", Present: true}},
			}}, Checks: []control.Check{{Name: "nginx", State: "healthy"}}},
			`lb1: 1 master

web  MASTER for 1d02h: no master heard for 3.41s
     eth0, vrid 51, priority 150
     addresses 192.0.2.100/24 2001:db8::100/128 (here), lease 2s
`, exitDone,
		}, {
			"backup, demoted, check fails with several lines",
			control.Status{Node: "lb2", Instances: []control.Instance{{
				Name: "web", State: "backup", Since: ago(75 * time.Second), Reason: "192.0.2.1 is master with priority 150",
				Interface: "eth0", VRID: 51, Priority: control.Priority{Base: 100, Effective: 10}, Demoted: true, DemotedWhy: "check nginx fails: refused",
				Master:    &control.Master{Address: "192.0.2.1", Priority: 150, LastHeard: agoPtr(420 * time.Millisecond)},
				Addresses: []control.Address{{Address: "192.0.2.100/24"}},
				Refused:   &control.RefusedPacket{From: "192.0.2.9", At: ago(300 * time.Millisecond), Why: "version 2, this instance uses version 3"},
			}}, Checks: []control.Check{
				{Name: "nginx", State: "failing", Since: agoPtr(70 * time.Second), LastOutput: "connection refused\nsecond line\n"},
				{Name: "slow", State: "unknown"},
			}},
			`lb2: 1 backup

web  BACKUP for 1m15s: 192.0.2.1 is master with priority 150
     eth0, vrid 51, priority 10 (base 100)
     master is 192.0.2.1, priority 150, heard 420ms ago
     addresses 192.0.2.100/24 (not here)
     demoted: check nginx fails: refused
     refuses what 192.0.2.9 sends, the last 300ms ago: version 2, this instance uses version 3
check nginx is failing for 1m10s: connection refused
    second line
check slow is unknown
`, exitRefused,
		}, {
			"addresses on other interfaces, one of them on purpose",
			control.Status{Node: "lb2", Instances: []control.Instance{{
				Name: "web", State: "backup", Since: ago(75 * time.Second), Reason: "192.0.2.1 is master with priority 150",
				Interface: "eth0", VRID: 51, Priority: control.Priority{Base: 100, Effective: 100},
				Master:    &control.Master{Address: "192.0.2.1", Priority: 150, LastHeard: agoPtr(420 * time.Millisecond)},
				Addresses: []control.Address{{Address: "192.0.2.100/24"}, {Address: "192.0.2.101/24"}},
				Elsewhere: []control.Elsewhere{
					{Address: "192.0.2.100", Interface: "eth1"}, {Address: "192.0.2.100", Interface: "lo"}, {Address: "192.0.2.101", Interface: "lo"},
				},
			}}},
			`lb2: 1 backup

web  BACKUP for 1m15s: 192.0.2.1 is master with priority 150
     eth0, vrid 51, priority 100
     master is 192.0.2.1, priority 150, heard 420ms ago
     addresses 192.0.2.100/24 192.0.2.101/24 (not here)
     192.0.2.100 also on eth1, where this host may answer for it
     192.0.2.100 192.0.2.101 also on lo, where this host may answer for it
`, exitRefused,
		}, {
			"two families in conflict",
			control.Status{Node: "lb2", Instances: []control.Instance{{
				Name: "web", State: "master", Since: ago(75 * time.Second), Reason: "r", Interface: "eth0", VRID: 51,
				Priority: control.Priority{Base: 100, Effective: 100}, Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}},
				ConflictSince: agoPtr(12 * time.Second), ConflictWith: "fe80::66",
				Families: []control.Family{{Family: "ipv4", State: "master", ConflictWith: "192.0.2.66"}, {Family: "ipv6", State: "master", ConflictWith: "fe80::66"}},
			}}},
			`lb2: 1 master

web  MASTER for 1m15s: r
     eth0, vrid 51, priority 100
     addresses 192.0.2.100/24 (here), no lease
     conflict for 12s: 192.0.2.66 and fe80::66 are master, too; 'holdfast doctor' looks why
`, exitRefused,
		}, {
			"another cluster with this vrid",
			control.Status{Node: "lb2", Instances: []control.Instance{{
				Name: "web", State: "backup", Since: ago(75 * time.Second), Reason: "r", Interface: "eth0", VRID: 51,
				Priority: control.Priority{Base: 100, Effective: 100}, Addresses: []control.Address{{Address: "192.0.2.100/24"}},
				AddressesDiffer: &control.Difference{From: "192.0.2.3", Why: "only here: [192.0.2.100]; only there: [192.0.2.200]", Strange: true},
			}}},
			`lb2: 1 backup

web  BACKUP for 1m15s: r
     eth0, vrid 51, priority 100
     addresses 192.0.2.100/24 (not here)
     192.0.2.3 advertises other addresses, only here: [192.0.2.100]; only there: [192.0.2.200]; 'holdfast doctor' tells what to do
`, exitRefused,
		}, {
			"an interface that is a port",
			control.Status{Node: "lb2", Instances: []control.Instance{{
				Name: "web", State: "master", Since: ago(75 * time.Second), Reason: "r", Interface: "eth0", PortOf: "bridge br0", VRID: 51,
				Priority: control.Priority{Base: 100, Effective: 100}, Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}},
			}}},
			`lb2: 1 master

web  MASTER for 1m15s: r
     eth0, vrid 51, priority 100
     addresses 192.0.2.100/24 (here), no lease
     eth0 is a port of bridge br0, which takes all that arrives: this node hears no peer; 'holdfast doctor' tells what to do
`, exitRefused,
		}, {
			"an address that somebody else has put on the interface of a backup",
			control.Status{Node: "lb2", Instances: []control.Instance{{
				Name: "web", State: "backup", Since: ago(75 * time.Second), Reason: "192.0.2.1 is master with priority 150",
				Interface: "eth0", VRID: 51, Priority: control.Priority{Base: 100, Effective: 100},
				Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}},
				Elsewhere: []control.Elsewhere{{Address: "192.0.2.100", Interface: "eth0"}},
			}}},
			`lb2: 1 backup

web  BACKUP for 1m15s: 192.0.2.1 is master with priority 150
     eth0, vrid 51, priority 100
     addresses 192.0.2.100/24 (here)
     192.0.2.100 put on eth0 by somebody else: this host answers for it although it is not master; 'holdfast doctor' tells how to take it off
`, exitRefused,
		}, {
			"several, names in a column",
			control.Status{Node: "lb1", Daemon: control.Daemon{ReloadError: "test.toml:1:1: bad\ntest.toml:2:1: worse"}, Instances: []control.Instance{
				{
					Name: "a", State: "fault", Since: ago(3 * time.Second), Reason: "eth1 has no carrier", Interface: "eth1", VRID: 1, Group: "edge",
					Priority:  control.Priority{Base: 100, Effective: 100},
					Addresses: []control.Address{{Address: "192.0.2.1/32"}},
					Failover:  &control.Failover{Since: ago(time.Minute), By: "root (uid 0, pid 7)"},
				}, {
					Name: "inside", State: "master", Since: ago(3 * time.Hour), Reason: "r", Interface: "eth0", VRID: 2,
					Priority: control.Priority{Base: 100, Effective: 100}, Drained: true,
					ConflictSince: agoPtr(12 * time.Second), ConflictWith: "192.0.2.66",
					Master: &control.Master{Address: "192.0.2.9", Priority: 100, Self: true},
					Addresses: []control.Address{
						{Address: "192.0.2.1/32", Present: true},
						{Address: "192.0.2.2/32", Problem: "192.0.2.2/32: no buffer space"},
					},
					Families: []control.Family{{Family: "ipv4", State: "master"}, {Family: "ipv6", State: "fault", Reason: "no link-local address"}},
				},
			}},
			`lb1: 1 master, 1 fault
  the last reload was refused: test.toml:1:1: bad
    test.toml:2:1: worse

a       FAULT for 3s: eth1 has no carrier
        eth1, vrid 1, priority 100, group edge
        addresses 192.0.2.1/32 (not here)
        stands back since a failover 1m00s ago by root (uid 0, pid 7): takes over only if no other node serves, or once 'holdfast undrain' was run

inside  MASTER for 3h00m: r
        eth0, vrid 2, priority 100
        ipv6 is in fault: no link-local address
        addresses 192.0.2.1/32 (here), 192.0.2.2/32 (not here), no lease
        192.0.2.2/32: no buffer space
        drained by the operator
        conflict for 12s: 192.0.2.66 is master, too; 'holdfast doctor' looks why
`, exitRefused,
		}, {
			"master that refuses a peer",
			control.Status{Node: "lb1", Instances: []control.Instance{{
				Name: "web", State: "master", Since: ago(5 * time.Second), Reason: "no master heard for 3.4s", Interface: "eth0", VRID: 51,
				Priority: control.Priority{Base: 150, Effective: 150}, Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}},
				Refused: &control.RefusedPacket{From: "192.0.2.2", At: ago(300 * time.Millisecond), Reason: "auth_data", Why: "the password differs"},
			}}},
			`lb1: 1 master

web  MASTER for 5s: no master heard for 3.4s
     eth0, vrid 51, priority 150
     addresses 192.0.2.100/24 (here), no lease
     refuses what 192.0.2.2 sends, the last 300ms ago: the password differs
`, exitRefused,
		}, {
			"own packets come back",
			control.Status{Node: "lb1", Instances: []control.Instance{{
				Name: "web", State: "master", Since: ago(5 * time.Second), Reason: "no master heard for 3.4s", Interface: "eth0", VRID: 51,
				Priority: control.Priority{Base: 150, Effective: 150}, Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}},
				Refused: &control.RefusedPacket{From: "192.0.2.1", At: ago(300 * time.Millisecond), Reason: "own", Why: "the network sends own packets back, or another host uses this address"},
			}}},
			`lb1: 1 master

web  MASTER for 5s: no master heard for 3.4s
     eth0, vrid 51, priority 150
     addresses 192.0.2.100/24 (here), no lease
     refuses what 192.0.2.1 sends, the last 300ms ago: the network sends own packets back, or another host uses this address
`, exitDone,
		}, {
			"interfaces are not known",
			control.Status{Node: "lb1", Daemon: control.Daemon{ListError: "list links: the kernel did not answer"}, Instances: []control.Instance{{
				Name: "web", State: "init", Since: ago(5 * time.Second), Reason: "waiting for the state of interface eth0", Interface: "eth0", VRID: 51,
				Priority: control.Priority{Base: 100, Effective: 100}, Addresses: manyAddresses(1),
			}}},
			`lb1: 1 init
  what becomes of interfaces is not seen, since they cannot be listed: list links: the kernel did not answer

web  INIT for 5s: waiting for the state of interface eth0
     eth0, vrid 51, priority 100
     addresses 10.0.0.0/32 (not here)
`, exitRefused,
		}, {
			"a check that says much, and no journal",
			control.Status{
				Node: "lb1", Daemon: control.Daemon{JournalError: "cannot make room for the journal in /run/holdfast: no space left on device"},
				Instances: []control.Instance{{
					Name: "web", State: "fault", Since: ago(5 * time.Second), Reason: "check app fails: at 10:00 " + strings.Repeat("bad ", 100), Interface: "eth0", VRID: 51,
					Priority: control.Priority{Base: 100, Effective: 1}, Addresses: manyAddresses(1),
					Demoted: true, DemotedWhy: "check app fails: at 10:00 " + strings.Repeat("bad ", 100) + "; check db fails: timed out",
				}},
				Checks: []control.Check{
					{Name: "app", State: "failing", LastOutput: "at 10:01 " + strings.Repeat("bad ", 35)},
					{Name: "db", State: "failing", LastOutput: "timed out"},
				},
			},
			`lb1: 1 fault
  a restart will not be silent: cannot make room for the journal in /run/holdfast: no space left on device

web  FAULT for 5s: check app fails (what it says is below)
     eth0, vrid 51, priority 1 (base 100)
     addresses 10.0.0.0/32 (not here)
     demoted: check app fails (what it says is below); check db fails: timed out
check app is failing: at 10:01 ` + strings.TrimSpace(strings.Repeat("bad ", 35)) + `
check db is failing: timed out
`, exitRefused,
		}, {
			"many addresses",
			control.Status{Node: "lb1", Instances: []control.Instance{{
				Name: "web", State: "init", Since: ago(0), Reason: "waiting", Interface: "eth0", VRID: 51,
				Priority: control.Priority{Base: 100, Effective: 100}, Addresses: manyAddresses(200),
			}}},
			`lb1: 1 init

web  INIT for 0s: waiting
     eth0, vrid 51, priority 100
     addresses 10.0.0.0/32 10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 10.0.0.4/32 and 195 more (not here)
`, exitDone,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			tell(&b, screen.Terminal{}, &tt.st, statusNow)
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if got := health(&tt.st); got != tt.exit {
				t.Errorf("exit status %d, want %d", got, tt.exit)
			}
		})
	}
}

func manyAddresses(n int) []control.Address {
	list := make([]control.Address, n)
	for i := range list {
		list[i].Address = fmt.Sprintf("10.0.0.%d/32", i)
	}
	return list
}

func TestAge(t *testing.T) {
	tests := map[time.Duration]string{
		-time.Second:                          "0s", // a clock that was set back
		0:                                     "0s",
		40 * time.Millisecond:                 "40ms",
		1234 * time.Millisecond:               "1.2s",
		9949 * time.Millisecond:               "9.9s",
		10 * time.Second:                      "10s",
		59*time.Second + 700*time.Millisecond: "59s",
		time.Minute:                           "1m00s",
		61 * time.Second:                      "1m01s",
		time.Hour - time.Second:               "59m59s",
		time.Hour:                             "1h00m",
		24*time.Hour - 1:                      "23h59m",
		24 * time.Hour:                        "1d00h",
		400 * 24 * time.Hour:                  "400d00h",
	}
	for d, want := range tests {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range []string{"0 hooks", "1 hook", "2 hooks"} {
		if got := count(n, "hook"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFlagProblem(t *testing.T) {
	tests := map[string]string{
		"flag provided but not defined: -jsn":               "there is no flag --jsn",
		"flag needs an argument: -config":                   "flag --config needs a value",
		`invalid boolean value "no" for -json: parse error`: `flag --json is there or not: it takes no value such as "no"`,
		"bad flag syntax: --=x":                             "bad flag syntax: --=x",
		`invalid value "2" for flag -pause: parse error`:    `flag --pause takes a duration such as "2s", not "2"`,
		`invalid boolean value "soon" for -watch: x`:        `flag --watch takes a duration such as "2s", not "soon"`,
		`invalid value "-1" for flag -seed: parse error`:    `flag --seed takes a whole number, not "-1"`,
	}
	flags := flag.NewFlagSet("x", flag.ContinueOnError)
	flags.Duration("pause", 0, "")
	flags.Bool("json", false, "")
	flags.Var(new(every), "watch", "")
	flags.Uint64("seed", 0, "")
	for in, want := range tests {
		if got := flagProblem(flags, errors.New(in)); got != want {
			t.Errorf("flagProblem(%q) = %q, want %q", in, got, want)
		}
	}
}
