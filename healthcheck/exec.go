package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// killTime is how long a killed program is waited for. One that is stuck in
// the kernel, on a dead disk or file server, dies later or never.
const killTime = 1 * time.Second

type execProber struct {
	name   string
	config *Exec
	// kill is (*process).kill; tests make programs immortal.
	kill func(*process)
	// account is who to run as, found at the first probe that finds it.
	account *account
	// stuck is the program of an earlier probe that did not die, or start.
	stuck *stuckProcess
}

type stuckProcess struct {
	what string
	gone <-chan struct{}
}

func newExec(name string, e *Exec) *execProber {
	return &execProber{name: name, config: e, kill: (*process).kill}
}

func (e *execProber) Probe(ctx context.Context) (string, error) {
	if err := e.awaitStuck(ctx); err != nil {
		return "", err
	}
	if e.account == nil {
		a, err := lookupAccount(e.config.User)
		if err != nil {
			return "", err
		}
		e.account = a
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	p, err := e.launch(ctx)
	if late, ok := errors.AsType[*lateError](err); ok {
		return e.tooLate(ctx, late)
	}
	if err != nil {
		return "", err
	}
	select {
	case <-p.exited:
		return p.wait()
	case <-ctx.Done():
		return e.abort(ctx, p)
	}
}

// launch starts the program, once it is its turn.
func (e *execProber) launch(ctx context.Context) (*process, error) {
	end, err := turn(ctx, e.config.Command[0])
	if err != nil {
		return nil, err
	}
	return launch(ctx, e.config.Command[0], end, e.start)
}

func (e *execProber) start(l *launching) (*process, error) {
	p, err := start(l, e.config.Command, e.environment(), e.account.credential)
	if errors.Is(err, syscall.EPERM) && e.account.credential != nil {
		return nil, fmt.Errorf("start %s as user %q: %w: the daemon may not become another user; run it as root, with systemd by scripts-as-root.conf",
			e.config.Command[0], e.config.User, syscall.EPERM)
	}
	return p, err
}

// tooLate tells of a program that was not started in time.
func (e *execProber) tooLate(ctx context.Context, late *lateError) (string, error) {
	if late.gone != nil {
		e.stuck = &stuckProcess{fmt.Sprintf("the start of %s by an earlier probe hangs in the kernel", e.config.Command[0]), late.gone}
	}
	return late.why, ctx.Err()
}

// abort kills a program that took too long.
func (e *execProber) abort(ctx context.Context, p *process) (string, error) {
	e.kill(p)
	late := time.NewTimer(killTime)
	defer late.Stop()
	select {
	case <-p.exited:
		output, _ := p.wait()
		return output, ctx.Err()
	case <-late.C:
	}
	pid, gone := p.cmd.Process.Pid, make(chan struct{})
	e.stuck = &stuckProcess{fmt.Sprintf("process %d of an earlier probe does not die", pid), gone}
	go func() {
		defer close(gone)
		p.wait()
	}()
	return fmt.Sprintf("process %d does not die", pid), ctx.Err()
}

// awaitStuck waits until the program of an earlier probe is gone: checks must
// not pile up on a host in trouble.
func (e *execProber) awaitStuck(ctx context.Context) error {
	if e.stuck == nil {
		return nil
	}
	select {
	case <-e.stuck.gone:
		e.stuck = nil
		return nil
	case <-ctx.Done():
		return errors.New(e.stuck.what)
	}
}

func (e *execProber) environment() []string {
	env := []string{"PATH=" + defaultPath, "HOLDFAST_CHECK=" + e.name}
	env = append(env, e.account.env...)
	return append(env, e.config.Env...)
}

// account is who a program runs as.
type account struct {
	credential *syscall.Credential // nil for ourselves
	env        []string
}

// lookupAccount finds a user by name or number; the empty one is ourselves.
func lookupAccount(name string) (*account, error) {
	if name == "" {
		return &account{}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if byID, idErr := user.LookupId(name); idErr == nil {
			u, err = byID, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find user %q: %w", name, err)
	}
	a := &account{env: []string{"USER=" + u.Username, "LOGNAME=" + u.Username, "HOME=" + u.HomeDir}}
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return a, nil // needs no privilege
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("find the groups of user %q: %w", name, err)
	}
	ids, err := parseIDs(slices.Concat([]string{u.Uid, u.Gid}, groups))
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	a.credential = &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}
	return a, nil
}

func parseIDs(words []string) ([]uint32, error) {
	ids := make([]uint32, len(words))
	for i, w := range words {
		id, err := strconv.ParseUint(w, 10, 32)
		if err != nil {
			return nil, err
		}
		ids[i] = uint32(id)
	}
	return ids, nil
}
