package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	demoVIP = "192.0.2.100"
	// demoRate is the probe's: requests a second.
	demoRate = 1000
	// demoPatience is how long an event may take until it has had its effect.
	demoPatience = 10 * time.Second
	// demoBusy is how late a request must be sent for the numbers to be in
	// doubt: the hosts of the demo were as late.
	demoBusy = 50 * time.Millisecond
	// demoSettle is how long the probe goes on after an event had its effect.
	demoSettle = 400 * time.Millisecond
)

func demoCommand() command {
	c := command{
		name: "demo", short: "show a pair failing over, on this machine alone",
		long: `
Builds two hosts and a client in network namespaces on this machine, runs a web
server and a holdfast daemon on each host, and plays what goes wrong in life: a
planned stop, a service killed, a cable pulled. After each it tells who holds
the virtual address and the longest time the client had no answer, measured
with 1000 requests a second. It takes less than a minute, needs root, touches
none of this machine's own interfaces and leaves nothing behind.`,
		examples: []example{{"sudo holdfast demo", "see it fail over, here and now"}},
		exit:     "0 all went as it should, 1 something did not, 2 wrong usage.",
	}
	c.setup = func(*flag.FlagSet) runner { return demonstrate }
	return c
}

func demonstrate(env *environment, _ []string) int {
	if os.Geteuid() != 0 {
		return env.fail(errors.New("the demo makes network namespaces, which needs root: use sudo"))
	}
	ctx, stop := signal.NotifyContext(env.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d := demo{env: env, ctx: ctx}
	err := d.run()
	if ctx.Err() != nil {
		err = errors.New("interrupted; everything is cleaned up")
	}
	if err != nil {
		return env.fail(err)
	}
	return exitDone
}

// demo is one performance.
type demo struct {
	env    *environment
	ctx    context.Context
	lab    *lab.Lab
	hosts  map[string]*demoHost
	client *lab.Host
	probe  *lab.Probe
}

type demoHost struct {
	*lab.Host
	daemon *lab.Process
	nginx  *lab.Process // nil when the built-in web server runs
	web    *lab.Web
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.env.stdout, format+"\n", args...) }

func (d *demo) run() (err error) {
	if d.lab, err = lab.New(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.lab.Close()) }()
	if err := d.build(); err != nil {
		return err
	}
	d.say("%-26s %-8s %-22s %s", "what happens", "VIP on", "longest time without", "requests lost")
	for _, step := range []struct {
		what   string
		do     func() error
		expect string
	}{
		{"both hosts start", d.start, "lb1"},
		{"lb1 is stopped as planned", d.hosts["lb1"].stop, "lb2"},
		{"lb1 returns", func() error { return d.startDaemon("lb1") }, "lb1"},
		{"lb1's web server is killed", d.hosts["lb1"].killService, "lb2"},
		{"lb1's web server is back", func() error { return d.startService("lb1") }, "lb1"},
		{"lb1's cable is pulled", d.hosts["lb1"].Unplug, "lb2"},
		{"lb1's cable is back", d.hosts["lb1"].PlugIn, "lb1"},
	} {
		if err := d.play(step.what, step.do, step.expect); err != nil {
			return err
		}
	}
	return d.finish()
}

// build makes the hosts and their services, and shows the configurations.
func (d *demo) build() (err error) {
	d.hosts = map[string]*demoHost{}
	for n, name := range []string{"lb1", "lb2"} {
		h, err := d.lab.Host(name, fmt.Sprintf("192.0.2.%d/24", n+1))
		if err != nil {
			return err
		}
		d.hosts[name] = &demoHost{Host: h}
		if err := h.WriteFile("/run/holdfast.toml", demoConfig(name), 0o600); err != nil {
			return err
		}
		if err := d.startService(name); err != nil {
			return err
		}
	}
	if d.client, err = d.lab.Host("client", "192.0.2.9/24"); err != nil {
		return err
	}
	service := "nginx"
	if d.hosts["lb1"].nginx == nil {
		service = "a built-in web server (nginx is not installed)"
	}
	d.say("Two hosts, lb1 and lb2, each with %s, and a client on one switch.\n", service)
	for _, name := range []string{"lb1", "lb2"} {
		d.say("# %s: holdfast.toml\n%s", name, demoConfig(name))
	}
	return nil
}

func demoConfig(name string) string {
	priority := 150
	if name == "lb2" {
		priority = 100
	}
	return fmt.Sprintf(`[[instance]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
addresses = ["%s/24"]
advert_interval = "100ms"

[[check]]
name = "nginx"
http = "http://127.0.0.1/healthz"
interval = "200ms"
`, priority, demoVIP)
}

func (d *demo) startService(name string) error {
	h := d.hosts[name]
	if _, err := lab.FindPeer("nginx"); err == nil {
		h.nginx, err = h.StartNginx()
		return err
	}
	web, err := h.Web()
	h.web = web
	return err
}

func (h *demoHost) killService() error {
	if h.nginx != nil {
		return h.nginx.Kill()
	}
	return h.web.Close()
}

func (d *demo) startDaemon(name string) error {
	c := d.hosts[name].Command(context.Background(), selfPath(), "run", "--config", "/run/holdfast.toml")
	c.Env = selfEnv()
	p, err := d.hosts[name].StartCommand(c)
	d.hosts[name].daemon = p
	return err
}

func (h *demoHost) stop() error { return h.daemon.Stop() }

func (d *demo) start() error {
	for _, name := range []string{"lb1", "lb2"} {
		if err := d.startDaemon(name); err != nil {
			return err
		}
	}
	return nil
}

// play makes something happen, waits for its effect and tells what the client
// noticed.
func (d *demo) play(what string, do func() error, expect string) error {
	var mark lab.Mark
	if d.probe != nil {
		mark = d.probe.Mark(what)
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := d.await(expect); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if d.probe == nil {
		d.say("%-26s %-8s", what, d.holders())
		var err error
		d.probe, err = d.client.HTTPProbe(netip.MustParseAddr(demoVIP), demoRate)
		if err != nil {
			return err
		}
		return d.pause(demoSettle)
	}
	if err := d.pause(demoSettle); err != nil {
		return err
	}
	r := d.probe.Since(mark)
	gap := "no gap"
	if r.Lost > 0 {
		gap = fmt.Sprintf("%.0f ms", float64(r.LongestGap.Microseconds())/1000)
	}
	d.say("%-26s %-8s %-22s %d of %d%s", what, d.holders(), gap, r.Lost, r.Sent, busy(r))
	return nil
}

// busy warns of a measurement that this machine was too busy for.
func busy(r lab.Report) string {
	if r.WorstLateness < demoBusy {
		return ""
	}
	return fmt.Sprintf("  (this machine is busy: a request was sent %d ms late)", r.WorstLateness.Milliseconds())
}

// await waits until the expected host alone holds the address.
func (d *demo) await(expect string) error {
	for until := time.Now().Add(demoPatience); time.Now().Before(until); {
		if d.holders() == expect {
			return nil
		}
		if err := d.pause(5 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("after %v the address is on %s instead of %s\n%s", demoPatience, d.holders(), expect, d.logs())
}

func (d *demo) pause(t time.Duration) error {
	select {
	case <-time.After(t):
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
}

// holders names the hosts that have the address.
func (d *demo) holders() string {
	var list []string
	for _, name := range []string{"lb1", "lb2"} {
		if d.hosts[name].HasAddress(netip.MustParseAddr(demoVIP)) {
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, "+")
}

func (d *demo) logs() string {
	var b strings.Builder
	for _, name := range []string{"lb1", "lb2"} {
		if p := d.hosts[name].daemon; p != nil {
			fmt.Fprintf(&b, "--- log of %s\n%s", name, p.Output())
		}
	}
	return b.String()
}

// finish shows what status says, and the whole of what the client saw.
func (d *demo) finish() error {
	for _, name := range []string{"lb1", "lb2"} {
		c := d.hosts[name].Command(d.ctx, selfPath(), "status", "--config", "/run/holdfast.toml")
		c.Env = selfEnv()
		out, err := c.Output()
		if err != nil {
			return fmt.Errorf("holdfast status on %s: %w", name, err)
		}
		d.say("\n%s$ holdfast status\n%s", name, strings.TrimRight(string(out), "\n"))
	}
	r, err := d.probe.Stop()
	if err != nil {
		return err
	}
	d.say("\nIn all the client sent %d requests and lost %d.", r.Sent, r.Lost)
	if r.Repeated > 0 {
		d.say("It repeated %d, as a browser would: their TCP connections were open while the address moved.", r.Repeated)
	}
	return nil
}

// selfPath is this very program, which the demo's hosts run.
func selfPath() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// selfEnv is the environment the program needs on the demo's hosts.
func selfEnv() []string { return os.Environ() }
