package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// System is a Debian system of its own on a host: what .ci/peers made with
// mmdebstrap, with the shells it fetched. Its processes see the network of the
// host, a fresh copy of the system's files, and nothing of the machine's: what
// boots there can clean up in its own /tmp only.
type System struct {
	*Process
	host *Host
}

// systemScript takes the control group to make, or nothing; the folders of the
// system, uppermost first; a program of the machine for /opt/program; and what
// to run as process 1. Nothing of it is seen outside the mount namespace, which
// loses the machine's files at pivot_root.
const systemScript = `
set -e
cgroup=$1 lower=$2 program=$3
shift 3
mount --make-rprivate /
if [ -n "$cgroup" ]; then
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir "/sys/fs/cgroup/$cgroup"
	echo 0 >"/sys/fs/cgroup/$cgroup/cgroup.procs"
	umount /sys/fs/cgroup
fi
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
cd /mnt/root
touch opt/program
mount --bind "$program" opt/program
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
for dir in dev run tmp; do mount -t tmpfs tmpfs $dir; done
chmod 1777 tmp
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
pivot_root . mnt
cd /
umount -l /mnt
exec unshare --cgroup sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"' sh "$@"
`

// FindSystem looks for the folders of the system, which .ci/peers debian shells
// fetches.
func FindSystem() (lower string, err error) {
	for _, dir := range peerDirs() {
		debian, shells := filepath.Join(dir, "debian"), filepath.Join(dir, "shells")
		if isFile(filepath.Join(debian, "usr/bin/systemctl")) && isFile(filepath.Join(shells, "usr/bin/zsh")) {
			return shells + ":" + debian, nil
		}
	}
	return "", fmt.Errorf("%w: a Debian system is not in .peers (.ci/peers debian shells makes it)", ErrNoPeer)
}

// StartSystem starts a system with a program as process 1, such as systemd,
// which needs the name of a control group to make. Another program of the
// machine is /opt/program there.
func (h *Host) StartSystem(cgroup, program string, init ...string) (*System, error) {
	lower, err := FindSystem()
	if err != nil {
		return nil, err
	}
	args := append([]string{"--mount", "--ipc", "sh", "-c", systemScript, "sh", cgroup, lower, program}, init...)
	c := h.Command(context.Background(), "unshare", args...)
	c.Env = append(systemEnv(), "container=lab")
	p, err := h.StartCommand(c)
	if err != nil {
		return nil, err
	}
	return &System{p, h}, nil
}

func systemEnv() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"}
}

// Command prepares a program to run on the system.
func (s *System) Command(ctx context.Context, name string, args ...string) *Cmd {
	enter := []string{"--target", strconv.Itoa(s.PID()), "--mount", "--pid", "--cgroup", "--ipc", "--root", "--wd", "--", name}
	c := s.host.Command(ctx, "nsenter", append(enter, args...)...)
	c.Env, c.SharePIDs = systemEnv(), true // the namespace of the system
	return c
}

// StartCommand starts a prepared command.
func (s *System) StartCommand(c *Cmd) (*Process, error) { return s.host.StartCommand(c) }

// Ready waits until the system has its own files.
func (s *System) Ready(ctx context.Context) error {
	for {
		if s.Command(ctx, "test", "-e", "/opt/program", "-a", "!", "-e", "/mnt/root").Run() == nil {
			return nil
		}
		select {
		case <-s.Done():
			return fmt.Errorf("the system ended: %s", s.Output())
		case <-ctx.Done():
			return errors.Join(errors.New("the system does not start: "+s.Output()), ctx.Err())
		default:
		}
	}
}

// WriteFile writes a file of the system.
func (s *System) WriteFile(path, text string, mode os.FileMode) error {
	path = s.path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}

// ReadFile reads a file of the system.
func (s *System) ReadFile(path string) (string, error) {
	text, err := os.ReadFile(s.path(path))
	return string(text), err
}

func (s *System) path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(s.PID()), "root", path)
}
