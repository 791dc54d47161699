package daemon

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

func TestStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		began := time.Now()
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()

		i := a.instance()
		if i.Since.Sub(began) != down(time.Second, 150) {
			t.Errorf("master since %v after the start, want %v", i.Since.Sub(began), down(time.Second, 150))
		}
		if diff := cmp.Diff(&control.Master{Address: "192.0.2.1", Priority: 150, Self: true}, i.Master); diff != "" {
			t.Errorf("master as the master sees it (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]control.Address{{Address: "192.0.2.100/24", Present: true}}, i.Addresses); diff != "" {
			t.Errorf("addresses of the master (-want +got):\n%s", diff)
		}
		if i.Counters.AdvertsSent != 3 || i.Counters.BecameMaster != 1 {
			t.Errorf("counters of the master: %+v, want 3 adverts sent", i.Counters)
		}
		if len(i.Counters.Dropped) != len(vrrp.DropReasons()) {
			t.Errorf("%d drop reasons, want all %d, also those at 0", len(i.Counters.Dropped), len(vrrp.DropReasons()))
		}

		st := b.status()
		if st.Version != control.Version || st.Node != "test" || st.Daemon.Version != "test" || !st.Daemon.Started.Equal(began) {
			t.Errorf("the daemon is %+v of node %q", st.Daemon, st.Node)
		}
		i = st.Instances[0]
		last := lan.adverts("a", 51)
		heard := last[len(last)-1].at
		if i.Master == nil || i.Master.Address != "192.0.2.1" || i.Master.Self || i.Master.LastHeard == nil || !i.Master.LastHeard.Equal(heard) {
			t.Errorf("master as the backup sees it: %+v, want heard at %v", i.Master, heard)
		}
		if i.Addresses[0].Present || i.Counters.AdvertsReceived != 3 {
			t.Errorf("the backup has %+v and received %d", i.Addresses, i.Counters.AdvertsReceived)
		}
		if st.Instances == nil || st.Checks == nil || i.Checks == nil {
			t.Error("an empty list is null in JSON")
		}
		a.stop()
		b.stop()
	})
}

// TestStatusOfStuckLoop asks a loop that is busy: the asker waits no longer
// than it wants to.
func TestStatusOfStuckLoop(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		synctest.Wait()
		a.d.post(func() { time.Sleep(10 * time.Second) })
		synctest.Wait()
		const askers = 3 * callBacklog // more than may wait for the loop
		result := make(chan error, askers)
		for range askers {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := backend{a.d}.Status(ctx)
				result <- err
			}()
		}
		for range askers {
			if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("status of a stuck loop: %v, want %v", err, context.DeadlineExceeded)
			}
		}
		time.Sleep(10 * time.Second)
		if st := a.status(); len(st.Instances) != 1 {
			t.Errorf("%d instances", len(st.Instances))
		}
		a.stop()
		if _, err := (backend{a.d}).Status(t.Context()); !errors.Is(err, errStopping) {
			t.Errorf("status after the stop: %v, want %v", err, errStopping)
		}
	})
}

// TestFlood has a neighbour send rubbish for ten seconds: adverts leave in
// time, status answers, everything is counted and hardly anything logged.
func TestFlood(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		lan.Host("mallory").AddInterface(1, "eth0", "lan", netip.MustParseAddr("192.0.2.66"))
		conn, err := lan.Host("mallory").Listen(1, "eth0", vrrp.IPv4)
		if err != nil {
			t.Fatal(err)
		}
		bad := make([]transport.Packet, 500)
		for n := range bad {
			// VRID 51, priority 255, a wrong checksum.
			bad[n] = transport.Packet{Destination: vrrp.GroupIPv4, Payload: []byte{0x31, 51, 255, 1, 0, 100, 1, 1, 192, 0, 2, 100}}
		}
		const rounds = 100
		for range rounds {
			if _, err := conn.WriteBatch(bad); err != nil {
				t.Fatal(err)
			}
			if i := a.instance(); i.State != "master" {
				t.Fatalf("the flood made it %s", i.State)
			}
			time.Sleep(100 * time.Millisecond)
		}
		punctual(t, lan, time.Second)
		if n := a.instance().Counters.Dropped["checksum"]; n != rounds*uint64(len(bad)) {
			t.Errorf("%d counted, want %d", n, rounds*len(bad))
		}
		if n := a.log.count("dropped a packet"); n != 1 {
			t.Errorf("%d log lines for %d packets within ten seconds, want 1", n, rounds*len(bad))
		}
		conn.Close()
		a.stop()
	})
}

// Of an instance with two families the rivals of both are told, and since when the
// first one is heard.
func TestStatusRivals(t *testing.T) {
	early := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	late := early.Add(time.Second)
	v4, v6 := netip.MustParseAddr("192.0.2.66"), netip.MustParseAddr("fe80::66")
	for _, routers := range [][]vrrp.RouterStatus{
		{{ConflictSince: early, Rival: v4}, {ConflictSince: late, Rival: v6}},
		{{ConflictSince: late, Rival: v4}, {ConflictSince: early, Rival: v6}},
	} {
		i := renderInstance(&vrrp.InstanceStatus{Config: vrrp.Config{Name: "web"}, Routers: routers})
		if got := i.Rivals(); !slices.Equal(got, []string{v4.String(), v6.String()}) || !i.ConflictSince.Equal(early) {
			t.Errorf("rivals %v since %v", got, i.ConflictSince)
		}
	}
}
