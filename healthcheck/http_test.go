package healthcheck

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// probeOnce builds the prober of a check and probes, within a generous timeout.
func probeOnce(t *testing.T, c Config) (string, error) {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return p.Probe(ctx)
}

func httpCheck(h HTTP) Config {
	c := valid()
	c.HTTP = &h
	return c
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// site answers with the status that the path names; a few paths are special.
func site(w http.ResponseWriter, r *http.Request) {
	var status int
	switch {
	case r.URL.Path == "/hello":
		io.WriteString(w, "hello\nworld\n")
	case r.URL.Path == "/endless":
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	case r.URL.Path == "/late":
		io.WriteString(w, strings.Repeat("x", maxBody)+"needle")
	case r.URL.Path == "/redirect":
		http.Redirect(w, r, "/503", http.StatusFound)
	case r.URL.Path == "/headers":
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(conn, "X-Filler: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	case r.URL.Path == "/hangup":
		panic(http.ErrAbortHandler)
	case r.URL.Path == "/short":
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "only this")
	default:
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
	}
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(site))
	defer s.Close()
	tests := []struct {
		name      string
		path      string
		edit      HTTP
		want      string
		wantError string
	}{
		{"200", "/200", HTTP{}, "status 200", ""},
		{"204", "/204", HTTP{}, "status 204", ""},
		{"redirects are not followed", "/redirect", HTTP{}, "status 302", ""},
		{"404", "/404", HTTP{}, "", "status 404, want 200-399"},
		{"503", "/503", HTTP{}, "", "status 503, want 200-399"},
		{"wanted 503", "/503", HTTP{Status: []StatusRange{{200, 200}, {503, 503}}}, "status 503", ""},
		{"unwanted 201", "/201", HTTP{Status: []StatusRange{{200, 200}, {300, 399}}}, "", "status 201, want 200, 300-399"},
		{"edges of a range", "/399", HTTP{Status: []StatusRange{{399, 399}}}, "status 399", ""},
		{"body", "/hello", HTTP{Body: `^hello\s+world`}, "status 200", ""},
		{"body does not match", "/hello", HTTP{Body: `goodbye`}, "", `status 200, but the body does not match "goodbye"`},
		{"body of a bad status", "/404", HTTP{Body: `x`}, "", "status 404, want 200-399"},
		{"body without end", "/endless", HTTP{Body: `needle`}, "", `status 200, but the body does not match "needle"`},
		{"body without end, not wanted", "/endless", HTTP{}, "status 200", ""},
		{"match beyond the limit", "/late", HTTP{Body: `needle`}, "", `status 200, but the body does not match "needle"`},
		{"HEAD", "/hello", HTTP{Method: "HEAD"}, "status 200", ""},
		{"header without end", "/headers", HTTP{}, "", "the header of the response is larger than 1088 KiB, and not read on"},
		{"no answer", "/hangup", HTTP{}, "", "closed by the peer before it had answered"},
		{"body cut off", "/short", HTTP{Body: "x"}, "status 200", "read the body: closed by the peer before it had answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.edit.URL = s.URL + tt.path
			got, err := probeOnce(t, httpCheck(tt.edit))
			if got != tt.want || text(err) != tt.wantError {
				t.Errorf("got %q, error %q\nwant %q, error %q", got, text(err), tt.want, tt.wantError)
			}
		})
	}
}

func TestHTTPRequest(t *testing.T) {
	type request struct{ Method, Host, Path, Agent, Auth, Extra, Encoding string }
	requests := make(chan request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- request{r.Method, r.Host, r.URL.RequestURI(), r.UserAgent(), r.Header.Get("Authorization"), r.Header.Get("X-Extra"), r.Header.Get("Accept-Encoding")}
	}))
	defer s.Close()
	address := strings.TrimPrefix(s.URL, "http://")
	tests := []struct {
		name string
		http HTTP
		want request
	}{
		{"plain", HTTP{URL: s.URL + "/a?b=c"}, request{Method: "GET", Host: address, Path: "/a?b=c", Agent: "holdfast"}},
		{"host", HTTP{URL: s.URL, Host: "www.example.org"}, request{Method: "GET", Host: "www.example.org", Path: "/", Agent: "holdfast"}},
		{
			"method and headers",
			HTTP{URL: s.URL, Method: "OPTIONS", Headers: map[string]string{"x-extra": "e", "user-agent": "me"}},
			request{Method: "OPTIONS", Host: address, Path: "/", Agent: "me", Extra: "e"},
		},
		{"password", HTTP{URL: "http://user:pw@" + address}, request{Method: "GET", Host: address, Path: "/", Agent: "holdfast", Auth: "Basic dXNlcjpwdw=="}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := probeOnce(t, httpCheck(tt.http)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, <-requests); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestHTTPMakesANewConnectionEachTime(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(site))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	p, err := New(httpCheck(HTTP{URL: s.URL + "/hello", Body: "hello"}))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 3 {
		t.Errorf("%d connections for 3 probes", n)
	}
}

func TestHTTPSkipsInterimResponses(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	if got, err := probeOnce(t, httpCheck(HTTP{URL: s.URL})); got != "status 204" || err != nil {
		t.Errorf("got %q, error %v", got, err)
	}
}

// The certificate of httptest is for example.com, 127.0.0.1 and ::1.
func TestHTTPS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(site))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of each refused certificate
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		edit HTTP
		want string // within the error; empty for none
	}{
		{"unknown authority", HTTP{}, "certificate signed by unknown authority"},
		{"insecure", HTTP{Insecure: true}, ""},
		{"ca_file", HTTP{CAFile: ca}, ""},
		{"ca_file and host", HTTP{CAFile: ca, Host: "example.com"}, ""},
		{"ca_file and host with port", HTTP{CAFile: ca, Host: "example.com:8443"}, ""},
		{"ca_file and host that is an address", HTTP{CAFile: ca, Host: "[::1]"}, ""},
		{"another host", HTTP{CAFile: ca, Host: "www.example.net"}, "certificate is valid for example.com"},
		{"no such ca_file", HTTP{CAFile: ca + ".old"}, "read ca_file: open " + ca + ".old: no such file or directory"},
		{"empty ca_file", HTTP{CAFile: empty}, "ca_file " + empty + " holds no PEM certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.edit.URL = s.URL + "/200"
			_, err := probeOnce(t, httpCheck(tt.edit))
			if tt.want == "" && err != nil || !strings.Contains(text(err), tt.want) {
				t.Errorf("error %q, want %q", text(err), tt.want)
			}
		})
	}
}

func TestHTTPSNI(t *testing.T) {
	names := make(chan string, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names <- r.TLS.ServerName }))
	s.StartTLS()
	defer s.Close()
	if _, err := probeOnce(t, httpCheck(HTTP{URL: s.URL, Insecure: true, Host: "www.example.net:8443"})); err != nil {
		t.Fatal(err)
	}
	if got := <-names; got != "www.example.net" {
		t.Errorf("server name %q", got)
	}
}

// silence is a server that accepts connections, answers with some bytes, and
// never goes on.
func silence(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			io.WriteString(conn, answer)
		}
	}()
	return l.Addr().String()
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// oneResult runs a check until its first result.
func oneResult(t *testing.T, c Config) Result {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first *Result
	Run(ctx, c, p, func(r Result) {
		if first == nil {
			first = &r
		}
		cancel()
	})
	return *first
}

func TestHTTPFailures(t *testing.T) {
	tests := []struct {
		name, url, body, want string
	}{
		{"refused", "http://" + closedPort(t) + "/", "", "connection refused"},
		{"no answer", "http://" + silence(t, "") + "/", "", "timed out after 150ms"},
		{"half a header", "http://" + silence(t, "HTTP/1.1 200 OK\r\nA: b") + "/", "", "timed out after 150ms"},
		{"half a body", "http://" + silence(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") + "/", "x", "timed out after 150ms: status 200"},
		{"no HTTP", "http://" + silence(t, "SSH-2.0-OpenSSH\r\n") + "/", "", `malformed HTTP response "SSH-2.0-OpenSSH"`},
		{"no TLS", "https://" + silence(t, "220 smtp.example.org\r\n") + "/", "", "tls: first record does not look like a TLS handshake"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := httpCheck(HTTP{URL: tt.url, Body: tt.body})
			c.Timeout = 150 * ms
			if r := oneResult(t, c); r.Output != tt.want || r.Healthy || r.OK {
				t.Errorf("got %+v, want %q", r, tt.want)
			}
		})
	}
}
