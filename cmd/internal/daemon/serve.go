package daemon

import (
	"context"
	"io"
	"net"
	"os"
	"os/user"
	"sync/atomic"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/claim"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// Setup is what the command line gives the daemon.
type Setup struct {
	Config  *config.Config
	Version string
	Log     io.Writer
	Reload  <-chan os.Signal
	// Leave, closed, ends the daemon with all left as it is.
	Leave <-chan struct{}
	// Load reads the configuration again, with its warnings.
	Load func() (*config.Config, []string, error)
}

// Serve runs a daemon on the real kernel until ctx ends. Before it touches
// anything it makes sure that it may, and that it is alone.
func Serve(ctx context.Context, s Setup) error {
	if err := privileges(); err != nil {
		return err
	}
	var inForce atomic.Pointer[config.Config]
	inForce.Store(s.Config)
	claimed, err := claimRunDir(s.Config.Node.RunDir, func() []byte { return tellRouters(inForce.Load()) })
	if err != nil {
		return err
	}
	defer claimed.Release()
	beside := neighbours(claimed)
	if err := disjoint(s.Config, beside, existing); err != nil {
		return err
	}
	dir, err := openRunDir(s.Config)
	if err != nil {
		return err
	}
	defer dir.close()
	kernel, err := vip.NewKernel()
	if err != nil {
		return err
	}
	defer kernel.Close()
	network, err := transport.New()
	if err != nil {
		return err
	}
	defer network.Close()
	remembering := rememberSettings(kernel, s.Config.Node.RunDir)
	journal, before := logbook.ToJournal(s.Log), ""
	if journal && s.Config.Node.LogFormat == "auto" {
		before = "<4>"
	}
	log, patience := newAsyncWriter(s.Log, before), logPatience
	defer func() { log.Close(patience) }()
	reserveThreads(threadsFor(s.Config))
	scheduled, urgency := makeUrgent()
	rehearse() // what it touches is locked in memory from now on
	d := New(Options{
		Config: s.Config, Load: s.loadBeside(claimed), Neighbours: beside, InForce: inForce.Store, Version: s.Version, Log: log, ToJournal: journal, Control: dir.listener,
		Kernel: remembering, RestoreSettings: remembering.restore, Network: network, Watch: kernel.Watch,
		Journal: s.Config.Node.RunDir, State: StateDir(s.Config.Node.RunDir), Leave: s.Leave,
	})
	d.opts.Mend = func() mending {
		m := dir.mend()
		if len(m.gone) > 0 && m.err == nil {
			remembering.writeAgain()
		}
		return m
	}
	d.garbage = newCollector(kernel.Stops())
	collecting, stop := context.WithCancel(context.Background())
	defer stop()
	go d.garbage.run(collecting)
	if scheduled != nil && !scheduled.chosen() {
		go newSentinel(scheduled, network.Overdue, func(err error) {
			d.post(func() { d.trouble("a busy host can delay adverts", err) })
		}).run(collecting)
	}
	if urgency != nil {
		d.trouble("a busy host can delay adverts: it does not permit what would help ('holdfast doctor' tells how)", urgency)
	}
	err = d.Run(ctx, s.Reload)
	if d.left {
		patience = leaveMost
	}
	return err
}

// loadBeside returns Load, which refuses what a neighbour has.
func (s *Setup) loadBeside(c *claim.Claim) func() (*config.Config, []string, error) {
	return func() (*config.Config, []string, error) {
		cfg, warnings, err := s.Load()
		if err == nil {
			err = disjoint(cfg, neighbours(c), existing)
		}
		return cfg, warnings, err
	}
}

// listen opens the control socket. The default group need not exist.
func listen(c config.Control) (net.Listener, error) {
	group := c.Group
	if _, err := user.LookupGroup(group); err != nil && group == config.DefaultGroup {
		group = ""
	}
	return control.Listen(c.Socket, group)
}
