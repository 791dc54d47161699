package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// before is what is wrong before the first start: a configuration or a host that
// will not do.
type before struct {
	severity, id, on string
	config           string
	make             string // a script
	undo             string
}

// TestDoctorBefore examines a host on which no daemon runs, finds what is wrong,
// and pastes what the finding says, into a shell or into the configuration.
func TestDoctorBefore(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := newPatient(newNode(t, l, "lb1", "192.0.2.1/24"))
	const file = "/run/other.toml"
	write := func(config string) {
		t.Helper()
		if err := p.WriteFile(file, config, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	examine := func() *diagnosis { return p.examine("--wait", "0s", "--config", file) }
	good := instanceTOML(150, "1s", []string{"192.0.2.100/24"})
	node := func(line string) string { return "[node]\n" + line + "\nname = \"lb1\"\n" + good }
	many := make([]string, 150)
	for n := range many {
		many[n] = fmt.Sprintf("192.0.2.%d/24", 100+n)
	}
	list := []before{
		{"warning", "run-dir-not-tmpfs", "/opt/holdfast", node(`run_dir = "/opt/holdfast"`), "", ""},
		{"error", "run-dir-unusable", file, node(`run_dir = "` + file + `"`), "", ""},
		{"error", "run-dir-unusable", "/run/ro/holdfast", node(`  run_dir="/run/ro/holdfast"`), "mkdir /run/ro; mount -t tmpfs -o ro tmpfs /run/ro", "umount /run/ro"},
		{"error", "interface-missing", "eth9", strings.ReplaceAll(good, "eth0", "eth9"), "", ""},
		{"error", "interface-no-carrier", "eth0", good, "unplug", ""},
		{"error", "source-missing", "web", good + "source = \"192.0.2.77\"\n", "", ""},
		{"error", "no-ipv6-address", "eth0", instanceTOML(150, "1s", []string{"2001:db8::100/64"}, `peers = ["2001:db8::9"]`), "", ""},
		{"warning", "no-address-in-network", "198.51.100.100", instanceTOML(150, "1s", []string{"198.51.100.100/24"}), "", "ip address del 198.51.100.1/24 dev eth0"},
		{"error", "mtu-too-small", "web", instanceTOML(150, "1s", many), "ip link set eth0 mtu 576", ""},
		{"error", "vip-configured-statically", "192.0.2.100", good, "ip address add 192.0.2.100/24 dev eth0", ""},
		{"error", "vip-on-loopback", "192.0.2.100", good, "ip address add 192.0.2.100/32 dev lo", "ip address del 192.0.2.100/32 dev lo"},
	}
	for _, c := range list {
		write(c.config)
		switch c.make {
		case "":
		case "unplug":
			must(t, p.Unplug())
		default:
			p.sh(c.make)
		}
		fix := p.finds(examine(), c.severity, c.id, c.on).Fix
		address := map[string]string{"no-ipv6-address": "2001:db8::1", "no-address-in-network": "198.51.100.1"}[c.id]
		switch {
		case c.id == "interface-missing": // the name to take is a choice
			write(strings.ReplaceAll(c.config, `interface = "eth9"`, line(t, fix, `interface = "eth0"`)))
		case configures(fix):
			write(edited(t, c.config, fix))
		default:
			p.sh(strings.ReplaceAll(fix, "ADDRESS", address))
		}
		if c.make == "unplug" {
			must(t, p.PlugIn())
		}
		p.lacks(examine(), c.id)
		p.sh(c.undo)
	}
	write(good + "\n[[check]]\nname = \"app\"\nexec = [\"/bin/true\"]\nuser = \"root\"\n")
	p.otherUser(examine)
	write(good)
	p.keepalivedBeside(examine)
	p.sh("cp \"$(command -v sleep)\" /run/bin/ucarp; (exec ucarp 20 </dev/null >/dev/null 2>&1 &)")
	p.finds(examine(), "info", "other-vrrp-daemon", "pid "+strings.TrimSpace(p.says("pgrep -x ucarp")))
	p.sh("kill $(pgrep -x ucarp)")
	d := examine()
	p.finds(d, "ok", "daemon-not-running", "")
	if bad := d.bad(); len(bad) > 0 {
		t.Errorf("before the start it finds\n%s", d.text())
	}

	// Another daemon runs with another socket.
	p.run(good)
	write("[node]\nrun_dir = \"/run/else\"\n" + good)
	if list := examine().of("daemon-does-not-answer"); len(list) != 1 {
		t.Fatalf("a daemon with another socket is told as %+v", list)
	}
	p.finds(examine(), "warning", "daemon-does-not-answer", examine().of("daemon-does-not-answer")[0].On)
	p.stop()
}

// otherUser has a unit whose daemon may not become the user of a check.
func (p *patient) otherUser(examine func() *diagnosis) {
	p.t.Helper()
	p.sh(`mkdir -p /etc/systemd/system; printf '[Service]\nUser=nobody\n' >/etc/systemd/system/holdfast.service
		printf '#!/bin/sh\n' >/run/bin/systemctl; chmod 755 /run/bin/systemctl`)
	const example = "scripts-as-root.conf"
	here, err := filepath.Abs("../../examples/" + example)
	if err != nil {
		p.t.Fatal(err)
	}
	fix := p.finds(examine(), "error", "check-as-other-user", "/bin/true").Fix
	p.sh(strings.ReplaceAll(fix, "/usr/share/doc/holdfast/examples/"+example, "'"+here+"'"))
	p.lacks(examine(), "check-as-other-user")
	p.sh("rm -r /etc/systemd/system/holdfast.service* /run/bin/systemctl")
}

// keepalivedBeside has a keepalived with the VRID, and one with the address.
func (p *patient) keepalivedBeside(examine func() *diagnosis) {
	p.t.Helper()
	p.sh("printf '#!/bin/sh\n[ \"$*\" = \"disable --now keepalived\" ] && pkill -KILL -x keepalived\n' >/run/bin/systemctl; chmod 755 /run/bin/systemctl")
	for _, c := range []before{
		{severity: "error", id: "vrid-used-by-keepalived", on: "web", config: "virtual_router_id 51\n virtual_ipaddress { 192.0.2.200/24 }"},
		{severity: "error", id: "vip-used-by-keepalived", on: "192.0.2.100", config: "virtual_router_id 52\n virtual_ipaddress { 192.0.2.100/24 }"},
	} {
		k, err := p.StartKeepalived("vrrp_instance other {\n interface eth0\n state BACKUP\n " + c.config + "\n}\n")
		require(p.t, err == nil, "keepalived, which .ci/peers fetches")
		p.sh(p.finds(examine(), c.severity, c.id, c.on).Fix)
		<-k.Done()
		p.lacks(examine(), c.id)
	}
	p.sh("rm /run/bin/systemctl")
}

// toConfigure is a line for the configuration as doctor says it.
var toConfigure = regexp.MustCompile(`# in \[\[instance\]\] "(.+)", in the place of any line of (\w+) there\n(.+)`)

// configures tells whether a fix is one for the configuration.
func configures(fix string) bool { return toConfigure.MatchString(fix) }

// edited does with a configuration what a fix says.
func edited(t *testing.T, config, fix string) string {
	t.Helper()
	m := toConfigure.FindStringSubmatch(fix)
	if m == nil {
		t.Fatalf("this says nothing to put into the configuration:\n%s", fix)
	}
	const head = "[[instance]]\n"
	parts := strings.Split(config, head)
	for n, part := range parts {
		if strings.Contains(part, fmt.Sprintf("name = %q\n", m[1])) {
			parts[n] = m[3] + "\n" + regexp.MustCompile(`(?m)^`+m[2]+` *=.*\n`).ReplaceAllString(part, "")
		}
	}
	return strings.Join(parts, head)
}

// line wants a line in a text, and returns it.
func line(t *testing.T, text, want string) string {
	t.Helper()
	if !strings.Contains("\n"+text+"\n", "\n"+want+"\n") {
		t.Errorf("there is no line %q in\n%s", want, text)
	}
	return want
}
