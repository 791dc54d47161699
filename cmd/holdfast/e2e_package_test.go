package main

// The Debian package in a fresh system.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// debs are the packages of some versions, as make deb makes them but for the
// compression, which takes longer than all else.
var debs = sync.OnceValues(func() (map[string]string, error) {
	dir, err := testDir()
	if err != nil {
		return nil, err
	}
	made := map[string]string{}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		c := exec.Command("make", "-C", "../..", "deb", "PROGRAM="+filepath.Join(dir, "holdfast"), "VERSION="+version)
		c.Env = append(os.Environ(), "COMPRESS=none")
		if out, err := c.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make deb: %w: %s", err, out)
		}
		found, err := filepath.Glob(filepath.Join(dir, "holdfast_"+version+"_*.deb"))
		if err != nil || len(found) != 1 {
			return nil, fmt.Errorf("make deb made %q for version %s (%v)", found, version, err)
		}
		made[version] = found[0]
	}
	return made, nil
})

// packages skips the test where no package can be built. The result puts two
// versions into a system's /root. Call it before t.Parallel: nothing that is
// measured should run beside a compiler.
func packages(t *testing.T) func(s *lab.System) {
	t.Helper()
	require(t, os.Geteuid() == 0, "root")
	_, err := lab.FindSystem()
	require(t, err == nil, fmt.Sprint(err))
	for _, tool := range []string{"make", "go", "dpkg-deb"} {
		_, err := exec.LookPath(tool)
		require(t, err == nil, tool)
	}
	made, err := debs()
	if err != nil {
		t.Fatal(err)
	}
	return func(s *lab.System) {
		t.Helper()
		for version, path := range made {
			deb, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.WriteFile("/root/holdfast_"+version+".deb", string(deb), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPackageIsReproducible puts the same program into a package twice, and looks
// at how versions are told to Debian.
func TestPackageIsReproducible(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("dpkg-deb")
	require(t, err == nil, "dpkg-deb")
	dir := t.TempDir()
	program := writeProgram(t, dir)
	build := func(version string) (name, deb string) {
		t.Helper()
		c := exec.Command("../../examples/debian/build", program, dir)
		c.Env = append(os.Environ(), "VERSION="+version, "COMPRESS=none", "SOURCE_DATE_EPOCH=1766620800")
		var complaints strings.Builder
		c.Stderr = &complaints
		out, err := c.Output()
		if err != nil {
			t.Fatalf("build the package: %v: %s", err, &complaints)
		}
		path := strings.TrimSpace(string(out))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Base(path), string(text)
	}
	name, deb := build("v1.2.0-rc1")
	if !strings.HasPrefix(name, "holdfast_1.2.0~rc1_") {
		t.Errorf("a candidate is %s, which Debian takes for later than the release", name)
	}
	if _, again := build("v1.2.0-rc1"); again != deb {
		t.Error("the package is another one when it is built again")
	}
	if name, _ := build("v1.2.0-3-gabc1234"); !strings.HasPrefix(name, "holdfast_1.2.0+3.gabc1234_") {
		t.Errorf("a commit after the release is %s", name)
	}
}

// writeProgram writes a script that runs this test binary in place of the program.
func writeProgram(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "program")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexport %s=1\nexec %s \"$@\"\n", beHoldfast, selfPath()), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// installed is the version of the package that dpkg knows, and how it is.
func installed(t *testing.T, s *lab.System) string {
	t.Helper()
	out, _ := inside(t, s, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", "holdfast")
	return out
}

// TestPackage installs, upgrades, removes and purges the package where no
// systemd runs, as in an image that is being made.
func TestPackage(t *testing.T) {
	put := packages(t)
	t.Parallel()
	n := newNode(t, newLab(t), "lb1", "192.0.2.1/24")
	s := n.newSystem("", "sleep", "infinity")
	put(s)
	if out := mustInside(t, s, "dpkg", "--install", "/root/holdfast_1.0.0.deb"); !strings.Contains(out, "holdfast: write /etc/holdfast/holdfast.toml") {
		t.Errorf("the installation does not tell what to do next:\n%s", out)
	}
	if out := mustInside(t, s, "dpkg", "--verify", "holdfast"); out != "" {
		t.Errorf("not as packed: %s", out)
	}
	if out := mustInside(t, s, "systemctl", "is-enabled", "holdfast"); strings.TrimSpace(out) != "enabled" {
		t.Errorf("the unit is %s", out)
	}
	for _, page := range []string{"man8/holdfast.8", "man5/holdfast.toml.5"} {
		mustInside(t, s, "sh", "-c", "zcat /usr/share/man/"+page+".gz | mandoc -T lint -W warning")
	}
	for shell, script := range map[string]string{
		"bash": "bash-completion/completions/holdfast", "zsh": "zsh/vendor-completions/_holdfast", "fish": "fish/vendor_completions.d/holdfast.fish",
	} {
		mustInside(t, s, shell, "-n", "/usr/share/"+script)
	}

	// A configuration with a secret belongs to root, and the daemon can read it.
	const mine = completedTOML + "# mine\n"
	if err := s.WriteFile("/etc/holdfast/holdfast.toml", mine, 0o640); err != nil {
		t.Fatal(err)
	}
	if out := mustInside(t, s, "runuser", "-u", "holdfast", "--", "holdfast", "check"); !strings.Contains(out, "holdfast.toml is good: 2 instances") {
		t.Errorf("holdfast check: %s", out)
	}
	kept := func(when string) {
		t.Helper()
		if text, err := s.ReadFile("/etc/holdfast/holdfast.toml"); err != nil || text != mine {
			t.Errorf("%s the configuration is (%v) %q", when, err, text)
		}
		if out := mustInside(t, s, "stat", "-c", "%A %U %G", "/etc/holdfast/holdfast.toml"); out != "-rw-r----- root holdfast\n" {
			t.Errorf("%s the configuration is %s", when, out)
		}
	}
	// A unit that somebody copied hides that of the package.
	const copied = "/etc/systemd/system/holdfast.service"
	if err := s.WriteFile(copied, "[Service]\nExecStart=/bin/true\n", 0o644); err != nil {
		t.Fatal(err)
	}
	if out := mustInside(t, s, "dpkg", "--install", "/root/holdfast_1.1.0.deb"); strings.Count(out, "holdfast: "+copied+" hides ") != 1 {
		t.Errorf("the upgrade does not tell of the hidden unit:\n%s", out)
	}
	mustInside(t, s, "rm", copied)
	kept("after the upgrade")
	if got, runs := installed(t, s), mustInside(t, s, "holdfast", "version"); got != "1.1.0 installed" || !strings.HasPrefix(runs, "holdfast 1.1.0 (") {
		t.Errorf("after the upgrade: %s, and it is %s", got, runs)
	}
	if out := mustInside(t, s, "dpkg", "--install", "/root/holdfast_1.1.0.deb"); strings.Contains(out, "hides") {
		t.Errorf("it tells of a hidden unit:\n%s", out)
	}
	mustInside(t, s, "mkdir", "/var/lib/holdfast")
	mustInside(t, s, "dpkg", "--remove", "holdfast")
	kept("after the removal")
	if out, err := inside(t, s, "test", "-e", "/usr/bin/holdfast"); err == nil {
		t.Errorf("the program is still there %s", out)
	}
	mustInside(t, s, "dpkg", "--purge", "holdfast")
	if out := mustInside(t, s, "find", "/etc", "/usr", "/var", "/run", "-name", "*holdfast*", "-not", "-path", "/usr/share/*", "-not", "-path", "/var/backups/*"); out != "" {
		t.Errorf("after the purge there is still:\n%s", out)
	}
}

// TestMakeInstall installs where systemd-sysusers does not look by itself, beside a
// configuration that the daemon's user cannot read.
func TestMakeInstall(t *testing.T) {
	t.Parallel()
	require(t, os.Geteuid() == 0, "root")
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("bin/systemd-sysusers", "#!/bin/sh\nexec cat \"$1\"\n", 0o755)
	write("bin/getent", "#!/bin/sh\n", 0o755)
	write("bin/runuser", "#!/bin/sh\necho \"runuser $*\"\nexit 1\n", 0o755)
	write("etc/holdfast/holdfast.toml", completedTOML, 0o600)
	c := exec.Command("make", "-C", "../..", "install", "PROGRAM="+writeProgram(t, dir), "PREFIX="+filepath.Join(dir, "opt"), "SYSCONFDIR="+filepath.Join(dir, "etc"))
	c.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("make install: %v: %s", err, out)
	}
	file := filepath.Join(dir, "etc/holdfast/holdfast.toml")
	for _, want := range []string{"u holdfast - ", "runuser -u holdfast -- test -r " + file, "chgrp holdfast " + file + " && chmod g+r " + file} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// TestUnitExposure has systemd judge the unit.
func TestUnitExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	require(t, err == nil, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "holdfast.service")
	text, err := os.ReadFile("../../examples/holdfast.service")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", unit).CombinedOutput()
	m := regexp.MustCompile(`exposure level for holdfast.service: ([0-9.]+)`).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("systemd-analyze: %v\n%s", err, out)
	}
	score, err := strconv.ParseFloat(m[1], 64)
	t.Logf("measured: exposure %s, %v", m[1], err)
	if err != nil || score > 2.5 {
		t.Errorf("the unit is more exposed than 2.5:\n%s", out)
	}
}
