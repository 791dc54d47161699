package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asker is a kind of client, by what the kernel says of it.
type asker struct {
	name string
	cred *unix.Ucred
	may  bool // change anything
}

func askers() []asker {
	return []asker{
		{"nobody knows", nil, false},
		{"another user", &unix.Ucred{Uid: 65534, Gid: 65534, Pid: 7}, false},
		{"root", &unix.Ucred{Pid: 7}, true},
		{"the daemon's user", &unix.Ucred{Uid: uint32(os.Geteuid()), Pid: 7}, true},
	}
}

// fuzzServer answers one kind of asker, and counts what it was told to change.
type fuzzServer struct {
	asker
	path    string
	changes atomic.Int32
	panics  lockedBuffer
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fuzzTimeout is when a fuzzed server ends a connection that says nothing.
const fuzzTimeout = time.Second

// startFuzzServer serves until the end of the fuzzing.
func startFuzzServer(f *testing.F, a asker) *fuzzServer {
	f.Helper()
	fs := &fuzzServer{asker: a}
	b := sample()
	b.reload = func(context.Context, string) (*Reloaded, error) {
		fs.changes.Add(1)
		return &Reloaded{Version: Version}, nil
	}
	b.order = func(said) (*Operated, error) {
		fs.changes.Add(1)
		return &Operated{Version: Version, Results: []Result{}}, nil
	}
	s := NewServer(b)
	s.others, s.trusted = nil, nil // it is fast on purpose
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, credKey{}, a.cred)
	}
	s.http.ReadTimeout, s.http.ReadHeaderTimeout, s.http.IdleTimeout = fuzzTimeout, fuzzTimeout, fuzzTimeout
	s.http.ErrorLog = log.New(&fs.panics, "", 0)
	fs.path = filepath.Join(f.TempDir(), "sock")
	l, err := Listen(fs.path, "")
	if err != nil {
		f.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); err != nil {
			f.Error(err)
		}
	})
	f.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	return fs
}

// ask sends raw bytes as all that a client says, and returns the whole answer.
func (fs *fuzzServer) ask(t *testing.T, raw []byte) []byte {
	t.Helper()
	c, err := net.Dial("unix", fs.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second)) // far beyond what the server allows
	go func() {
		c.Write(raw) // the server may have hung up
		c.(*net.UnixConn).CloseWrite()
	}()
	out, err := io.ReadAll(io.LimitReader(c, maxFuzzAnswer+1))
	if err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		t.Fatalf("%s: reading the answer: %v", fs.name, err)
	}
	return out
}

const (
	maxFuzzRequest = 64 << 10
	maxFuzzAnswer  = 8 << 20 // all pipelined requests of one connection together
)

// checkAnswers asserts that an answer is a row of HTTP responses, each with one
// JSON value unless HTTP itself was at fault. The methods are those of the
// requests as far as they can be read: the answer to HEAD has no body.
func checkAnswers(t *testing.T, raw, answer []byte) (changed int) {
	t.Helper()
	if len(answer) > maxFuzzAnswer {
		t.Fatalf("%d bytes asked, and more than %d answered", len(raw), maxFuzzAnswer)
	}
	in := bufio.NewReader(bytes.NewReader(raw))
	out := bufio.NewReader(bytes.NewReader(answer))
	for n := 0; ; n++ {
		if _, err := out.Peek(1); err != nil {
			return changed
		}
		req, err := http.ReadRequest(in)
		if err != nil || req.ProtoMajor != 1 {
			req = nil // refused as it stands, with words also for a HEAD
		}
		resp, err := http.ReadResponse(out, req)
		if err != nil {
			t.Fatalf("answer %d is no HTTP: %v\n%q", n, err, answer)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("answer %d breaks off: %v\n%q", n, err, answer)
		}
		if req != nil {
			io.Copy(io.Discard, req.Body)
		}
		if resp.StatusCode == http.StatusContinue {
			n--
			continue
		}
		checkAnswer(t, req, resp, body)
		if resp.StatusCode == http.StatusOK && req != nil && req.Method == http.MethodPost {
			changed++
		}
	}
}

func checkAnswer(t *testing.T, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable:
	case http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported,
		http.StatusExpectationFailed, http.StatusMethodNotAllowed, http.StatusRequestTimeout, http.StatusUnsupportedMediaType:
		return // HTTP was at fault, and the words are those of net/http
	default:
		t.Fatalf("status %s", resp.Status)
	}
	if req != nil && req.Method == http.MethodHead {
		return
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" || !json.Valid(body) {
		t.Fatalf("%s with content type %q is no JSON: %q", resp.Status, ct, body)
	}
	var e Error
	if resp.StatusCode != http.StatusOK && (json.Unmarshal(body, &e) != nil || e.Error == "") {
		t.Fatalf("%s says nothing: %q", resp.Status, body)
	}
}

// FuzzRequests demands that whatever is sent on the control socket is answered
// with well-formed HTTP and JSON or not at all, panics nowhere, ends in time and
// leaves nothing behind, and that only who may changes anything, by asking for
// it.
func FuzzRequests(f *testing.F) {
	for _, raw := range fuzzRequests() {
		for who := range askers() {
			f.Add(byte(who), []byte(raw))
		}
	}
	var servers []*fuzzServer
	for _, a := range askers() {
		servers = append(servers, startFuzzServer(f, a))
	}
	f.Fuzz(func(t *testing.T, who byte, raw []byte) {
		if len(raw) > maxFuzzRequest {
			return
		}
		fs := servers[int(who)%len(servers)]
		before := fs.changes.Load()
		changed := checkAnswers(t, raw, fs.ask(t, raw))
		did := int(fs.changes.Load() - before)
		switch {
		case did > 0 && !fs.may:
			t.Fatalf("%s changed something by %q", fs.name, raw)
		case did != changed:
			t.Fatalf("%s was told of %d changes and made %d by %q", fs.name, changed, did, raw)
		case did > bytes.Count(raw, []byte("POST")):
			t.Fatalf("%d changes by %q", did, raw)
		}
		if said := fs.panics.String(); strings.Contains(said, "panic") {
			t.Fatalf("a handler panicked: %s", said)
		}
		if n := runtime.NumGoroutine(); n > 500 {
			t.Fatalf("%d goroutines are left", n)
		}
	})
}

// fuzzRequests are what the fuzzing begins with.
func fuzzRequests() []string {
	return []string{
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /v1/explain?instance=%77eb&instance=;x HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 21\r\n\r\n{\"instances\":[\"web\"]}",
		"POST /v1/failover HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
		"HEAD /v1/status HTTP/1.0\r\n\r\n",
		"GET /v1/../v1/%2e%2e//reload?a=b;c#d HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /v1/reload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"GET /v1/status HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"\x16\x03\x01\x02\x00",
	}
}
