package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// HTTPProbe is Probe with web requests: rate times a second, 1 to 1000, a new
// connection and GET / to port 80 of target. Answered is what brings status 200
// with the server's name as the first line of the body within the patience,
// connecting included.
//
// When an address moves, a connection that is open at that moment ends with a
// reset by the new host, which knows nothing of it. The request is then made
// once more, as clients do with one that may be repeated (RFC 9110 section
// 9.2.2), and counted in [Report.Repeated]. What is refused or silent is lost.
func (h *Host) HTTPProbe(target netip.Addr, rate int) (*Probe, error) {
	if rate > 1000 {
		return nil, fmt.Errorf("start probe: rate %d is not from 1 to 1000 web requests a second", rate)
	}
	return h.probe(rate, func(rec *record) (asker, error) {
		a := &httpAsker{host: h, to: netip.AddrPortFrom(target, 80).String(), rec: rec}
		a.ctx, a.cancel = context.WithCancel(context.Background())
		return a, nil
	})
}

type httpAsker struct {
	host   *Host
	to     string
	rec    *record
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (a *httpAsker) ask(n int) {
	a.wg.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, a.rec.patience)
		defer cancel()
		server, err := a.get(ctx)
		// A reset that connecting has already noticed shows as a broken pipe.
		if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
			a.rec.repeat(n)
			server, err = a.get(ctx)
		}
		if err == nil {
			a.rec.answer(n, server, time.Now())
		} // else it stays unanswered: lost
	})
}

func (a *httpAsker) close() error {
	a.cancel()
	a.wg.Wait()
	return nil
}

// get makes one request and returns the first line of the answer.
func (a *httpAsker) get(ctx context.Context) (string, error) {
	var conn net.Conn
	err := a.host.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", a.to)
		return err
	})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", a.to); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s", resp.Status)
	}
	name, _, _ := strings.Cut(string(body), "\n")
	return name, nil
}
