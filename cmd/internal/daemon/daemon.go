// Package daemon puts the parts together: the loop that owns the Engine, the
// sockets, the addresses, the checks, the hooks and the control socket.
//
// One goroutine runs the loop: it waits for packets of all sockets and for the
// time, sends and receives. Everything else hands it closures, and gets its orders
// without ever making the loop wait.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
	"github.com/holdfast-vrrp/holdfast/healthcheck"
	"github.com/holdfast-vrrp/holdfast/notify"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

// Options are what the outside gives the daemon. Tests put twins in place of
// the kernel and the network.
type Options struct {
	// Config is the configuration to start with.
	Config *config.Config
	// Load reads the configuration again, for a reload.
	Load func() (*config.Config, []string, error)
	// Version is shown in status.
	Version string
	// Log is where the log goes, and ToJournal whether that is the journal of
	// systemd.
	Log       io.Writer
	ToJournal bool
	// Control, when not nil, is the listener of the control socket.
	Control net.Listener
	// Mend, when not nil, puts back what somebody deleted of the run directory.
	Mend func() mending

	Kernel vip.Kernel
	// RestoreSettings, when not nil, puts back the kernel settings that an
	// earlier run left changed, except those to keep, and tells which.
	RestoreSettings func(keep func(path string) bool) ([]string, error)
	Network         transport.Network
	// Journal is the directory of the journal; empty for none.
	Journal string
	// Neighbours are the other daemons of this network namespace.
	Neighbours []neighbour
	// InForce, when not nil, gets each configuration that is made the running one.
	InForce func(*config.Config)
	// State is the directory of what is to survive a reboot; empty for none.
	State string
	// Boottime is the time since the boot, suspension included; nil for the
	// kernel's. Run alone calls it.
	Boottime func() time.Duration
	// Leave, when it is closed, makes the daemon end at once and leave all as it
	// is for the one that is started next.
	Leave <-chan struct{}
	// Watch delivers the state of links, first all of them and then changes,
	// until the context ends. trouble hears why they cannot be read, and nil once they
	// can be again.
	Watch func(ctx context.Context, deliver func([]vip.LinkState), trouble func(error)) error
}

const (
	// stopGrace is how long each step of the end may take: to remove the last
	// addresses, to run hooks beyond the time that one may take, and the rest.
	stopGrace = 10 * time.Second
	// callBacklog is how many closures may wait for the loop.
	callBacklog = 256
)

// Daemon is one running node. All fields but the channels belong to the loop.
type Daemon struct {
	opts    Options
	log     *logbook.Logger
	cfg     *config.Config
	engine  *vrrp.Engine
	now     time.Time
	started time.Time

	calls   chan func()
	ended   chan struct{} // closed when the loop is over
	workers sync.WaitGroup
	packets []transport.Packet // reused for each batch

	links       map[string]vip.LinkState
	linkStates  map[string]string // as people were told
	ports       map[string]string // of what used interfaces are ports, as people were told
	synced      bool              // the first full state of the links was seen
	ready       bool              // the supervisor was told that the start is over
	listError   string            // why links cannot be listed
	sockets     map[transport.Place]*socket
	socketNames map[transport.Place]string
	crowdsSeen  time.Time       // when strangers were last counted
	crowdsStay  bool            // the kernel would not keep them away
	retrying    map[string]bool // interfaces whose sockets are tried again soon
	deaf        map[transport.Place]*deaf
	auditAt     time.Time // when all addresses are compared with the kernel's; zero before they are known
	blind       map[string]*blind
	writing     []*socket
	batch       batch // reused for each of them
	work        []vrrp.Action
	advert      vrrp.AdvertReceived

	addresses *vip.Manager
	owners    map[uint64]string // what addresses knows virtual routers by, by serial
	checks    *healthcheck.Runner
	results   map[string]healthcheck.Result
	hooks     *notify.Queue
	spool     *spool
	elsewhere elsewhere
	survey    survey
	told      map[string]told // by instance
	tellDue   bool            // at the end of the turn
	tellWaits bool            // for tellDelay

	journal        *journal
	journalDue     bool           // a look at what changed is planned
	journalIndexes map[string]int // of interfaces
	journalTook    time.Duration  // the last one
	journalBusy    bool
	journalNext    *journalFile // to be written
	journalWrites  sync.WaitGroup
	journalError   string // why a restart will not be silent; empty when it will
	// The last write failed, and another one is planned.
	journalFailed, journalRetrying bool

	tending   bool   // somebody looks after the files
	mendError string // what is gone and cannot be put back

	boot time.Duration // now, by the clock that counts suspension too
	wake time.Duration // boot time at which the loop should wake; 0 for never
	left bool          // to the next daemon

	rehearsed time.Time // the last take-over

	operations    []*operation // whose outcome is open
	drains        *drainStore
	drainsDue     bool // at the end of the turn
	drainsWriting int
	drainsFailed  bool
	drainsUnread  bool // the file is none that this daemon can read

	supervisor   *supervisor
	server       *control.Server // nil when nobody is answered
	tellStatus   bool
	fed          time.Time
	stopping     bool
	failed       error // why it is stopping, if not asked to
	reloadError  string
	reloading    bool
	reloads      []func() // asked for meanwhile
	hooksFailed  uint64
	hooksDropped uint64
	spoolFails   atomic.Bool
	telemetry    telemetry
	site         site
	events       *history.History
	garbage      *collector // nil where the runtime collects
}

// New returns a daemon that has not touched anything yet.
func New(opts Options) *Daemon {
	if opts.Boottime == nil {
		opts.Boottime = newBootClock().read
	}
	d := &Daemon{
		opts: opts, cfg: opts.Config, engine: vrrp.NewEngine(),
		packets: make([]transport.Packet, batchLen), calls: make(chan func(), callBacklog), ended: make(chan struct{}),
		links: map[string]vip.LinkState{}, sockets: map[transport.Place]*socket{}, socketNames: map[transport.Place]string{},
		retrying:   map[string]bool{},
		deaf:       map[transport.Place]*deaf{},
		linkStates: map[string]string{}, ports: map[string]string{},
		blind:   map[string]*blind{},
		results: map[string]healthcheck.Result{},
		owners:  map[uint64]string{},

		journalIndexes: map[string]int{},
		told:           map[string]told{},
		supervisor:     &supervisor{},
	}
	d.log = newLogger(opts.Log, opts.Config.Node.LogLevel, opts.Config.Node.LogFormat, opts.ToJournal)
	d.events = history.New(d.historyKept)
	return d
}

// Run runs the daemon until ctx ends, and then hands everything over, removes
// what it installed and runs the last hooks. reload asks for a reload.
func (d *Daemon) Run(ctx context.Context, reload <-chan os.Signal) error {
	d.started = time.Now()
	d.now, d.boot = d.started, d.opts.Boottime()
	d.events.Start(d.opts.Journal)
	defer d.events.Close(historyGrace)
	d.record(history.Event{Kind: history.KindDaemon, Text: "holdfast " + d.opts.Version + " starts"},
		"starting", "version", d.opts.Version, "node", d.cfg.Node.Name, "pid", os.Getpid(), "config", d.cfg.File, "instances", len(d.cfg.Instances))
	var err error
	if d.supervisor, err = newSupervisor(); err != nil {
		d.trouble("systemd will not hear of this daemon", err)
	}
	d.addresses = vip.NewManager(d.opts.Kernel, d.addressReport)
	if err := d.takeOver(); err != nil {
		return err
	}
	d.openHooks()
	d.checks = healthcheck.NewRunner(d.checkDone)

	background, cancel := context.WithCancel(context.Background())
	defer cancel()
	d.workers.Go(func() { d.addresses.Run(background) })
	watchErr := make(chan error, 1)
	d.workers.Go(func() {
		watchErr <- d.opts.Watch(background,
			func(s []vip.LinkState) { d.post(func() { d.watched(s) }) },
			func(err error) { d.post(func() { d.watchTrouble(err) }) })
	})
	stopServing := d.serve()
	d.openSite()

	d.workers.Go(func() { d.heed(ctx.Done(), reload, watchErr) })
	err = d.loop()
	if errors.Is(err, errLeft) {
		cancel() // before anything that would remove an address
		err = nil
		d.abandon()
	} else {
		err = errors.Join(err, d.shutdown())
		cancel()
	}
	d.journal.close()
	ran := round(time.Since(d.started)).String()
	d.record(history.Event{Kind: history.KindDaemon, Text: "holdfast stopped after " + ran}, "stopped", "ran", ran)
	d.events.Close(historyGrace) // so that those who follow hear the end
	d.log.Book().Close()
	stopServing()
	d.site.listener.Close()
	d.workers.Wait()
	return err
}

// serve answers on the control socket until the returned function is called.
func (d *Daemon) serve() (stop func()) {
	if d.opts.Control == nil {
		return func() {}
	}
	s := control.NewServer(backend{d})
	s.Trouble = func(message string) {
		d.record(history.Event{Kind: history.KindDaemon, Severity: history.Warning, Text: oneLine(message)}, "control socket", "trouble", message)
	}
	d.server = s
	d.serveOn(d.opts.Control)
	return func() { s.Close() }
}

// serveOn answers on a listener until that is closed or the server is.
func (d *Daemon) serveOn(l net.Listener) {
	d.workers.Go(func() {
		if err := d.server.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) { // by mend, which has another one
			d.failure("nobody can ask this daemon any more", err)
		}
	})
}

// errLeft ends the loop of a daemon that leaves all to its successor.
var errLeft = errors.New("left for the next daemon")

// abandon follows the loop when the next daemon is to go on at once: addresses
// stay, nobody is told, hooks that do not end soon are left to that one.
func (d *Daemon) abandon() {
	d.record(history.Event{Kind: history.KindDaemon, Text: "holdfast leaves the addresses to the next daemon"}, "leaving the addresses to the next daemon")
	d.stopping = true
	d.journalLast()
	for key := range d.sockets {
		d.closeSocket(key)
	}
	quit := d.standIn()
	defer quit()
	defer d.endChecks()()
	ctx, cancel := context.WithTimeout(context.Background(), d.leaveGrace())
	defer cancel()
	for _, u := range d.hooks.Leave(ctx) {
		if d.spool == nil {
			d.hookNotRun(&u.Event, errLeft)
		} else {
			d.record(hookEvent(&u.Event, history.Info, "%s: its hooks for %s are left to the next daemon"),
				"hooks are left to the next daemon", "instance", u.Event.Instance, "state", u.Event.State)
		}
	}
	if err := d.spool.close(); err != nil {
		d.failure("the next daemon will not run these hooks", err)
	}
}

// shutdown follows the loop: the addresses are gone, the last hooks wait.
func (d *Daemon) shutdown() error {
	d.stopping = true // also when the loop ended by an error
	for key := range d.sockets {
		d.closeSocket(key)
	}
	quit := d.standIn()
	defer quit()
	defer d.endChecks()()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	err := d.addresses.Close(ctx)
	if err == nil { // what was kept for addresses that came to nothing
		d.restoreSettings(func(string) bool { return false })
	}
	longest := time.Duration(0)
	for _, h := range d.cfg.Hooks {
		longest = max(longest, h.Timeout)
	}
	if len(d.hooks.Unfinished()) > 0 {
		d.supervisor.extend(longest+2*stopGrace, fmt.Sprintf("the addresses are handed over; hooks run, for at most %v", longest+stopGrace))
	}
	hooks, cancelHooks := context.WithTimeout(context.Background(), longest+stopGrace)
	defer cancelHooks()
	if herr := d.hooks.Close(hooks); herr != nil {
		d.trouble("not all hooks ended", herr)
	}
	if serr := d.spool.close(); serr != nil {
		d.trouble("the next daemon may run hooks again", serr)
	}
	return err
}

// endChecks begins to end the checks, and wait waits until they have ended. One that
// does not die is awaited beside a hook that does not.
func (d *Daemon) endChecks() (wait func()) {
	var ending sync.WaitGroup
	ending.Go(d.checks.Close)
	return ending.Wait
}

// standIn stands in for the loop after its end, for checks, reports, outcomes and
// questions still come and whoever sends them waits. systemd does, too: it minds the
// watchdog again, which the loop has fed while it handed over. quit ends that and
// refuses what comes later.
func (d *Daemon) standIn() (quit func()) {
	enough, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		feed, stop := d.supervisor.feeding()
		defer stop()
		for {
			for d.survey.due() { // or a hook that asks for the state would wait for itself
				d.surveyMore()
			}
			select {
			case f := <-d.calls:
				f()
			case <-feed:
				d.supervisor.tell("WATCHDOG=1")
			case <-enough:
				return
			}
		}
	}()
	return func() {
		close(enough)
		<-done
		close(d.ended)
	}
}

// round keeps durations in logs short.
func round(t time.Duration) time.Duration {
	switch {
	case t > time.Minute:
		return t.Round(time.Second)
	case t > time.Second:
		return t.Round(time.Millisecond)
	}
	return t.Round(10 * time.Microsecond)
}
