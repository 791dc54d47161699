package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

func reloadCommand() command {
	return command{
		name: "reload", short: "make the daemon read its configuration again",
		long: `
Makes the running daemon read its configuration again and waits until it has.
Only what differs is touched; a file with an error is refused whole, its errors
are printed, and the running configuration goes on. Needs root, or the user
that runs the daemon. SIGHUP does the same.`,
		examples: []example{{"holdfast check && sudo holdfast reload", "look first; systemctl reload holdfast reloads, too"}},
		exit:     "0 reloaded, 1 refused, 2 wrong usage, 3 no daemon answers.",
		setup: func(flags *flag.FlagSet) runner {
			socket := socketFlags(flags)
			return func(env *environment, _ []string) int {
				path, err := socket()
				if err != nil {
					return env.failAll(err)
				}
				return reload(env, control.NewClient(path))
			}
		},
	}
}

func reload(env *environment, daemon *control.Client) int {
	done, err := daemon.Reload(env.ctx)
	if err != nil {
		return env.unanswered(err)
	}
	for _, w := range done.Warnings {
		fmt.Fprintln(env.stderr, w)
	}
	fmt.Fprintln(env.stdout, "reloaded")
	return exitDone
}

// unanswered tells why the daemon did not do what it was asked for, and returns
// the exit status that this deserves.
func (env *environment) unanswered(err error) int {
	switch {
	case errors.Is(err, control.ErrNotRunning):
		env.fail(err)
		return exitNotRunning
	case strings.Contains(err.Error(), "\n"): // a configuration's
		return env.failAll(err)
	}
	return env.fail(err)
}

// socketFlags adds the flags that name the control socket. The result is
// called after parsing.
func socketFlags(flags *flag.FlagSet) func() (string, error) {
	socket := flags.String("socket", "", "the daemon's control socket is `PATH` (default "+config.DefaultSocket+")")
	file := flags.String("config", "", "take the socket from configuration `FILE`")
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
			if s, ok := besides(path, err); ok {
				return s, nil
			}
			return "", err
		}
		return config.DefaultSocket, nil // no file, or one under repair
	}
}

// besides returns the socket of the daemon that goes on while its configuration has
// mistakes: it can be asked all the same, and is to hear of a reload.
func besides(path string, err error) (socket string, ok bool) {
	if _, wrong := errors.AsType[config.Errors](err); !wrong {
		return "", false
	}
	text, err := config.Read(path)
	if err != nil {
		return "", false
	}
	if socket, ok = config.SocketOf(text); !ok && path != config.DefaultPath {
		return "", false
	}
	info, err := os.Stat(socket)
	return socket, err == nil && info.Mode().Type() == os.ModeSocket
}
