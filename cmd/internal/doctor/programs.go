package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// testRunDir wants a run directory that can be written to and that a boot empties.
func testRunDir(_ context.Context, x *Examination) (found []Finding) {
	dir := x.Config.Node.RunDir
	at := dir
	for { // the daemon makes what is missing of it
		if _, err := fs.Stat(x.Files, relative(at)); err == nil || at == "/" {
			break
		}
		at = path.Dir(at)
	}
	info, err := fs.Stat(x.Files, relative(at))
	if err != nil {
		return []Finding{unseen(dir, err.Error())}
	}
	if !info.IsDir() {
		return []Finding{{
			Error, "run-dir-unusable", dir, fmt.Sprintf("%s is no folder", at), "The daemon does not start: its journal and its socket are in run_dir.",
			x.otherRunDir(at),
		}}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return []Finding{unseen(dir, err.Error())}
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		found = append(found, Finding{
			Error, "run-dir-unusable", dir, fmt.Sprintf("%s is on a file system that cannot be written to", at),
			"The daemon does not start: its journal and its socket are in run_dir.", x.otherRunDir(at),
		})
	}
	if !slices.Contains([]int64{unix.TMPFS_MAGIC, unix.RAMFS_MAGIC}, int64(st.Type)) {
		found = append(found, Finding{
			Warning, "run-dir-not-tmpfs", dir, "the run directory is on a disk, not in memory",
			"The daemon writes its journal there at each change: a disk that hangs delays that, and a restart is then not silent.",
			x.otherRunDir(at),
		})
	}
	return found
}

// otherRunDir puts the run directory where it is by default, from the next start of
// the daemon on; if it is there, it shows what is wrong with at, a folder on the way.
func (x *Examination) otherRunDir(at string) string {
	if x.Config.Node.RunDir == config.DefaultRunDir {
		return fmt.Sprintf("ls -ld %[1]s\nfindmnt --target %[1]s", at)
	}
	return fmt.Sprintf("# the daemon takes it at its next start\nsed -i -E 's|^( *)run_dir *=.*|\\1run_dir = %q|' %s", config.DefaultRunDir, x.Config.File)
}

func relative(p string) string {
	if p = strings.TrimPrefix(path.Clean(p), "/"); p == "" {
		return "."
	}
	return p
}

// daemonUser is the number of the user that the daemon runs as, or will by the
// unit of the package; empty for root.
func (x *Examination) daemonUser() string {
	if x.Status != nil {
		pid := strconv.Itoa(x.Status.Daemon.PID)
		if slices.ContainsFunc(x.processes(), func(p process) bool { return p.pid == pid && isHoldfast(p) }) {
			text, _ := x.read("/proc/" + pid + "/status")
			if ids := strings.Fields(colons(text)["Uid"]); len(ids) > 1 && ids[1] != "0" {
				return ids[1]
			}
			return ""
		}
	}
	if u, err := user.Lookup(x.unitUser()); err == nil && u.Uid != "0" {
		return u.Uid
	}
	return ""
}

// unitUser is the user that the unit of the daemon names; empty when it names none.
func (x *Examination) unitUser() (name string) {
	// Of those of one name the first counts; make install has its own place.
	for _, dir := range []string{"etc/systemd/system", "usr/local/lib/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"} {
		unit, err := x.read(dir + "/holdfast.service")
		if err != nil {
			continue
		}
		files, _ := fs.Glob(x.Files, "etc/systemd/system/holdfast.service.d/*.conf")
		for _, file := range files {
			text, _ := x.read(file)
			unit += "\n" + text
		}
		return assignments(section(unit, "[Service]"))["User"]
	}
	return ""
}

// asRoot is how the daemon is let become other users for its checks.
func (x *Examination) asRoot() string {
	const example = "share/doc/holdfast/examples/scripts-as-root.conf"
	file := "/usr/" + example
	if _, err := fs.Stat(x.Files, "usr/local/"+example); err == nil {
		file = "/usr/local/" + example
	}
	fix := "install -Dm644 -t /etc/systemd/system/holdfast.service.d " + file + "\nsystemctl daemon-reload"
	if x.Status != nil {
		fix += "\nsystemctl restart holdfast"
	}
	return fix
}

// testPrograms looks whether checks and hooks can be executed by who runs them.
func testPrograms(_ context.Context, x *Examination) (found []Finding) {
	daemon := x.daemonUser()
	for _, c := range x.Config.Checks {
		if c.Exec != nil {
			if c.Exec.User != "" && daemon != "" && x.Status == nil { // of a running one its rights tell
				found = append(found, Finding{
					Error, "check-as-other-user", c.Exec.Command[0],
					fmt.Sprintf("check %q runs as user %s, and the unit has the daemon run as user %s, who may not become another one", c.Name, c.Exec.User, x.unitUser()),
					"The check fails, and the node is demoted.", x.asRoot(),
				})
			}
			found = append(found, x.program(fmt.Sprintf("check %q", c.Name), "The check fails, and the node is demoted.", c.Exec.Command[0], cmp.Or(c.Exec.User, daemon))...)
		}
	}
	for n, h := range x.Config.Hooks {
		if len(h.Exec) > 0 {
			found = append(found, x.program(fmt.Sprintf("hook %d", n+1), "Nobody is told of changes by it.", h.Exec[0], daemon)...)
		}
	}
	return found
}

// program tells why a program cannot be run as a user; nothing when it can.
func (x *Examination) program(of, why, file, name string) []Finding {
	bad := func(title, fix string) []Finding {
		return []Finding{{Error, "program-not-executable", file, of + ": " + title, why, fix}}
	}
	uid, gids := 0, []int{0}
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			if u, err = user.LookupId(name); err != nil {
				return bad("there is no user "+name+" to run it as", "useradd --system "+name)
			}
		}
		name = u.Username
		uid, _ = strconv.Atoi(u.Uid)
		groups, _ := u.GroupIds()
		gids = nil
		for _, g := range append(groups, u.Gid) {
			n, _ := strconv.Atoi(g)
			gids = append(gids, n)
		}
	}
	for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
		if info, err := fs.Stat(x.Files, relative(dir)); err == nil && !may(info, uid, gids, 1) {
			return bad(fmt.Sprintf("user %s may not enter %s", orRoot(name), dir), "chmod o+x "+dir)
		}
	}
	info, err := fs.Stat(x.Files, relative(file))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("there is no such program", "ls -l "+path.Dir(file))
	case errors.Is(err, fs.ErrPermission):
		return []Finding{unseen(file, "needs root")}
	case err != nil:
		return []Finding{unseen(file, err.Error())}
	case info.IsDir():
		return bad("it is a folder", "ls -l "+file)
	case !may(info, uid, gids, 1):
		return bad(fmt.Sprintf("user %s may not execute it (mode %v)", orRoot(name), info.Mode()), "chmod a+rx "+file)
	}
	return x.interpreter(of, why, file)
}

// interpreter looks at the first line of a script.
func (x *Examination) interpreter(of, why, file string) []Finding {
	f, err := x.Files.Open(relative(file))
	if err != nil {
		return nil // to be executed it need not be read
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := f.Read(head)
	line, ok := strings.CutPrefix(firstLine(string(head[:n])), "#!")
	if words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' }); ok && len(words) > 0 {
		if _, err := fs.Stat(x.Files, relative(words[0])); errors.Is(err, fs.ErrNotExist) {
			return []Finding{{
				Error, "program-not-executable", file, fmt.Sprintf("%s: its first line names %q, which does not exist", of, words[0]), why,
				"head -1 " + file + " | od -c | head -3   # a \\r at the end is of an editor of another system: sed -i 's/\\r$//' " + file,
			}}
		}
	} else if !ok && n > 0 && isText(head[:n]) {
		return []Finding{{
			Error, "program-not-executable", file, of + ": it is a script whose first line names no program, and there is no shell to guess one", why,
			"sed -i '1i #!/bin/sh' " + file,
		}}
	}
	return nil
}

// isText tells whether bytes are of a text, and not of a program.
func isText(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c == 0 || c == 0x7f })
}

func orRoot(name string) string {
	if name == "" {
		return "root"
	}
	return name
}

// may tells whether a user has a right (1 to execute or enter) by the mode.
func may(info fs.FileInfo, uid int, gids []int, right fs.FileMode) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case !ok:
		return true
	case uid == 0:
		return info.IsDir() || mode&0o111 != 0
	case int(st.Uid) == uid:
		return mode&(right<<6) != 0
	case slices.Contains(gids, int(st.Gid)):
		return mode&(right<<3) != 0
	}
	return mode&right != 0
}
