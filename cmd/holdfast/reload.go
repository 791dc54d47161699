package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func reloadCommand() command {
	c := command{
		name: "reload", short: "make the daemon read its configuration again",
		long: `
Makes the running daemon read its configuration again and waits until it has.
Only what differs is touched; a file with an error is refused whole, its errors
are printed, and the running configuration goes on. Needs root, or the user
that runs the daemon. SIGHUP does the same.

  --socket PATH   the daemon's control socket (default ` + config.DefaultSocket + `)
  --config FILE   take the socket from this configuration

Exit status: 0 reloaded, 1 refused, 3 no daemon answers.`,
	}
	c.run = func(env *environment, flags *flag.FlagSet, args []string) int {
		socket := socketFlags(flags)
		if _, ok := c.parse(env, flags, args, 0); !ok {
			return exitUsage
		}
		path, err := socket()
		if err != nil {
			return env.failAll(err)
		}
		done, err := control.NewClient(path).Reload(env.ctx)
		if errors.Is(err, control.ErrNotRunning) {
			env.fail(err)
			return exitNotRunning
		}
		if err != nil {
			return env.failAll(err)
		}
		for _, w := range done.Warnings {
			fmt.Fprintln(env.stderr, w)
		}
		fmt.Fprintln(env.stdout, "reloaded")
		return exitDone
	}
	return c
}

// socketFlags adds the flags that name the control socket. The result is
// called after parsing.
func socketFlags(flags *flag.FlagSet) func() (string, error) {
	socket := flags.String("socket", "", "the control socket")
	file := flags.String("config", "", "take the socket from this configuration")
	return func() (string, error) {
		if *socket != "" {
			return *socket, nil
		}
		path := *file
		if path == "" {
			path = config.DefaultPath
		}
		cfg, _, err := config.Load(path)
		switch {
		case err == nil:
			return cfg.Control.Socket, nil
		case *file != "":
			return "", err
		}
		return config.DefaultSocket, nil // no file, or one under repair
	}
}
