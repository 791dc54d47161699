package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"
)

// maxExpect bounds what is read of a peer.
const maxExpect = 16 << 10

type tcpProber struct {
	config *TCP
	expect *regexp.Regexp // nil when nothing is expected
	dialer net.Dialer
}

func newTCP(t *TCP) *tcpProber {
	p := &tcpProber{config: t}
	if t.Expect != "" {
		p.expect = regexp.MustCompile(t.Expect)
	}
	return p
}

func (p *tcpProber) Probe(ctx context.Context) (string, error) {
	conn, err := p.dialer.DialContext(ctx, "tcp", p.config.Address)
	if err != nil {
		return "", networkReason(ctx, err)
	}
	defer conn.Close()
	// The end of the context ends what blocks on the connection.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if p.config.Send != "" {
		if _, err := io.WriteString(conn, p.config.Send); err != nil {
			return "connected", fmt.Errorf("send: %w", networkReason(ctx, err))
		}
	}
	if p.expect == nil {
		return "connected", nil
	}
	return p.receive(ctx, conn)
}

// receive reads until what was received matches.
func (p *tcpProber) receive(ctx context.Context, conn net.Conn) (string, error) {
	buf := make([]byte, 0, maxExpect)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n > 0 && p.expect.Match(buf) {
			return received(buf), nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return received(buf), fmt.Errorf("closed by the peer before anything matched %q", p.config.Expect)
		case err != nil:
			return received(buf), networkReason(ctx, err)
		case len(buf) == cap(buf):
			return received(buf), fmt.Errorf("nothing matches %q within %d bytes", p.config.Expect, maxExpect)
		}
	}
}

// received shows the beginning of what came, which may be binary.
func received(buf []byte) string {
	const shown = 200
	if len(buf) == 0 {
		return "received nothing"
	}
	if len(buf) > shown {
		return fmt.Sprintf("received %q and more", strings.ToValidUTF8(string(buf[:shown]), "\ufffd"))
	}
	return fmt.Sprintf("received %q", strings.ToValidUTF8(string(buf), "\ufffd"))
}
