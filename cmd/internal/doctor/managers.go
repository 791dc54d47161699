package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// testManagers looks for managers of the network that remove addresses which
// are not in their own files.
func testManagers(ctx context.Context, x *Examination) (found []Finding) {
	for _, l := range x.Present() {
		if f := x.networkd(l); f != nil {
			found = append(found, *f)
		}
		if f := x.networkManager(ctx, l); f != nil {
			found = append(found, *f)
		}
	}
	return found
}

// networkd reads what systemd-networkd notes of a link at run time, and the
// files that it took the settings from.
func (x *Examination) networkd(l *Link) *Finding {
	state, err := x.read(fmt.Sprintf("/run/systemd/netif/links/%d", l.Index))
	if err != nil {
		return nil // it does not run, or knows nothing of this link
	}
	values := assignments(state)
	file := values["NETWORK_FILE"]
	if file == "" || values["ADMIN_STATE"] == "unmanaged" {
		return nil
	}
	keep := x.keepConfiguration(file, strings.Fields(strings.Trim(values["NETWORK_FILE_DROPINS"], `"`)))
	if slices.Contains([]string{"static", "yes", "true", "1", "on"}, strings.ToLower(keep)) {
		return nil
	}
	dropins := "/etc/systemd/network/" + path.Base(file) + ".d"
	return &Finding{
		Warning, "networkd-removes-addresses", l.Name,
		fmt.Sprintf("systemd-networkd manages the interface (%s) and removes addresses that are not in its files", file),
		"Whenever it is restarted, as by an upgrade of systemd, the virtual addresses are gone until the daemon has put them back.",
		fmt.Sprintf("mkdir -p %[1]s\nprintf '[Network]\\nKeepConfiguration=static\\n' > %[1]s/holdfast.conf\nnetworkctl reload", dropins),
	}
}

// keepConfiguration is the last value of that key in a .network file and its
// drop-ins: those that networkd names, and those that it would read next time.
func (x *Examination) keepConfiguration(file string, dropins []string) (value string) {
	files := append([]string{file}, dropins...)
	for _, dir := range []string{"/usr/lib/systemd/network/", "/run/systemd/network/", "/etc/systemd/network/"} {
		dir += path.Base(file) + ".d"
		entries, _ := fs.ReadDir(x.Files, dir[1:])
		for _, e := range entries {
			if name := path.Join(dir, e.Name()); strings.HasSuffix(name, ".conf") && !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
	}
	for _, name := range files {
		text, _ := x.read(name)
		if v, ok := assignments(section(text, "[Network]"))["KeepConfiguration"]; ok {
			value = v
		}
	}
	return value
}

// section returns the lines of the sections of a name.
func section(text, name string) string {
	var b strings.Builder
	in := false
	for line := range strings.Lines(text) {
		if t := strings.TrimSpace(line); strings.HasPrefix(t, "[") {
			in = t == name
		}
		if in {
			b.WriteString(line)
		}
	}
	return b.String()
}

// assignments reads lines such as KEY=value; the last of a key counts.
func assignments(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") && !strings.HasPrefix(k, ";") {
			values[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return values
}

// networkManager asks NetworkManager whether it manages a link. It has no setting
// to spare addresses of others, and touches them rarely: this is for information.
func (x *Examination) networkManager(ctx context.Context, l *Link) *Finding {
	if _, err := fs.Stat(x.Files, "run/NetworkManager"); err != nil {
		return nil // it does not run
	}
	out, err := x.Command(ctx, "nmcli", "-t", "-f", "GENERAL.STATE,GENERAL.CONNECTION", "device", "show", l.Name)
	if err != nil {
		f := unseen(l.Name, fmt.Sprintf("NetworkManager runs and does not tell whether it manages the interface: %v", err))
		return &f
	}
	values := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[k] = v
		}
	}
	if state := values["GENERAL.STATE"]; state == "" || strings.HasPrefix(state, "10 ") || strings.Contains(state, "externally") {
		return nil
	}
	return &Finding{
		Info, "networkmanager-manages-interface", l.Name,
		fmt.Sprintf("NetworkManager manages the interface (connection %q): nmcli connection up, nmcli device reapply and a change of the connection remove the virtual addresses", values["GENERAL.CONNECTION"]),
		"The daemon puts them back at once. Hand over before such work.",
		"holdfast drain --for 10m --why 'work on the network'",
	}
}
