package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Examination is what the tests look at. They do not change it.
type Examination struct {
	Config *config.Config
	// Instances are those that are examined, in the order of the file.
	Instances []*vrrp.Config
	// Links are the interfaces of this host, with their addresses.
	Links []*Link
	// Status is what the running daemon says; nil when none answers, and then
	// StatusError is why.
	Status      *control.Status
	StatusError error
	// Wait is how long a test may listen to the wire.
	Wait time.Duration

	// Files are those of the host, from its root: "etc/hosts", "proc/sys".
	Files fs.FS
	// Command runs a program and returns its standard output. A program that
	// is not installed is [exec.ErrNotFound].
	Command func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// statusPatience is how long a daemon may take to tell its status.
const statusPatience = 3 * time.Second

// New begins an examination of this host: of the instances named, or of all. It
// asks the daemon and lists the interfaces.
func New(ctx context.Context, cfg *config.Config, names []string, wait time.Duration) (*Examination, error) {
	x := &Examination{Config: cfg, Wait: wait, Files: os.DirFS("/"), Command: command}
	if err := x.choose(names); err != nil {
		return nil, err
	}
	var err error
	if x.Links, err = listLinks(); err != nil {
		return nil, err
	}
	patient, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	x.Status, _, x.StatusError = control.NewClient(cfg.Control.Socket).Status(patient)
	if x.StatusError != nil {
		x.Status = nil
	}
	x.markOurs()
	return x, nil
}

// UnknownError is an instance that the configuration does not have.
type UnknownError struct {
	Name string
	// Known are those it has.
	Known []string
}

func (e *UnknownError) Error() string {
	meant := ""
	if near := config.Nearest(e.Name, e.Known); near != "" {
		meant = fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Sprintf("there is no instance %q in the configuration%s", e.Name, meant)
}

func (x *Examination) choose(names []string) error {
	var known []string
	for n := range x.Config.Instances {
		known = append(known, x.Config.Instances[n].Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return &UnknownError{Name: name, Known: known}
		}
	}
	for n := range x.Config.Instances {
		if c := &x.Config.Instances[n]; len(names) == 0 || slices.Contains(names, c.Name) {
			x.Instances = append(x.Instances, c)
		}
	}
	return nil
}

// Interfaces names those of the instances, each once.
func (x *Examination) Interfaces() (names []string) {
	for _, in := range x.Instances {
		if !slices.Contains(names, in.Interface) {
			names = append(names, in.Interface)
		}
	}
	return names
}

// Link is the interface of a name; nil when there is none.
func (x *Examination) Link(name string) *Link {
	if i := slices.IndexFunc(x.Links, func(l *Link) bool { return l.Name == name }); i >= 0 {
		return x.Links[i]
	}
	return nil
}

// Present yields the interfaces of the instances that exist, each once.
func (x *Examination) Present() (links []*Link) {
	for _, name := range x.Interfaces() {
		if l := x.Link(name); l != nil {
			links = append(links, l)
		}
	}
	return links
}

// On lists the instances that are on an interface.
func (x *Examination) On(iface string) (list []*vrrp.Config) {
	for _, in := range x.Instances {
		if in.Interface == iface {
			list = append(list, in)
		}
	}
	return list
}

// command runs a program of the host, which has the folders of root's programs
// also for others, and says its messages in English.
func command(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/local/sbin/"} {
		if err != nil {
			path, err = exec.LookPath(dir + name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	c := exec.CommandContext(ctx, path, args...)
	c.Env = append(os.Environ(), "LC_ALL=C")
	c.WaitDelay = time.Second
	out, err := c.Output()
	if e, ok := err.(*exec.ExitError); ok && len(e.Stderr) > 0 {
		err = fmt.Errorf("%s: %w: %s", name, err, firstLine(string(e.Stderr)))
	}
	return out, err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// read returns a file of the host without the white space around it.
func (x *Examination) read(path string) (string, error) {
	text, err := fs.ReadFile(x.Files, strings.TrimPrefix(path, "/"))
	return strings.TrimSpace(string(text)), err
}
