package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/page"
)

// source counts how often it is asked.
type source struct {
	asked atomic.Int64
	takes time.Duration
	st    *control.Status
	err   error
}

func (s *source) Status(context.Context) (*control.Status, error) {
	s.asked.Add(1)
	time.Sleep(s.takes)
	return s.st, s.err
}

func node(families ...control.Family) *control.Status {
	return &control.Status{Node: "lb1", Instances: []control.Instance{{Name: "web", State: families[0].State, Families: families}}}
}

func handler(s *source) http.Handler {
	shared := NewShared(s)
	return Handler(Config{Node: "lb1"}, shared, page.New(shared, nil))
}

func TestProbes(t *testing.T) {
	master, fault := control.Family{Family: "ipv4", State: "master"}, control.Family{Family: "ipv6", State: "fault", Reason: "no carrier"}
	tests := []struct {
		name   string
		source *source
		path   string
		code   int
		want   string
	}{
		{"healthy", &source{st: node(master)}, "/healthz", 200, "ok"},
		{"healthy in fault", &source{st: node(fault)}, "/healthz", 200, "ok"},
		{"stuck", &source{err: errors.New("too slow")}, "/healthz", 503, "the daemon's loop does not answer: too slow"},
		{"ready", &source{st: node(master)}, "/readyz", 200, "ready"},
		{"one family in fault", &source{st: node(master, fault)}, "/readyz", 503, "web ipv6 is in fault: no carrier"},
		{"deciding", &source{st: node(control.Family{Family: "ipv4", State: "init", Reason: "waiting"})}, "/readyz", 503, "web ipv4 is in init: waiting"},
		{"stuck and asked", &source{err: errors.New("too slow")}, "/readyz", 503, "does not answer"},
		{"metrics of a stuck one", &source{err: errors.New("too slow")}, "/metrics", 200, "holdfast_up 0"},
		{"nothing there", &source{st: node(master)}, "/v1/reload", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", tt.path, nil)
			r.Host = "127.0.0.1:9650"
			handler(tt.source).ServeHTTP(w, r)
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("answer %d %s, want %d %s", w.Code, w.Body, tt.code, tt.want)
			}
		})
	}
}

// Nothing can be changed, whatever is asked.
func TestReadOnly(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		for _, path := range []string{"/", "/metrics", "/readyz", "/live"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(method, path, nil)
			r.Host = "localhost"
			handler(&source{st: node(control.Family{State: "master"})}).ServeHTTP(w, r)
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s is answered %d", method, path, w.Code)
			}
		}
	}
}

func TestOurs(t *testing.T) {
	names := []string{"localhost", "lb1"}
	for host, want := range map[string]bool{
		"127.0.0.1:9650": true, "[::1]:9650": true, "192.0.2.1": true, "[2001:db8::1]": true, "localhost:9650": true,
		"lb1:9650": true, "LB1.example.com:9650": true, "lb1.example.com.": true, "other": true,
		"evil.example.com": false, "evil.example.com:9650": false, "127.0.0.1.evil.example.com": false, "": false, "localhost.evil.com": false,
	} {
		if got := ours(host, names); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
	names = []string{"localhost", "lb1.example.com"}
	for host, want := range map[string]bool{"lb1.example.com:9650": true, "LB1.Example.com.": true, "lb1.evil.com": false, "lb1": true} {
		if got := ours(host, names); got != want {
			t.Errorf("%q of a host with a whole name: %t, want %t", host, got, want)
		}
	}
}

// However many ask, few snapshots are made, and the last one is not kept.
func TestShared(t *testing.T) {
	for _, takes := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &source{st: node(control.Family{State: "master"}), takes: takes}
			shared := NewShared(s)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
						if st, err := shared.Status(t.Context()); st == nil || err != nil {
							t.Errorf("got %v, %v", st, err)
						}
					}
				})
			}
			all.Wait()
			each := takes + min(max(freshness, (askShare-1)*takes), freshnessMost)
			if n := s.asked.Load(); n > int64(10*time.Second/each)+2 || n < 2 {
				t.Errorf("asked %d times in 10 s, each taking %v", n, takes)
			}
			time.Sleep(freshnessMost)
			synctest.Wait()
			if shared.st != nil {
				t.Error("what nobody asks for is still kept")
			}
		})
	}
}

// A loop that did not answer is asked again soon.
func TestSharedTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{err: errors.New("stuck"), takes: time.Second}
		shared := NewShared(s)
		for range 2 {
			if _, err := shared.Status(t.Context()); err == nil {
				t.Error("no error of a stuck loop")
			}
		}
		s.err, s.st = nil, node(control.Family{State: "master"})
		time.Sleep(freshness)
		if st, err := shared.Status(t.Context()); st == nil || err != nil || s.asked.Load() != 2 {
			t.Errorf("got %v, %v of a loop that answers again; asked %d times", st, err, s.asked.Load())
		}
	})
}

// An address that is wanted no more and then again is served anew, without a word
// of trouble; and nothing is wrong where nothing is wanted.
func TestListenerOffAndOn(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	var mu sync.Mutex
	var trouble []error
	l := NewListener(func(listening bool, on string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && on != taken.Addr().String() {
			trouble = append(trouble, err)
		}
	})
	defer l.Close()
	for range 50 {
		l.Set(taken.Addr().String(), h)
		l.Set("", nil)
		time.Sleep(100 * time.Microsecond) // in which the first one may find out
		if p := l.Problem(); p != "" {
			t.Fatalf("with nothing wanted: %s", p)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.9:0") // not where clients' own ports are
	if err != nil {
		t.Fatal(err)
	}
	on := free.Addr().String()
	free.Close()
	for range 50 {
		l.Set(on, h)
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			c, err := net.Dial("tcp", on)
			if err == nil {
				c.Close()
				break
			}
			if time.Since(began) > 10*time.Second {
				t.Fatal(err)
			}
		}
		l.Set("", nil)
		l.Set(on, h)
		l.Set("", nil)
	}
	l.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(trouble) > 0 {
		t.Errorf("%d times: %v", len(trouble), trouble[0])
	}
}

// One host that opens many connections keeps no other out, and is let in again
// when it closes them.
func TestConnectionsAreLimited(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	limit := &limited{Listener: lis, from: map[string]int{}}
	go srv.Serve(limit)
	defer srv.Close()
	var open []net.Conn
	for range 3 * fromOne {
		c, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	limit.mu.Lock()
	if limit.all > fromOne {
		t.Errorf("%d connections of one host", limit.all)
	}
	limit.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if resp, err := http.Get("http://" + lis.Addr().String()); err == nil {
			resp.Body.Close()
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("it is not let in again")
		}
	}
}
