package healthcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serve accepts connections and hands each to f.
func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
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
			go func() {
				defer conn.Close()
				f(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	// redis answers PING with +PONG, without closing.
	redis := func(conn net.Conn) {
		buf := make([]byte, 6)
		if _, err := io.ReadFull(conn, buf); err == nil && string(buf) == "PING\r\n" {
			io.WriteString(conn, "+PONG\r\n")
		}
		io.Copy(io.Discard, conn)
	}
	pieces := func(conn net.Conn) {
		for _, b := range []byte("220 mail ready\r\n") {
			conn.Write([]byte{b})
		}
		io.Copy(io.Discard, conn)
	}
	says := func(s string) func(net.Conn) { return func(conn net.Conn) { io.WriteString(conn, s) } }
	tests := []struct {
		name         string
		server       func(net.Conn)
		send, expect string
		want         string
		wantError    string
	}{
		{"connect", says(""), "", "", "connected", ""},
		{"send alone", redis, "PING\r\n", "", "connected", ""},
		{"send and expect", redis, "PING\r\n", `^\+PONG`, `received "+PONG\r\n"`, ""},
		{"banner in pieces", pieces, "", `^220 .* ready\r\n`, `received "220 mail ready\r\n"`, ""},
		{"wrong answer", says("-ERR\r\n"), "", "PONG", `received "-ERR\r\n"`, `closed by the peer before anything matched "PONG"`},
		{"no answer", says(""), "", "PONG", "received nothing", `closed by the peer before anything matched "PONG"`},
		{"binary", says("\x00\xff\x01"), "", "PONG", `received "\x00�\x01"`, `closed by the peer before anything matched "PONG"`},
		{"too much", says(strings.Repeat("x", 2*maxExpect)), "", "PONG", `received "` + strings.Repeat("x", 200) + `" and more`, `nothing matches "PONG" within 16384 bytes`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			c.TCP = &TCP{Address: serve(t, tt.server), Send: tt.send, Expect: tt.expect}
			got, err := probeOnce(t, c)
			if got != tt.want || text(err) != tt.wantError {
				t.Errorf("got %q, error %q\nwant %q, error %q", got, text(err), tt.want, tt.wantError)
			}
		})
	}
}

func TestTCPFailures(t *testing.T) {
	tests := []struct {
		name string
		tcp  TCP
		want string
	}{
		{"refused", TCP{Address: closedPort(t)}, "connection refused"},
		{"silent", TCP{Address: silence(t, ""), Expect: "x"}, "timed out after 100ms: received nothing"},
		{"other words", TCP{Address: silence(t, "hello"), Expect: "x"}, `timed out after 100ms: received "hello"`},
		{"does not read", TCP{Address: silence(t, ""), Send: strings.Repeat("x", 64<<20)}, "timed out after 100ms: connected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			c.TCP, c.Timeout = &tt.tcp, 100*ms
			if r := oneResult(t, c); r.Output != tt.want || r.OK || r.Healthy {
				t.Errorf("got %+v, want %q", r, tt.want)
			}
		})
	}
}

func TestTCPHeedsTheContext(t *testing.T) {
	c := valid()
	c.TCP = &TCP{Address: silence(t, ""), Expect: "x"}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(20*ms, cancel)
	defer timer.Stop()
	if _, err := p.Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}
