package healthcheck

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	// maxBody bounds what is read of a response's body.
	maxBody = 1 << 20
	// maxHeader is the room for a response's header before that.
	maxHeader = 64 << 10
)

var defaultStatus = []StatusRange{{From: 200, To: 399}}

func (r StatusRange) String() string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d-%d", r.From, r.To)
}

// httpProber speaks HTTP/1.1 on a plain connection of its own. An [http.Client]
// is made for other ends: it keeps connections, follows redirects, asks proxies,
// tries again, and logs what it finds odd.
type httpProber struct {
	config *HTTP
	status []StatusRange
	body   *regexp.Regexp // nil when the body does not matter
	dialer net.Dialer
}

func newHTTP(h *HTTP) *httpProber {
	p := &httpProber{config: h, status: h.Status}
	if len(p.status) == 0 {
		p.status = defaultStatus
	}
	if h.Body != "" {
		p.body = regexp.MustCompile(h.Body)
	}
	return p
}

func (p *httpProber) Probe(ctx context.Context) (string, error) {
	req, err := p.request()
	if err != nil {
		return "", err
	}
	conn, err := p.connect(ctx, req.URL)
	if err != nil {
		return "", networkReason(ctx, err)
	}
	defer conn.Close()
	// The end of the context ends what blocks on the connection.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if err := req.Write(conn); err != nil {
		return "", networkReason(ctx, err)
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader + maxBody}
	resp, err := readResponse(limited, req)
	if err != nil && limited.N == 0 {
		return "", fmt.Errorf("the header of the response is larger than %d KiB, and not read on", (maxHeader+maxBody)>>10)
	}
	if err != nil {
		return "", networkReason(ctx, err)
	}
	defer resp.Body.Close()
	return p.judge(ctx, resp)
}

func (p *httpProber) request() (*http.Request, error) {
	req, err := http.NewRequest(cmp.Or(p.config.Method, http.MethodGet), p.config.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	req.Host = cmp.Or(p.config.Host, req.Host)
	for name, value := range p.config.Headers {
		req.Header.Set(name, value)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "holdfast")
	}
	if u := req.URL.User; u != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	return req, nil
}

// connect connects, with TLS when the URL says so.
func (p *httpProber) connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := "80"
	if u.Scheme == "https" {
		port = "443"
	}
	conn, err := p.dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	config, err := p.tlsConfig(u)
	if err == nil {
		secure := tls.Client(conn, config)
		if err = secure.HandshakeContext(ctx); err == nil {
			return secure, nil
		}
	}
	conn.Close()
	return nil, err
}

func (p *httpProber) tlsConfig(u *url.URL) (*tls.Config, error) {
	config := &tls.Config{
		InsecureSkipVerify: p.config.Insecure,
		ServerName:         cmp.Or(serverName(p.config.Host), u.Hostname()),
	}
	if p.config.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(p.config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no PEM certificate", p.config.CAFile)
	}
	return config, nil
}

// readResponse reads the header of the final response.
func readResponse(from io.Reader, req *http.Request) (*http.Response, error) {
	r := bufio.NewReader(from)
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return nil, err
		}
		// 103 Early Hints and the like announce another one.
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

// serverName is the name that a certificate for a Host header must carry.
func serverName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

func (p *httpProber) judge(ctx context.Context, resp *http.Response) (string, error) {
	seen := fmt.Sprintf("status %d", resp.StatusCode)
	if !p.wants(resp.StatusCode) {
		return "", fmt.Errorf("%s, want %s", seen, joinRanges(p.status))
	}
	if p.body == nil {
		return seen, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return seen, fmt.Errorf("read the body: %w", networkReason(ctx, err))
	}
	if !p.body.Match(body) {
		return "", fmt.Errorf("%s, but the body does not match %q", seen, p.config.Body)
	}
	return seen, nil
}

func (p *httpProber) wants(status int) bool {
	for _, r := range p.status {
		if r.From <= status && status <= r.To {
			return true
		}
	}
	return false
}

func joinRanges(rs []StatusRange) string {
	var words []string
	for _, r := range rs {
		words = append(words, r.String())
	}
	return strings.Join(words, ", ")
}
