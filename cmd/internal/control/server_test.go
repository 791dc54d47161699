package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// get makes one request without the client of this package.
func get(t *testing.T, path, method, url string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://holdfast"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, path, req)
}

// do makes a request and reads the whole answer.
func do(t *testing.T, path string, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func contains(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

// TestRequests wants JSON whatever is asked.
func TestRequests(t *testing.T) {
	f := sample()
	reloads := 0
	f.reload = func(context.Context, string) (*Reloaded, error) {
		reloads++
		return &Reloaded{Version: Version}, nil
	}
	path, _ := serve(t, f)
	tests := []struct {
		method, url string
		code        int
		want        string
	}{
		{"GET", "/v1/status", 200, `"node": "lb1"`},
		{"GET", "/v1/status?x=y", 200, `"node": "lb1"`},
		{"GET", "/v1/explain", 200, `"name": "web"`},
		{"GET", "/v1/explain?instance=dns", 200, `"name": "dns"`},
		{"GET", "/v1/explain?instance=wep", 422, `"error": "there is no instance"`},
		{"GET", "/v1/explain?instance=a&instance=b", 422, "there is one parameter, instance, once: not instance=a\\u0026instance=b"},
		{"GET", "/v1/explain?name=web", 422, "there is one parameter, instance, once: not name=web"},
		{"POST", "/v1/explain", 404, "there is no POST /v1/explain"},
		{"POST", "/v1/reload", 200, `"version": 1`},
		{"GET", "/v1/reload", 404, "there is no GET /v1/reload: try GET /v1/status"},
		{"POST", "/v1/status", 404, "there is no POST /v1/status: try GET /v1/status"},
		{"DELETE", "/v1/status", 404, "there is no DELETE /v1/status"},
		{"GET", "/", 404, "there is no GET /: try GET /v1/status"},
		{"GET", "/v2/status", 404, "there is no GET /v2/status"},
		{"GET", "/%2e%2e/%2e%2e/etc/passwd", 404, "there is no GET "},
		{"GET", "//v1/status", 404, "there is no GET //v1/status"},
		{"GET", "/v1/../v1/status", 404, "there is no GET /v1/../v1/status"},
		{"CONNECT", "/v1/status", 404, "there is no CONNECT "},
		{"OPTIONS", "/v1/status", 404, "there is no OPTIONS /v1/status"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			resp, body := get(t, path, tt.method, tt.url)
			if resp.StatusCode != tt.code || !contains(body, tt.want) {
				t.Errorf("%s\n%s\nwant %d with %q", resp.Status, body, tt.code, tt.want)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "application/json" || !json.Valid(body) {
				t.Errorf("content type %q, valid JSON: %t\n%s", ct, json.Valid(body), body)
			}
		})
	}
	if reloads != 1 {
		t.Errorf("%d reloads, want the one that was asked for by POST", reloads)
	}
}

func TestRefusalsHaveACode(t *testing.T) {
	f := sample()
	path, _ := serve(t, f)
	f.reload = func(context.Context, string) (*Reloaded, error) { return nil, &Refused{errors.New("bad file")} }
	if resp, body := get(t, path, "POST", "/v1/reload"); resp.StatusCode != 422 || !contains(body, `"error": "bad file"`) {
		t.Errorf("a refusal: %s\n%s", resp.Status, body)
	}
	f.reload = func(context.Context, string) (*Reloaded, error) { return nil, errors.New("stopping") }
	if resp, body := get(t, path, "POST", "/v1/reload"); resp.StatusCode != 503 || !contains(body, `"error": "stopping"`) {
		t.Errorf("a failure: %s\n%s", resp.Status, body)
	}
}

// TestHangingBackend has the daemon never answer: the client hears that, and
// the daemon hears that nobody waits any more.
func TestHangingBackend(t *testing.T) {
	f := sample()
	released := make(chan error, 1)
	f.status = func(ctx context.Context) (*Status, error) {
		<-ctx.Done()
		released <- ctx.Err()
		return nil, ctx.Err()
	}
	path, _ := serve(t, f, func(s *Server) { s.patience = 50 * time.Millisecond })
	resp, body := get(t, path, "GET", "/v1/status")
	if resp.StatusCode != 503 || !contains(body, "the daemon did not answer in time") || !json.Valid(body) {
		t.Errorf("%s\n%s", resp.Status, body)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
	if err := <-released; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the daemon's context ended with %v", err)
	}
	if _, _, err := NewClient(path).Status(t.Context()); err == nil || err.Error() != "the daemon did not answer in time" {
		t.Errorf("the client said %v", err)
	}
}

func TestOversizedHeader(t *testing.T) {
	path, _ := serve(t, sample())
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	go fmt.Fprintf(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s, want 431", resp.Status)
	}
	if _, _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Errorf("the next client: %v", err)
	}
}

// TestSlowClient sends a byte now and then: it is cut off, however patient.
func TestSlowClient(t *testing.T) {
	path, _ := serve(t, sample(), func(s *Server) { s.http.ReadHeaderTimeout = 100 * time.Millisecond })
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	io.WriteString(c, "GET /v1/status HTTP/1.1\r\nX: ")
	for {
		select {
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it was not cut off: %v", err)
			}
			return
		case <-tick.C:
			io.WriteString(c, "x")
		}
	}
}

// TestLargeAnswer carries what 2000 instances need.
func TestLargeAnswer(t *testing.T) {
	f := sample()
	f.status = func(context.Context) (*Status, error) {
		st := sampleStatus()
		for len(st.Instances) < 2000 {
			st.Instances = append(st.Instances, st.Instances[0])
		}
		return st, nil
	}
	path, _ := serve(t, f)
	st, raw, err := NewClient(path).Status(t.Context())
	if err != nil || len(st.Instances) != 2000 {
		t.Fatalf("%v", err)
	}
	t.Logf("measured: %d bytes for 2000 instances", len(raw))
}
