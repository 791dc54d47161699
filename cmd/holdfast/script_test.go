package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// TestScripts runs testdata/script/*.txtar: what a person types and what comes
// of it. Beside testscript's own commands there are
//
//	holdfast STATUS [ARGUMENT ...]   the program; it must exit with STATUS
//	nobody STATUS [ARGUMENT ...]     the same as a user without rights
//	daemon NAME [ARGUMENT ...]       holdfast run, left running until the end
//	leave NAME ARGUMENT ...          the program, left running until the end
//	await NAME REGEXP                until it has written that
//	quit NAME [STATUS]               end it with SIGTERM; what it wrote is the output
//	dead NAME                        end it with SIGKILL
//	listen PATH                      a socket that somebody else listens on
//	head BYTES FILE NEW              the beginning of a file
//
// the condition root, and $CAPTURES, where capture files are. A last argument
// <FILE of the program is its standard input. As root each program has a network namespace of its
// own without any interface, so that no script touches the machine's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setupScript,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"holdfast": func(ts *testscript.TestScript, neg bool, args []string) { scriptRun(ts, neg, args, os.Geteuid()) },
			"nobody":   func(ts *testscript.TestScript, neg bool, args []string) { scriptRun(ts, neg, args, 65534) },
			"daemon":   scriptDaemon,
			"leave":    scriptLeave,
			"await":    scriptAwait,
			"quit":     scriptQuit,
			"dead":     scriptDead,
			"listen":   scriptListen,
			"head":     scriptHead,
		},
	})
}

type daemonsKey struct{}

// daemons are those that a script left running.
type daemons map[string]*scriptProcess

type scriptProcess struct {
	cmd  *exec.Cmd
	out  *logBuffer
	done chan struct{} // closed when it has ended
	err  error         // how; read after done
}

func setupScript(env *testscript.Env) error {
	list := daemons{}
	env.Values[daemonsKey{}] = list
	env.Defer(func() {
		for _, d := range list {
			d.cmd.Process.Kill()
			<-d.done
		}
	})
	captures, err := filepath.Abs("../internal/sniff/testdata")
	if err != nil {
		return err
	}
	env.Setenv("CAPTURES", captures)
	// Users without rights must be able to read the files, too.
	return os.Chmod(filepath.Dir(env.WorkDir), 0o755)
}

// scriptCommand prepares the program, which is this very test binary. It may
// lie where a user without rights cannot look, but everybody can run himself.
func scriptCommand(ts *testscript.TestScript, uid int, args []string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Dir = ts.MkAbs(".")
	c.Env = append(os.Environ(), beHoldfast+"=1", "TZ=UTC") // times are shown to people
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	if uid != os.Geteuid() {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	return c
}

func scriptRun(ts *testscript.TestScript, neg bool, args []string, uid int) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: holdfast STATUS [ARGUMENT ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var stdin io.Reader
	if last := args[len(args)-1]; strings.HasPrefix(last, "<") {
		stdin, args = strings.NewReader(ts.ReadFile(last[1:])), args[:len(args)-1]
	}
	c := scriptCommand(ts, uid, args[1:])
	c.Stdin = stdin
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	ts.Check(c.Start())
	timer := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
	defer timer.Stop()
	if err := c.Wait(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			ts.Check(err)
		}
	}
	io.Copy(ts.Stdout(), &stdout)
	io.Copy(ts.Stderr(), &stderr)
	if got := c.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d (%v), want %d\n%s%s", got, c.ProcessState, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// scriptDaemon starts a daemon and waits until it answers on the control socket
// of the script, which is run/holdfast.sock.
func scriptDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon NAME [ARGUMENT ...]")
	}
	d := scriptStart(ts, args[0], append([]string{"run"}, args[1:]...))
	client := control.NewClient(ts.MkAbs("run/holdfast.sock"))
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		select {
		case <-d.done:
			ts.Fatalf("the daemon ended: %v\n%s", d.err, d.out)
		default:
		}
		if st, _, err := client.Status(context.Background()); err == nil && st.Daemon.PID == d.cmd.Process.Pid {
			return
		}
		if time.Now().After(until) {
			ts.Fatalf("the daemon does not answer\n%s", d.out)
		}
	}
}

func scriptStart(ts *testscript.TestScript, name string, args []string) *scriptProcess {
	d := &scriptProcess{cmd: scriptCommand(ts, os.Geteuid(), args), out: &logBuffer{}, done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	ts.Check(d.cmd.Start())
	ts.Value(daemonsKey{}).(daemons)[name] = d
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	return d
}

func scriptLeave(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: leave NAME ARGUMENT ...")
	}
	scriptStart(ts, args[0], args[1:])
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME REGEXP")
	}
	d := ts.Value(daemonsKey{}).(daemons)[args[0]]
	if d == nil {
		ts.Fatalf("there is no %s", args[0])
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for until := time.Now().Add(10 * time.Second); !want.MatchString(d.out.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			ts.Fatalf("it has not written %q, but\n%s", args[1], d.out)
		}
	}
}

func scriptEnd(ts *testscript.TestScript, args []string, sig syscall.Signal) *scriptProcess {
	if len(args) == 0 {
		ts.Fatalf("which daemon?")
	}
	list := ts.Value(daemonsKey{}).(daemons)
	d := list[args[0]]
	if d == nil {
		ts.Fatalf("there is no daemon %s", args[0])
	}
	delete(list, args[0])
	ts.Check(d.cmd.Process.Signal(sig))
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.cmd.Process.Kill()
		ts.Fatalf("the daemon does not stop\n%s", d.out)
	}
	fmt.Fprint(ts.Stdout(), d.out.String())
	return d
}

func scriptQuit(ts *testscript.TestScript, _ bool, args []string) {
	want := 0
	if len(args) == 2 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	if d := scriptEnd(ts, args, syscall.SIGTERM); d.cmd.ProcessState.ExitCode() != want {
		ts.Fatalf("it ended with %v, want %d\n%s", d.cmd.ProcessState, want, d.out)
	}
}

func scriptDead(ts *testscript.TestScript, _ bool, args []string) {
	scriptEnd(ts, args, syscall.SIGKILL)
}

func scriptListen(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

func scriptHead(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: head BYTES FILE NEW")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	text := ts.ReadFile(args[1])
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text[:n]), 0o644))
}

// logBuffer is the output of a process that goes on.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
