package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/daemon"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
)

func runCommand() command {
	return command{
		name: "run", short: "run the daemon in the foreground",
		long: `
Runs the daemon in the foreground, as systemd wants it, until SIGTERM or
SIGINT. It then hands its addresses over and leaves the host as it was. SIGHUP
reloads the configuration. SIGUSR2, which the systemd unit sends for a restart,
ends it with all addresses left in place, for the next daemon to go on with.
Needs root, or CAP_NET_ADMIN and CAP_NET_RAW.`,
		examples: []example{{"sudo holdfast run --config ./holdfast.toml", "try a configuration; Ctrl-C hands over and cleans up"}},
		exit: `0 stopped, 1 could not start or could not clean up, 2 wrong usage,
78 the configuration is refused: the unit is not started again.`,
		setup: func(flags *flag.FlagSet) runner {
			path := flags.String("config", config.DefaultPath, "the configuration is `FILE`")
			return func(env *environment, _ []string) int { return runDaemon(env, *path) }
		},
	}
}

func runDaemon(env *environment, path string) int {
	// Else Go ends the process, with nothing handed over, once nobody reads its log
	// any more. To ignore it would have hooks and checks ignore it, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	log, warn := env.stderr, env.stderr
	if logbook.ToJournal(log) { // what is wrong is to be found by its priority, too
		warn = logbook.Lines(log, logbook.PriorityWarning)
		env = &environment{env.ctx, env.stdout, logbook.Lines(log, logbook.PriorityError)}
	}
	cfg, warnings, err := load(path)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w\n  let the daemon's group read it: chgrp %s %s && chmod g+r %[3]s", err, ownGroup(), path)
	}
	if err != nil {
		env.failAll(err)
		return exitConfig
	}
	for _, w := range warnings {
		fmt.Fprintln(warn, w)
	}
	ctx, stop := signal.NotifyContext(env.ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	leave := make(chan struct{})
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGUSR2)
	go func() {
		<-restart
		close(leave)
	}()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err = daemon.Serve(ctx, daemon.Setup{
		Config: cfg, Version: versionString(), Log: log, Reload: reload, Leave: leave,
		Load: func() (*config.Config, []string, error) { return load(path) },
	})
	if err != nil {
		return env.fail(err)
	}
	return exitDone
}

// ownGroup is the name of the group of this process, or its number.
func ownGroup() string {
	id := strconv.Itoa(os.Getegid())
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
