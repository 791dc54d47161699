package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

const metricsTOML = "[metrics]\nlisten = \":9650\"\ncompat = true\n"

// get asks the node's own listener, as a scraper on the same host would.
func (n *node) get(path string, header ...string) (body string, code int) {
	n.t.Helper()
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, addr string) (c net.Conn, err error) {
			err = n.Do(func() (err error) {
				c, err = (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:9650")
				return err
			})
			return c, err
		},
	}}
	req, err := http.NewRequestWithContext(n.t.Context(), "GET", "http://127.0.0.1:9650"+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for k := 0; k+1 < len(header); k += 2 {
		req.Header.Set(header[k], header[k+1])
		if header[k] == "Host" {
			req.Host = header[k+1]
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		return err.Error(), 0
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text), resp.StatusCode
}

// says reports whether the metrics of the node have a line.
func (n *node) says(line string) bool {
	n.t.Helper()
	body, code := n.get("/metrics")
	return code == http.StatusOK && strings.Contains(body, line+"\n")
}

const (
	isMaster     = `holdfast_instance_state{state="master",vrrp_instance="web"} 1`
	isCompat     = `keepalived_vrrp_state{iname="web",intf="eth0",ip_address="192.0.2.100/24",vrid="51"} %d`
	readyMessage = "ready\n"
)

// Both nodes are scraped through a fail-over: exactly one is master before and
// after, the old dashboards' metric agrees, and the live output is well named.
func TestMetrics(t *testing.T) {
	l := newLab(t)
	list := nodes(t, l, 2)
	a, b := list[0], list[1]
	vips := []string{vipFour + "/24"}
	a.run(metricsTOML + instanceTOML(150, "100ms", vips))
	b.run(metricsTOML + instanceTOML(100, "100ms", vips))
	only(t, settled, vipFour, a, b)
	eventually(t, settled, "the metrics of a say master", func() bool { return a.says(isMaster) })
	for n, state := range map[*node]int{a: 2, b: 1} {
		if line := fmt.Sprintf(isCompat, state); !n.says(line) {
			t.Errorf("%s does not say %s", n.Name(), line)
		}
		if body, code := n.get("/readyz"); body != readyMessage || code != http.StatusOK {
			t.Errorf("%s: readyz says %d %s", n.Name(), code, body)
		}
		if body, code := n.get("/healthz"); code != http.StatusOK {
			t.Errorf("%s: healthz says %d %s", n.Name(), code, body)
		}
	}
	body, _ := b.get("/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	if !regexp.MustCompile(`holdfast_master_silence_seconds\{family="ipv4",master="192.0.2.1",vrrp_instance="web"\} 0\.\d`).MatchString(body) {
		t.Errorf("b does not say how long ago a was heard:\n%s", body)
	}
	t.Logf("measured: a scrape of one instance has %d lines", strings.Count(body, "\n"))

	if err := a.Unplug(); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, settled, "b says master", func() bool { return b.says(isMaster) })
	t.Logf("measured: the metrics tell of the new master after %s", ms(took))
	if !b.says(`holdfast_instance_transitions_total{reason="master_silent",vrrp_instance="web"} 1`) {
		t.Error("b does not count why it took over")
	}
	eventually(t, settled, "a is not ready", func() bool {
		body, code := a.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "web ipv4 is in fault: interface eth0 has no carrier")
	})
	if body, _ := a.get("/readyz", "Accept", "application/json"); !strings.Contains(body, `"ready":false`) {
		t.Errorf("readyz as JSON: %s", body)
	}
	page, code := b.get("/")
	if code != http.StatusOK || !strings.Contains(page, `<strong class="state master" data-name="web">MASTER</strong>`) {
		t.Errorf("the page says %d\n%s", code, page)
	}
	if _, code := b.get("/", "Host", "evil.example.com"); code != http.StatusMisdirectedRequest {
		t.Errorf("a name of somebody else is answered %d", code)
	}
}

// A port that is taken holds nothing up: the daemon says so and serves once it
// is free. A reload moves the listener, and ends it.
func TestMetricsPort(t *testing.T) {
	l := newLab(t)
	a := nodes(t, l, 1)[0]
	var taken net.Listener
	err := a.Do(func() (err error) {
		taken, err = net.Listen("tcp", ":9650")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	instance := instanceTOML(150, "100ms", []string{vipFour + "/24"})
	a.run(metricsTOML + instance)
	only(t, settled, vipFour, a)
	out, _ := a.command("status", "--config", "/run/holdfast.toml")
	if want := "metrics and the status page are not served: address already in use"; !strings.Contains(out, want) {
		t.Errorf("status does not say %q:\n%s", want, out)
	}
	taken.Close()
	eventually(t, settled, "metrics are served", func() bool { return a.says(isMaster) })
	a.configure(instance)
	if out, code := a.command("reload", "--config", "/run/holdfast.toml"); code != 0 {
		t.Fatalf("reload: %s", out)
	}
	eventually(t, settled, "nothing is served any more", func() bool {
		_, code := a.get("/healthz")
		return code == 0
	})
	if n := strings.Count(a.daemon.Output(), "cannot be served"); n != 1 {
		t.Errorf("the log tells of the taken port %d times, want once", n)
	}
}
