package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
)

func sniffCommand() command {
	c := command{
		name: "sniff", args: "[FILE]", most: 1, short: "show VRRP on the wire, and what is wrong with it",
		long: `
Shows the VRRP packets on this host's links, decoded, with what is wrong about
each, who takes over from whom, who fell silent, and two masters of one VRID
with a guess at why. It ends with Ctrl-C and sums up by router. With FILE it
reads a capture of tcpdump or Wireshark instead (pcap or pcapng, - for standard
input).

It sees packets before this host's firewall does: what is shown here may still
be dropped on the way to the daemon.`,
		examples: []example{
			{"sudo holdfast sniff", "all links, until Ctrl-C"},
			{"sudo holdfast sniff -i eth0 --changes --arp", "one link, what is news"},
			{"holdfast sniff capture.pcap", "a file of tcpdump or Wireshark"},
			{"ssh root@lb2 tcpdump -Uw - proto 112 | holdfast sniff -", "another host's link"},
			{"sudo holdfast sniff --for 10s --summary --check", "for a script"},
		},
		exit: `0 done, 1 the file is damaged or capturing failed; with --check also
when there was a fault or no advert at all; 2 wrong usage.`,
	}
	c.setup = func(flags *flag.FlagSet) runner {
		o := &sniffOptions{}
		flags.Func("i", "capture on interface `IF` alone; may be given several times", o.addInterface)
		var vrids []string
		flags.Func("vrid", "show virtual router `N` alone; may be given several times", func(s string) error {
			vrids = append(vrids, s)
			return nil
		})
		flags.UintVar(&o.most, "n", 0, "end after `N` packets")
		flags.DurationVar(&o.during, "for", 0, "end after `TIME`, such as 10s")
		flags.BoolVar(&o.changes, "changes", false, "leave out packets that bring nothing new")
		flags.BoolVar(&o.summary, "summary", false, "print the summary at the end alone")
		flags.BoolVar(&o.arp, "arp", false, "show who announces the addresses (ARP, neighbour advertisements)")
		flags.BoolVar(&o.check, "check", false, "exit with 1 when there was a fault or no advert")
		flags.BoolVar(&o.json, "json", false, "print JSON, one object a line, for programs")
		flags.BoolVar(&o.verbose, "v", false, "show all addresses of a packet")
		flags.BoolVar(&o.passwords, "passwords", false, "show passwords of version 2")
		flags.BoolVar(&o.promiscuous, "promiscuous", false, "also take what is sent to other hosts")
		return func(env *environment, args []string) int {
			for _, text := range vrids {
				n, err := strconv.ParseUint(text, 10, 8)
				if err != nil {
					c.misused(env, "--vrid takes a number from 0 to 255, not %q", text)
					return exitUsage
				}
				o.vrids = append(o.vrids, uint8(n))
			}
			switch {
			case len(args) > 0 && (len(o.interfaces) > 0 || o.promiscuous):
				c.misused(env, "-i and --promiscuous are for capturing, not for a file")
				return exitUsage
			case o.during < 0:
				c.misused(env, "--for must be positive")
				return exitUsage
			case o.summary && o.changes:
				c.misused(env, "choose one of --summary and --changes")
				return exitUsage
			}
			return o.run(env, args)
		}
	}
	return c
}

// sniffOptions are the flags of sniff.
type sniffOptions struct {
	interfaces []string
	vrids      []uint8
	most       uint
	during     time.Duration

	changes, summary, arp, check, json, verbose, passwords, promiscuous bool
}

func (o *sniffOptions) addInterface(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	o.interfaces = append(o.interfaces, name)
	return nil
}

func (o *sniffOptions) run(env *environment, args []string) int {
	ctx, stop := signal.NotifyContext(env.ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	s := &sniff.Session{Watch: sniff.NewWatch(), Printer: o.printer(env.stdout), VRIDs: o.vrids, Announcements: o.arp}
	play := o.listen
	if len(args) > 0 {
		play = func(ctx context.Context, env *environment, s *sniff.Session) (bool, error) {
			return o.read(ctx, s, args[0])
		}
	}
	begun, err := play(ctx, env, s)
	if !begun {
		return env.fail(err)
	}
	sum := s.Watch.Summary()
	if err = errors.Join(s.Printer.Summary(sum), err); err != nil {
		return env.fail(err)
	}
	if o.check && (!sum.Heard() || sum.Worst() == sniff.Fault) {
		return exitRefused
	}
	return exitDone
}

// printer is how to tell what is seen.
func (o *sniffOptions) printer(w io.Writer) (p sniff.Printer) {
	if o.json {
		p = &sniff.JSON{W: w, Password: o.passwords}
	} else {
		width, color := terminal(w)
		p = &sniff.Text{W: w, Width: width, Color: color, Verbose: o.verbose, Password: o.passwords}
	}
	switch {
	case o.summary:
		return sniff.Silence{Printer: p}
	case o.changes:
		return &sniff.Changes{Printer: p}
	}
	return p
}

// enough tells whether as many packets were shown as were asked for.
func (o *sniffOptions) enough(s *sniff.Session) bool {
	return o.most > 0 && uint(s.Adverts) >= o.most
}

// read shows a capture file. begun is false when it is none.
func (o *sniffOptions) read(ctx context.Context, s *sniff.Session, path string) (begun bool, err error) {
	var r io.ReadCloser = os.Stdin
	if path != "-" {
		if r, err = os.Open(path); err != nil {
			return false, err
		}
		defer r.Close()
	} else {
		path = "standard input"
	}
	next := make(chan frameOrError)
	go readFrames(ctx, r, next)
	var end time.Time
	for {
		var f frameOrError
		select {
		case <-ctx.Done():
			return true, nil
		case f = <-next:
		}
		switch {
		case errors.Is(f.err, io.EOF):
			return true, nil
		case f.err != nil:
			if system, ok := errors.AsType[*fs.PathError](f.err); ok {
				f.err = system.Err // which says the path once more
			}
			return f.begun, fmt.Errorf("read %s: %w", path, f.err)
		case o.during > 0 && end.IsZero():
			end = f.Time.Add(o.during)
		case o.during > 0 && f.Time.After(end):
			return true, s.Advance(end)
		}
		if err := s.Frame(f.Frame); err != nil || o.enough(s) {
			return true, err
		}
	}
}

type frameOrError struct {
	sniff.Frame
	err   error
	begun bool // the head of the file is good
}

// readFrames reads on its own, since nobody can interrupt a read of standard
// input. It ends with the first error.
func readFrames(ctx context.Context, r io.Reader, next chan<- frameOrError) {
	file, err := sniff.NewFile(r)
	begun := err == nil
	for {
		f := frameOrError{err: err, begun: begun}
		if err == nil {
			f.Frame, f.err = file.Next()
			f.Data = bytes.Clone(f.Data)
		}
		select {
		case next <- f:
		case <-ctx.Done():
			return
		}
		if f.err != nil {
			return
		}
	}
}

// patienceForFirst is how long nothing is heard before that is worth a word.
const patienceForFirst = 5 * time.Second

// listen shows what comes over the links. begun is false when it cannot capture.
func (o *sniffOptions) listen(ctx context.Context, env *environment, s *sniff.Session) (begun bool, err error) {
	c, err := sniff.OpenCapture(sniff.CaptureOptions{
		Interfaces: o.interfaces, Announcements: o.arp, Promiscuous: o.promiscuous,
		Tell: func(news string) { fmt.Fprintln(env.stderr, news) },
	})
	if err != nil {
		return false, err
	}
	defer c.Close()
	s.Watch.WantAnnouncements = o.arp
	all, deaf := c.Interfaces()
	fmt.Fprintf(env.stderr, "listening for VRRP on %s; Ctrl-C ends and sums up\n", andFew(all))
	if len(deaf) > 0 {
		fmt.Fprintf(env.stderr, "nothing is heard where a link is down: %s\n", andFew(deaf))
	}
	err = o.capture(ctx, env, s, c)
	if n := c.Lost(); n > 0 {
		fmt.Fprintf(env.stderr, "%d packets were lost: they came faster than they could be shown\n", n)
	}
	return true, err
}

func (o *sniffOptions) capture(ctx context.Context, env *environment, s *sniff.Session, c *sniff.Capture) error {
	began := time.Now()
	hint := began.Add(patienceForFirst)
	var end time.Time
	if o.during > 0 {
		end = began.Add(o.during)
	}
	for {
		if s.Adverts > 0 {
			hint = time.Time{}
		}
		wake := earliest(s.Watch.Deadline(), end, hint)
		f, err := c.Next(ctx, wake)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = s.Advance(wake) // and not now: a packet may have come since
			if !hint.IsZero() && !now.Before(hint) {
				hint = time.Time{}
				fmt.Fprintf(env.stderr, "no advert%s for %v: nobody is master here, or something on the way drops IP protocol 112 or its multicast\n", o.wanted(), patienceForFirst)
			}
		case err == nil:
			err = s.Frame(f)
		}
		if err != nil || o.enough(s) || !end.IsZero() && !now.Before(end) {
			return err
		}
	}
}

// wanted says which virtual routers are looked at, unless it is all.
func (o *sniffOptions) wanted() string {
	if len(o.vrids) == 0 {
		return ""
	}
	var list []string
	for _, v := range o.vrids {
		list = append(list, strconv.Itoa(int(v)))
	}
	return " of vrid " + andFew(list)
}

// andFew names things unless there are many of them.
func andFew(list []string) string {
	if len(list) > 6 {
		return shorten(list)
	}
	return andList(list)
}

// earliest is the earliest of some times, without those that are zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
