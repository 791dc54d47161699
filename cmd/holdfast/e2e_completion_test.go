package main

// Completion as people meet it: TAB in the shells themselves.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// newSystem starts a Debian system on a node, with a process 1 that does nothing.
func (n *node) newSystem(cgroup string, init ...string) *lab.System {
	n.t.Helper()
	_, err := lab.FindSystem()
	require(n.t, err == nil, fmt.Sprint(err))
	s, err := n.StartSystem(cgroup, selfPath(), init...)
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// inside runs a program on a system and returns what it printed.
func inside(t testing.TB, s *lab.System, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	out, err := s.Command(ctx, name, args...).CombinedOutput()
	return string(out), err
}

func mustInside(t testing.TB, s *lab.System, name string, args ...string) string {
	t.Helper()
	out, err := inside(t, s, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// shell is a shell at a terminal. After ^O it prints its line between « and »,
// ^X* puts all that fits into the line.
type shell struct {
	t    *testing.T
	keys io.Writer
	p    *lab.Process
	seen int
}

const (
	showLine, allMatches, clearLine = "\x0f", "\x18*", "\x15"

	bashStart = `
bind -x '"\C-o": printf "\n«%s»\n" "$READLINE_LINE"'
bind '"\C-x*": insert-completions' '"\C-u": kill-whole-line' 'set bell-style none' 'set enable-bracketed-paste off'
`
	zshStart = `
unsetopt beep
autoload -Uz compinit && compinit -u -D
show() { print; print -r -- "«$BUFFER»" }
zle -N show
bindkey -e
bindkey '^O' show '^U' kill-whole-line
zle -C all-matches complete-word _generic
bindkey '^X*' all-matches
zstyle ':completion:all-matches:*' insert yes
zstyle ':completion:all-matches::::' completer _all_matches _complete
`
	fishStart = `
set -U fish_greeting
bind \co 'echo; echo "«"(commandline)"»"'
bind \cu 'commandline ""'
bind \cx\* 'commandline -r -- (commandline -c)(complete -C (commandline -c) | string replace -r "\t.*" "" | string join " ")'
`
)

// startShell starts a shell with a file of commands.
func startShell(t *testing.T, s *lab.System, command, file, start string) *shell {
	t.Helper()
	if err := s.WriteFile(file, start+"\necho rea''dy\n", 0o644); err != nil {
		t.Fatal(err)
	}
	// script gives it a terminal.
	c := s.Command(context.Background(), "script", "-qec", command, "/dev/null")
	theirs, keys := io.Pipe()
	c.Stdin = theirs
	p, err := s.StartCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		keys.Close()
		p.Kill()
	})
	sh := &shell{t: t, keys: keys, p: p}
	sh.await(regexp.MustCompile(`(ready)`))
	return sh
}

// await returns what matched in the output that was not yet looked at.
func (s *shell) await(pattern *regexp.Regexp) (found string) {
	s.t.Helper()
	eventually(s.t, 20*time.Second, fmt.Sprintf("the shell shows %s; it shows %q", pattern, s.p.Output()), func() bool {
		out := s.p.Output()[s.seen:]
		m := pattern.FindStringSubmatchIndex(out)
		if m == nil {
			return false
		}
		found, s.seen = out[m[2]:m[3]], s.seen+m[1]
		return true
	})
	return found
}

// typed is what becomes of the line after some keys.
func (s *shell) typed(keys string) string {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys+showLine); err != nil {
		s.t.Fatal(err)
	}
	line := s.await(regexp.MustCompile(`«([^»]*)»`))
	if _, err := io.WriteString(s.keys, clearLine); err != nil {
		s.t.Fatal(err)
	}
	return line
}

// all are the words that may follow a line.
func (s *shell) all(line string) []string {
	s.t.Helper()
	words := strings.Fields(strings.TrimPrefix(s.typed(line+allMatches), line))
	slices.Sort(words)
	return words
}

// completionPaths are where the shells look below share, as a package has it.
var completionPaths = map[string]string{
	"bash": "bash-completion/completions/holdfast",
	"zsh":  "zsh/vendor-completions/_holdfast",
	"fish": "fish/vendor_completions.d/holdfast.fish",
}

const completedTOML = `
[[instance]]
name = "outside"
interface = "eth0"
vrid = 51
addresses = ["192.0.2.100/24"]

[[instance]]
name = "inside"
interface = "eth0"
vrid = 52
addresses = ["192.0.2.101/24"]
`

func TestCompletion(t *testing.T) {
	t.Parallel()
	n := newNode(t, newLab(t), "lb1", "192.0.2.1/24")
	s := n.newSystem("", "sleep", "infinity")
	files := map[string]string{
		"/usr/bin/holdfast": "#!/bin/sh\n" + beHoldfast + "=1 exec /opt/program \"$@\"\n",
		"/opt/some-file":    "",
		"/root/running":     completedTOML,
		"/root/stopped":     "[control]\nsocket = \"/run/none\"\n" + strings.Replace(completedTOML, "outside", "elsewhere", 1),
	}
	for shell, path := range completionPaths {
		var script bytes.Buffer
		run(t.Context(), []string{"completion", shell}, &script, io.Discard)
		files["/usr/share/"+path] = script.String()
	}
	for path, text := range files {
		if err := s.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	daemon, err := s.StartCommand(s.Command(context.Background(), "holdfast", "run", "--config", "/root/running"))
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.WaitOutput(t.Context(), "starting"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ command, file, start string }{
		"bash":                 {"bash --rcfile /root/alone", "/root/alone", "source /usr/share/bash-completion/completions/holdfast\n" + bashStart},
		"with bash-completion": {"bash --rcfile /root/with", "/root/with", "source /usr/share/bash-completion/bash_completion\n" + bashStart},
		"zsh":                  {"zsh -i", "/root/.zshrc", zshStart},
		"fish":                 {"fish -i", "/root/.config/fish/config.fish", fishStart},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			completes(t, startShell(t, s, c.command, c.file, c.start))
		})
	}
}

// completes tries what a shell makes of TAB, and what else it would offer.
func completes(t *testing.T, sh *shell) {
	for _, c := range [][2]string{
		{"holdfast undr", "holdfast undrain "},
		{"holdfast help fail", "holdfast help failover "},
		{"holdfast drain --pers", "holdfast drain --persist "},
		{"holdfast check /opt/some", "holdfast check /opt/some-file "},
		{"holdfast check --config /opt/some", "holdfast check --config /opt/some-file "},
		{"holdfast check --config=/opt/some", "holdfast check --config=/opt/some-file "},
		{"holdfast sniff -i et", "holdfast sniff -i eth0 "},
		{"holdfast drain inside --why x out", "holdfast drain inside --why x outside "},
		{"holdfast events --instance=ins", "holdfast events --instance=inside "},
	} {
		if got := sh.typed(c[0] + "\t"); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
	for _, c := range []struct {
		line string
		all  []string
	}{
		{"holdfast drain ", []string{"inside", "outside"}},
		{"holdfast drain inside ", []string{"outside"}},
		{"holdfast drain --config /root/stopped ", []string{"elsewhere", "inside"}},
		{"holdfast drain --socket /run/none --config /run/none ", nil},
		{"holdfast nonsense ", nil},
		{"holdfast version ", nil},
	} {
		if got := sh.all(c.line); !slices.Equal(got, c.all) {
			t.Errorf("after %q come %q, want %q", c.line, got, c.all)
		}
	}
}
