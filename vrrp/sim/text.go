package sim

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// takesName are the operations whose third word is a name.
var takesName = map[Op]bool{
	OpFail: true, OpPass: true, OpDrain: true, OpTryDrain: true, OpUndrain: true, OpFailover: true, OpInject: true,
	OpPull: true, OpPlug: true, OpCut: true, OpMend: true, OpDown: true, OpUp: true, OpGone: true, OpBack: true,
}

var takesOther = map[Op]bool{OpMute: true, OpUnmute: true, OpLink: true}

// known are all operations.
var known = map[Op]bool{
	OpCrash: true, OpStart: true, OpStop: true, OpPowerOff: true, OpBoot: true, OpFreeze: true, OpResume: true,
	OpSuspend: true, OpWake: true, OpPull: true, OpPlug: true, OpCut: true, OpMend: true, OpDown: true, OpUp: true,
	OpGone: true, OpBack: true, OpMute: true, OpUnmute: true, OpPartition: true, OpHeal: true, OpLink: true,
	OpFail: true, OpPass: true, OpDrain: true, OpTryDrain: true, OpUndrain: true, OpFailover: true,
	OpReload: true, OpRemove: true, OpRefuse: true,
	OpAccept: true, OpBusy: true, OpAnswer: true, OpSendFail: true, OpSendOK: true, OpClock: true, OpInject: true, OpAnnounce: true,
}

// ParseHistory reads a scenario file, as [History.Format] writes it. What
// follows a line of four dashes is not part of it.
func ParseHistory(text string) (*History, error) {
	h := &History{End: 30 * time.Second}
	var comment []string
	var errs []error
	lines := bufio.NewScanner(strings.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "----" {
			break
		}
		if c, is := strings.CutPrefix(line, "#"); is {
			comment = append(comment, strings.TrimSpace(c))
			continue
		}
		if line == "" {
			continue
		}
		if err := h.parseLine(strings.Fields(line)); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", number, err))
		}
	}
	h.Comment = strings.Join(comment, "\n")
	if len(errs) == 0 {
		errs = append(errs, h.Validate())
	}
	return h, errors.Join(errs...)
}

func (h *History) parseLine(words []string) (err error) {
	arg := func(n int) string {
		if n < len(words) {
			return words[n]
		}
		return ""
	}
	switch words[0] {
	case "seed":
		h.Seed, err = strconv.ParseUint(arg(1), 10, 64)
		return err
	case "end":
		h.End, err = time.ParseDuration(arg(1))
		return err
	case "at":
		return h.parseStep(words[1:])
	case "node":
		n := Node{Name: arg(1), Configs: [][]vrrp.Config{nil}}
		for _, w := range words[min(2, len(words)):] {
			switch {
			case w == "off":
				n.Off = true
			case strings.HasPrefix(w, "plain"):
				n.Plain = strings.TrimPrefix(strings.TrimPrefix(w, "plain"), "=")
				if n.Plain == "" {
					n.Plain = "rfc9568"
				}
			default:
				return fmt.Errorf("unknown word %q", w)
			}
		}
		h.Nodes = append(h.Nodes, n)
		return nil
	}
	if len(h.Nodes) == 0 {
		return fmt.Errorf("%q before the first node", words[0])
	}
	n := &h.Nodes[len(h.Nodes)-1]
	switch words[0] {
	case "port":
		p := Port{Interface: arg(1), Segment: arg(2)}
		for _, w := range words[min(3, len(words)):] {
			a, err := netip.ParsePrefix(w)
			if err != nil {
				return err
			}
			p.Addresses = append(p.Addresses, a)
		}
		n.Ports = append(n.Ports, p)
	case "config":
		n.Configs = append(n.Configs, nil)
	case "instance":
		c, err := parseInstance(words[1:])
		if err != nil {
			return err
		}
		last := len(n.Configs) - 1
		n.Configs[last] = append(n.Configs[last], c)
	default:
		return fmt.Errorf("unknown word %q", words[0])
	}
	return nil
}

func (h *History) parseStep(words []string) (err error) {
	if len(words) < 2 {
		return errors.New("a step needs a time and an operation")
	}
	s := Step{Op: Op(words[1])}
	if s.At, err = time.ParseDuration(words[0]); err != nil {
		return err
	}
	if !known[s.Op] {
		return fmt.Errorf("unknown operation %q", s.Op)
	}
	rest := words[2:]
	next := func() (w string) {
		if len(rest) > 0 && !strings.Contains(rest[0], "=") {
			w, rest = rest[0], rest[1:]
		}
		return w
	}
	if s.Op != OpHeal {
		s.Node = next()
	}
	switch {
	case takesOther[s.Op]:
		s.Other = next()
	case takesName[s.Op]:
		s.Name = next()
	case s.Op == OpRemove:
		if s.Address, err = netip.ParseAddr(next()); err != nil {
			return err
		}
	}
	for _, w := range rest {
		if err := s.parseOption(w); err != nil {
			return err
		}
	}
	h.Steps = append(h.Steps, s)
	return nil
}

func (s *Step) parseOption(word string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "nojournal":
		s.NoJournal = true
	case "config":
		s.Config, err = strconv.Atoi(value)
	case "ppm":
		s.PPM, err = strconv.Atoi(value)
	case "loss":
		s.Quality.Loss, err = strconv.Atoi(value)
	case "duplicate":
		s.Quality.Duplicate, err = strconv.Atoi(value)
	case "reorder":
		s.Quality.Reorder, err = strconv.Atoi(value)
	case "delay":
		s.Quality.Delay, err = time.ParseDuration(value)
	case "jitter":
		s.Quality.Jitter, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("unknown option %q", word)
	}
	return err
}

var failures = map[string]vrrp.OnFailure{"demote": vrrp.Demote, "release": vrrp.Release}

func parseInstance(words []string) (vrrp.Config, error) {
	c := vrrp.Config{
		Version: vrrp.Version3, Priority: vrrp.PriorityDefault, AdvertInterval: time.Second, Preempt: true,
		Announce: vrrp.Announce{Repeat: 5, Interval: 200 * time.Millisecond, Refresh: time.Minute}, Lease: -1,
	}
	if len(words) < 2 {
		return c, errors.New("an instance needs a name and an interface")
	}
	c.Name, c.Interface = words[0], words[1]
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		if err := setInstance(&c, key, value); err != nil {
			return c, fmt.Errorf("%s: %w", w, err)
		}
	}
	if c.Lease < 0 {
		c.Lease = vrrp.AutoLease(c.AdvertInterval, 0)
	}
	return c, nil
}

func setInstance(c *vrrp.Config, key, value string) (err error) {
	number := func(most int) int {
		n, e := strconv.Atoi(value)
		if e != nil || n < 0 || n > most {
			err = fmt.Errorf("not a number up to %d", most)
		}
		return n
	}
	duration := func() time.Duration {
		var d time.Duration
		d, err = time.ParseDuration(value)
		return d
	}
	switch key {
	case "vrid":
		c.VRID = uint8(number(255))
	case "priority":
		c.Priority = uint8(number(255))
	case "version":
		c.Version = vrrp.Version(number(3))
	case "interval":
		c.AdvertInterval = duration()
	case "preempt":
		if c.Preempt = value != "no"; value != "no" && value != "" {
			c.PreemptDelay = duration()
		}
	case "startup":
		c.StartupDelay = duration()
	case "lease":
		c.Lease = duration()
	case "group":
		c.Group = value
	case "password":
		c.Password = value
	case "checksum":
		c.Checksum = vrrp.ChecksumMode(number(2))
	case "source":
		c.Source, err = netip.ParseAddr(value)
	case "addresses":
		for s := range strings.SplitSeq(value, ",") {
			p, e := netip.ParsePrefix(s)
			err = errors.Join(err, e)
			c.Addresses = append(c.Addresses, p)
		}
	case "peers":
		for s := range strings.SplitSeq(value, ",") {
			a, e := netip.ParseAddr(s)
			err = errors.Join(err, e)
			c.Peers = append(c.Peers, a)
		}
	case "checks":
		for s := range strings.SplitSeq(value, ",") {
			k, e := parseCheck(s)
			err = errors.Join(err, e)
			c.Checks = append(c.Checks, k)
		}
	case "repeat":
		c.Announce.Repeat = number(1000)
	default:
		err = errors.New("unknown key")
	}
	return err
}

// parseCheck reads name, name:demote, name:release or name:-20.
func parseCheck(s string) (vrrp.Check, error) {
	name, how, found := strings.Cut(s, ":")
	if f, ok := failures[how]; ok || !found {
		return vrrp.Check{Name: name, OnFailure: f}, nil
	}
	w, err := strconv.Atoi(how)
	return vrrp.Check{Name: name, OnFailure: vrrp.Weigh, Weight: w}, err
}

// Validate reports what makes a history impossible to run.
func (h *History) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	nodes := map[string]*Node{}
	for i := range h.Nodes {
		n := &h.Nodes[i]
		if nodes[n.Name] != nil || n.Name == "" || n.Name == client || n.Name == "*" {
			bad("node %q: the name is used or not possible", n.Name)
		}
		nodes[n.Name] = n
		for k, c := range n.Configs {
			if err := vrrp.ValidateAll(c); err != nil {
				bad("node %s, config %d: %w", n.Name, k, err)
			}
		}
		if n.Plain != "" && strangers[n.Plain] == nil {
			bad("node %s: no router is called %q", n.Name, n.Plain)
		}
		if len(n.Ports) == 0 || len(n.Configs) == 0 {
			bad("node %s has no port or no configuration", n.Name)
		}
	}
	name := func(s string) bool { return nodes[s] != nil || s == client || s == "*" }
	for _, s := range h.Steps {
		switch {
		case s.Op == OpHeal:
		case s.Op == OpPartition:
			for part := range strings.SplitSeq(s.Node, ",") {
				if !name(part) {
					bad("%v %s: no node %q", s.At, s.Op, part)
				}
			}
		case takesOther[s.Op]:
			if !name(s.Node) || !name(s.Other) {
				bad("%v %s: no node %q or %q", s.At, s.Op, s.Node, s.Other)
			}
		case nodes[s.Node] == nil:
			bad("%v %s: no node %q", s.At, s.Op, s.Node)
		case s.Config < 0 || s.Config >= len(nodes[s.Node].Configs):
			bad("%v %s: node %s has no configuration %d", s.At, s.Op, s.Node, s.Config)
		}
	}
	return errors.Join(errs...)
}
