package manual

import (
	"slices"
	"strings"
)

// Command is what there is to say of a command.
type Command struct {
	Name, Short string
	Usage       string // the line
	Long, Exit  string
	Flags       []Term
	Examples    []Term
}

// Term is a flag or a line to type, with what it means.
type Term struct{ Form, Text string }

// Program is the page holdfast(8). The commands are in the order in which they
// are to be shown.
func Program(commands []Command, e Edition) string {
	w := &writer{}
	w.head("holdfast", "8", "keep a virtual IP address on exactly one healthy host", e)
	w.request("SH", "SYNOPSIS")
	for n, c := range commands {
		if n > 0 {
			w.request("br")
		}
		w.line(c.Usage)
	}
	w.section("DESCRIPTION", `
Holdfast keeps a virtual IP address on exactly one healthy host of a pair or
small group. It speaks VRRP, versions 2 and 3 (RFC 3768, RFC 9568), so that it
works beside keepalived, FRR and routers. A planned change loses no packet, and
the kernel itself removes the addresses of a daemon that is killed or hangs.

The daemon is 'holdfast run', as a rule started by systemd. It reads one file,
see holdfast.toml(5). The other commands ask it and steer it over a unix socket,
or need no daemon at all.`)
	w.request("SH", "COMMANDS")
	for _, c := range commands {
		w.request("SS", c.Usage)
		w.text(lines(c.Long))
		w.terms(c.Flags)
		w.examples(c.Examples)
		if c.Exit != "" {
			w.request("PP")
			w.text(slices.Concat([]string{"Exit status:"}, lines(c.Exit)))
		}
	}
	w.section("EXIT STATUS", `
0 done, 1 refused, failed or unhealthy, 2 wrong usage, 3 no daemon answers, 78 a
daemon is to run whose configuration is refused. What it means for a command is
said there.`)
	w.request("SH", "FILES")
	w.terms([]Term{
		{"/etc/holdfast/holdfast.toml", "The configuration, see holdfast.toml(5)."},
		{"/run/holdfast/holdfast.sock", "The control socket: HTTP and JSON. Members of group adm may read; changing anything needs root, or the user that runs the daemon."},
		{"/run/holdfast/", "Journal and history, with which the next daemon goes on after a restart."},
		{"/var/lib/holdfast/", "What outlives a reboot: drains made with --persist."},
	})
	w.section("COMPLETION", `
'holdfast completion bash', zsh or fish prints what makes the shell complete
commands, flags and the names of instances. Where a package has not installed
it:

  source <(holdfast completion bash)          # in ~/.bashrc; likewise zsh
  holdfast completion fish | source           # in ~/.config/fish/config.fish`)
	w.section("SEE ALSO", `
holdfast.toml(5), systemctl(1), ip(8)`)
	return w.String()
}

// section writes a section of plain text.
func (w *writer) section(title, text string) {
	w.request("SH", title)
	w.text(lines(text))
}

// terms writes a list of what things mean.
func (w *writer) terms(list []Term) {
	for _, t := range list {
		w.request("TP")
		w.request("B", t.Form)
		w.line(t.Text)
	}
}

// examples writes lines to type, each under what it is good for.
func (w *writer) examples(list []Term) {
	var text []string
	for _, e := range list {
		text = append(text, "  # "+e.Text, "  "+e.Form)
	}
	if len(text) > 0 {
		w.verbatim(text)
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }
