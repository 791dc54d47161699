package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a runner whose checks are scripts; it logs what happens as lines of
// "time check what".
type bench struct {
	*Runner
	t     *testing.T
	began time.Time

	mu  sync.Mutex
	log []string
	// linger is how long a probe takes to end when its context has ended, and
	// hang whether a probe waits for that.
	linger time.Duration
	hang   map[string]bool
	inside map[string]int
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, began: time.Now(), hang: map[string]bool{}, inside: map[string]int{}}
	b.Runner = NewRunner(func(r Result) { b.note("%s %s", r.Check, r.Output) })
	b.newProber = func(c Config) (Prober, error) {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		return &benchProber{b, c}, nil
	}
	t.Cleanup(b.Close)
	return b
}

func (b *bench) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, fmt.Sprint(time.Since(b.began), " ", fmt.Sprintf(format, args...)))
}

// take returns the log since the last time, and empties it.
func (b *bench) take() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.log
	b.log = nil
	slices.Sort(log)
	return log
}

type benchProber struct {
	b *bench
	c Config
}

func (p *benchProber) Probe(ctx context.Context) (string, error) {
	p.b.mu.Lock()
	p.b.inside[p.c.Name]++
	if p.b.inside[p.c.Name] > 1 {
		p.b.t.Errorf("probes of check %q overlap", p.c.Name)
	}
	hang := p.b.hang[p.c.Name]
	p.b.mu.Unlock()
	defer func() {
		p.b.mu.Lock()
		p.b.inside[p.c.Name]--
		p.b.mu.Unlock()
	}()
	if hang {
		<-ctx.Done()
		time.Sleep(p.b.linger)
		p.b.note("%s ended", p.c.Name)
		return "", ctx.Err()
	}
	return p.c.TCP.Address, nil
}

func check(name, address string) Config {
	c := valid()
	c.Name, c.TCP = name, &TCP{Address: address}
	return c
}

func (b *bench) set(configs ...Config) {
	b.t.Helper()
	if err := b.Set(configs); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) want(lines ...string) {
	b.t.Helper()
	if diff := cmp.Diff(lines, b.take()); diff != "" {
		b.t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRunnerSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.set(check("a", "h:1"), check("b", "h:2"))
		b.want("0s a h:1", "0s b h:2")

		// Half a second later b changes, a stays and c comes: b and c probe
		// at once, a keeps its schedule.
		time.Sleep(500 * ms)
		b.set(check("a", "h:1"), check("b", "h:22"), check("c", "h:3"))
		b.want("500ms b h:22", "500ms c h:3")
		time.Sleep(600 * ms)
		b.want("1s a h:1")

		b.set(check("c", "h:3"))
		time.Sleep(sec)
		b.want("1.5s c h:3")

		b.set()
		time.Sleep(time.Minute)
		b.want()
	})
}

func TestRunnerKeepsWhatItKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []bool
		r := NewRunner(func(r Result) {
			if r.Changed {
				changes = append(changes, r.Healthy)
			}
		})
		var fail atomic.Bool
		r.newProber = func(Config) (Prober, error) {
			return probeFunc(func() error {
				if fail.Load() {
					return errors.New("broken")
				}
				return nil
			}), nil
		}
		c := check("a", "h:1")
		c.Retry = c.Interval
		for range 3 { // a reload between the failures must not forget the first
			if err := r.Set([]Config{c}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			fail.Store(true)
			time.Sleep(sec)
		}
		r.Close()
		if diff := cmp.Diff([]bool{true, false}, changes); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

type probeFunc func() error

func (f probeFunc) Probe(context.Context) (string, error) { return "", f() }

func TestRunnerRefusesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.set(check("a", "h:1"))
		b.want("0s a h:1")
		err := b.Set([]Config{check("n", "h:9"), check("n", "h:8"), check("x", "nonsense"), check("y", "h:0")})
		want := `check "n": the name is used twice
check "x": tcp: address "nonsense" must be host:port
check "y": tcp: port "0" must be a number between 1 and 65535`
		if err == nil || err.Error() != want {
			t.Errorf("got error\n%v\nwant\n%s", err, want)
		}
		time.Sleep(1500 * ms)
		b.want("1s a h:1")
	})
}

func TestRunnerCopiesConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := check("a", "h:1")
		b.set(c)
		b.want("0s a h:1")
		c.TCP.Address = "h:2" // the caller's own; and now it is another check
		time.Sleep(1500 * ms)
		b.want("1s a h:1")
		b.set(c)
		b.want("1.5s a h:2")
	})
}

// Set does not wait for a check that takes its time to end, but the check that
// replaces it does, however often it is replaced meanwhile.
func TestRunnerNeverOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.linger = 700 * ms
		b.hang["a"] = true
		b.set(check("a", "h:1"))
		synctest.Wait()
		b.mu.Lock()
		b.hang["a"] = false
		b.mu.Unlock()

		b.set(check("a", "h:2"))
		b.set(check("a", "h:3"))
		b.set()
		b.set(check("a", "h:4"))
		if took := time.Since(b.began); took != 0 {
			t.Errorf("Set waited %v", took)
		}
		b.want()
		time.Sleep(700 * ms)
		b.want("700ms a ended", "700ms a h:4")
	})
}

func TestRunnerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.linger = 300 * ms
		b.hang["a"], b.hang["old"] = true, true
		b.set(check("a", "h:1"), check("old", "h:2"))
		synctest.Wait()
		b.set(check("a", "h:1"))
		b.Close() // waits for the removed one too
		b.want("300ms a ended", "300ms old ended")
		if err := b.Set(nil); err == nil {
			t.Error("Set after Close succeeds")
		}
		b.Close() // again is harmless
	})
}

// Run with -race, this proves that the methods may be called from anywhere.
func TestRunnerConcurrently(t *testing.T) {
	r := NewRunner(func(Result) {})
	r.newProber = func(Config) (Prober, error) { return probeFunc(func() error { return nil }), nil }
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				if err := r.Set([]Config{check("a", fmt.Sprint("h:", 1+(i+j)%3)), check("b", "h:1")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r.Close()
}

// BenchmarkRunnerSet sets many checks that are what they were, as most reloads do.
func BenchmarkRunnerSet(b *testing.B) {
	var list []Config
	for n := range 255 {
		list = append(list, Config{
			Name: fmt.Sprintf("c%d", n), Interval: time.Hour, Timeout: sec, Retry: sec, Fall: 1, Rise: 1,
			HTTP: &HTTP{URL: "http://127.0.0.1:9/", Body: "ok.*", Headers: map[string]string{"Accept": "text/plain"}},
		})
	}
	r := NewRunner(func(Result) {})
	defer r.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Set(list); err != nil {
			b.Fatal(err)
		}
	}
}
