package lab

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// awaitServer waits until server has given the last answer.
func awaitServer(t *testing.T, p *Probe, server string) {
	t.Helper()
	var r Report
	err := poll(10*time.Second, "no answer", func() (bool, error) {
		r = p.Between(time.Now().Add(-time.Second), time.Now())
		return r.LastServer() == server, nil
	})
	if err != nil {
		t.Fatalf("%v from %s: %v", err, server, r)
	}
}

func TestProbeMeasuresAHole(t *testing.T) {
	for _, target := range []string{"192.0.2.2", "2001:db8::2"} {
		t.Run(target, func(t *testing.T) {
			l := newLab(t)
			client := addHost(t, l, "client", "192.0.2.1/24", "2001:db8::1/64")
			server := addHost(t, l, "server", "192.0.2.2/24", "2001:db8::2/64")
			if _, err := server.Echo(); err != nil {
				t.Fatal(err)
			}
			p, err := client.Probe(netip.MustParseAddr(target), 1000)
			if err != nil {
				t.Fatal(err)
			}
			awaitServer(t, p, "server")

			whole := p.Mark("whole")
			time.Sleep(100 * time.Millisecond) // the length of what is measured
			if r := p.Since(whole); r.Lost != 0 || r.LongestGap != 0 || r.Sent < 50 {
				t.Errorf("before the hole: %v (late by %v at most)", r, r.WorstLateness)
			}

			hole := p.Mark("hole")
			if err := server.Isolate(true); err != nil {
				t.Fatal(err)
			}
			cut := time.Now()
			time.Sleep(200 * time.Millisecond) // the length of the hole
			length := time.Since(cut)
			if err := server.Isolate(false); err != nil {
				t.Fatal(err)
			}
			outer := time.Since(hole.At)
			awaitServer(t, p, "server")
			r := p.Since(hole)
			slack := r.WorstLateness + 2*time.Millisecond
			if r.LongestGap < length-slack || r.LongestGap > outer+slack+time.Second {
				t.Errorf("gap %v; the hole was %v to %v, the probe late by %v", r.LongestGap, length, outer, r.WorstLateness)
			}
			if r.Lost == 0 || r.Sent != r.Lost+r.Answered {
				t.Errorf("sent %d, lost %d, answered %d", r.Sent, r.Lost, r.Answered)
			}
			if len(r.Servers) != 1 {
				t.Errorf("servers %v, want one", r.Servers)
			}
		})
	}
}

func TestProbeTellsWhoServed(t *testing.T) {
	l := newLab(t)
	client := addHost(t, l, "client", "192.0.2.1/24")
	servers := []*Host{addHost(t, l, "one", "192.0.2.2/24"), addHost(t, l, "two", "192.0.2.3/24")}
	for _, h := range servers {
		if _, err := h.Echo(); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Web(); err != nil {
			t.Fatal(err)
		}
	}
	const vip = "192.0.2.100"
	// The client must not keep the old server's hardware address.
	move := func(from, to *Host) {
		t.Helper()
		if from != nil {
			if err := from.RemoveAddress("eth0", vip+"/32"); err != nil {
				t.Fatal(err)
			}
		}
		if err := to.AddAddress("eth0", vip+"/32"); err != nil {
			t.Fatal(err)
		}
		mac := mustPort(t, to, "eth0").MAC()
		if err := to.Inject("eth0", gratuitousARP(mac, netip.MustParseAddr(vip))); err != nil {
			t.Fatal(err)
		}
	}
	move(nil, servers[0])
	udp, err := client.Probe(netip.MustParseAddr(vip), 500)
	if err != nil {
		t.Fatal(err)
	}
	web, err := client.HTTPProbe(netip.MustParseAddr(vip), 50)
	if err != nil {
		t.Fatal(err)
	}
	awaitServer(t, udp, "one")
	awaitServer(t, web, "one")
	udp.Mark("moved")
	move(servers[0], servers[1])
	awaitServer(t, udp, "two")
	awaitServer(t, web, "two")

	for name, p := range map[string]*Probe{"udp": udp, "web": web} {
		r, err := p.Stop()
		if err != nil {
			t.Error(err)
		}
		if len(r.Servers) != 2 || r.Servers[0].Server != "one" || r.Servers[1].Server != "two" {
			t.Errorf("%s: served by %v", name, r.Servers)
		} else if a, b := r.Servers[0], r.Servers[1]; !a.To.Before(b.From) || a.Answered+b.Answered != r.Answered {
			t.Errorf("%s: spans %v overlap or do not add up to %d", name, r.Servers, r.Answered)
		}
		if again, _ := p.Stop(); again.Sent != r.Sent {
			t.Errorf("%s: it went on after Stop: %d, then %d", name, r.Sent, again.Sent)
		}
	}
	if marks := udp.Marks(); len(marks) != 1 || marks[0].Name != "moved" {
		t.Errorf("marks %v", marks)
	}
}

// gratuitousARP is an ARP request by which mac says that it has addr.
func gratuitousARP(mac []byte, addr netip.Addr) []byte {
	ip := addr.As4()
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame = append(frame, mac...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1)
	frame = append(append(frame, mac...), ip[:]...)
	return append(append(frame, 0, 0, 0, 0, 0, 0), ip[:]...)
}

func TestProbeWithoutRoute(t *testing.T) {
	l := newLab(t)
	client := addHost(t, l, "client", "192.0.2.1/24")
	p, err := client.Probe(netip.MustParseAddr("203.0.113.1"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	err = poll(5*time.Second, "nothing sent", func() (bool, error) {
		return p.Between(p.rec.start, time.Now()).Sent > 10, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Stop()
	if err != nil || r.Answered != 0 || r.Lost != r.Sent || r.LastServer() != "" {
		t.Errorf("%v, %v; want all lost", r, err)
	}
}

func TestWebHealth(t *testing.T) {
	l := newLab(t)
	client, server := addHost(t, l, "client", "192.0.2.1/24"), addHost(t, l, "server", "192.0.2.2/24")
	web, err := server.Web()
	if err != nil {
		t.Fatal(err)
	}
	p, err := client.HTTPProbe(netip.MustParseAddr("192.0.2.2"), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name    string
		do      func()
		answers bool
	}{
		{"healthy", func() {}, true},
		{"sick", func() { web.SetHealthy(false) }, false},
		{"healthy again", func() { web.SetHealthy(true) }, true},
		{"closed", func() { web.Close() }, false},
	} {
		step.do()
		m := p.Mark(step.name)
		err := poll(5*time.Second, "nobody asked", func() (bool, error) { return p.Since(m).Sent >= 3, nil })
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Since(m); (r.Answered > 0) != step.answers || (r.Lost > 0) == step.answers {
			t.Errorf("%s: %v, answered %d", step.name, r, r.Answered)
		}
	}
}

// A request whose connection is cut is made once more, and no more than once.
func TestProbeRepeats(t *testing.T) {
	for _, c := range []struct {
		name    string
		cuts    func(connection int) bool
		answers bool
	}{
		{"every other connection is cut", func(n int) bool { return n%2 == 0 }, true},
		{"all are cut", func(int) bool { return true }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			client, server := addHost(t, l, "client", "192.0.2.1/24"), addHost(t, l, "server", "192.0.2.2/24")
			var ln net.Listener
			if err := server.Do(func() (err error) { ln, err = net.Listen("tcp", ":80"); return err }); err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go serveAndCut(ln, c.cuts)
			// One question after the other, for two at a time would share the
			// connections that are cut.
			asker := &httpAsker{host: client, to: "192.0.2.2:80", rec: newRecord(time.Now(), 5*time.Second)}
			asker.ctx, asker.cancel = context.WithCancel(t.Context())
			for range 5 {
				now := time.Now()
				asker.ask(asker.rec.ask(now, now))
				asker.wg.Wait()
			}
			asker.close()
			r := asker.rec.report(asker.rec.start, time.Now())
			if c.answers && (r.Lost > 0 || r.Repeated != r.Sent) || !c.answers && (r.Answered > 0 || r.Repeated > 0) {
				t.Errorf("%v; answered %d, repeated %d", r, r.Answered, r.Repeated)
			}
		})
	}
}

// serveAndCut answers web requests, one after the other, or resets the
// connection.
func serveAndCut(ln net.Listener, cuts func(connection int) bool) {
	for n := 0; ; n++ {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		if cuts(n) {
			conn.(*net.TCPConn).SetLinger(0) // closing is resetting
		} else {
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nserver\n")
		}
		conn.Close()
	}
}

func TestProbeRefusesRates(t *testing.T) {
	l := newLab(t)
	h := addHost(t, l, "a")
	addr := netip.MustParseAddr("192.0.2.1")
	for _, rate := range []int{-1, 0, 10001} {
		if _, err := h.Probe(addr, rate); err == nil {
			t.Errorf("took %d a second", rate)
		}
	}
	if _, err := h.HTTPProbe(addr, 1001); err == nil {
		t.Error("took 1001 web requests a second")
	}
}
