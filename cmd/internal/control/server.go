package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/logbook"
)

// Backend is what the daemon offers. Its methods may be called at any time and
// must respect the context.
type Backend interface {
	Status(ctx context.Context) (*Status, error)
	// Reload reads the configuration again. who is the asking user, for the log.
	Reload(ctx context.Context, who string) (*Reloaded, error)
	// Explain tells why this node is or is not master of an instance, or of each
	// when the name is empty.
	Explain(ctx context.Context, instance string) (*Explained, error)
	// Events is the history of what happened.
	Events() *history.History
	// Logs are the records of the log.
	Logs() *logbook.Book
	Operator
}

// Refused is an error that is the asker's to mend, such as a bad configuration.
type Refused struct{ Err error }

func (r *Refused) Error() string { return r.Err.Error() }
func (r *Refused) Unwrap() error { return r.Err }

// Limits that keep a slow or abusive client from costing much; those on
// connections are with [guard].
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 30 * time.Second
	// answerTimeout is how long a client may take to read an answer.
	answerTimeout = 10 * time.Second
	// closePatience is how long the end waits for answers.
	closePatience = 50 * time.Millisecond
	// maxHeader is also how long a URL may be.
	maxHeader = 16 << 10
	// othersGap is the time between two requests of those who may only read, all
	// together, beyond the first othersBurst; trustedGap is that of the rest.
	othersGap, othersBurst   = 5 * time.Millisecond, 50
	trustedGap, trustedBurst = time.Millisecond, 500
)

// Listen opens the socket. A socket that a dead daemon left is replaced; one
// that answers, and anything that is no socket, is left alone. Members of the
// group may connect.
func Listen(path, group string) (net.Listener, error) {
	if err := clear(path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{Control: closed}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open control socket %s: %w", path, reason(err))
	}
	if err := admit(path, group); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// closed has a socket's file made so that there is no moment in which others may
// connect. A umask would be that of programs that are started meanwhile, too.
func closed(_, _ string, c syscall.RawConn) (err error) {
	if cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); cerr != nil {
		return cerr
	}
	return err
}

func clear(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot use control socket %s: %w", path, reason(err))
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("cannot use control socket %s: there is something else of that name; move it or set another control socket", path)
	}
	switch c, err := net.DialTimeout("unix", path, time.Second); {
	case err == nil:
		c.Close()
		fallthrough
	case errors.Is(err, unix.EAGAIN): // more wait for it than the kernel queues
		return fmt.Errorf("control socket %s answers: another holdfast is running; stop it first or set another control socket", path)
	case errors.Is(err, os.ErrNotExist): // it has just gone
		return nil
	case !errors.Is(err, unix.ECONNREFUSED): // of somebody who lives, perhaps
		return fmt.Errorf("cannot use control socket %s: there is another socket of that name (%w); remove it or set another control socket", path, reason(err))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot replace the stale control socket %s: %w", path, reason(err))
	}
	return nil
}

// admit lets a group connect. An empty group admits nobody but the owner.
func admit(path, group string) error {
	if group == "" {
		return nil
	}
	number := group // which it may be
	if g, err := user.LookupGroup(group); err == nil {
		number = g.Gid
	}
	gid, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return fmt.Errorf("control group %q does not exist: create it (groupadd --system %[1]s) or set another in [control]", group)
	}
	switch err := os.Chown(path, -1, int(gid)); {
	case errors.Is(err, os.ErrPermission):
		who := strconv.Itoa(os.Geteuid())
		if u, err := user.LookupId(who); err == nil {
			who = u.Username
		}
		return fmt.Errorf("cannot give control socket %s to group %s, which user %s is not in: usermod --append --groups %[2]s %[3]s, then start it again", path, group, who)
	case err != nil:
		return fmt.Errorf("cannot give control socket %s to group %s: %w", path, group, reason(err))
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("cannot open control socket %s to group %s: %w", path, group, reason(err))
	}
	return nil
}

// reason strips the operation and path from an error that will be told with both.
func reason(err error) error {
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// Server answers requests on a listener.
type Server struct {
	// Trouble, when not nil, hears what is wrong with the socket or the server.
	Trouble func(message string)

	http            http.Server
	backend         Backend
	patience        time.Duration // for the backend
	others, trusted *pace
}

type credKey struct{}

// NewServer returns a server for a backend.
func NewServer(b Backend) *Server {
	s := &Server{
		backend: b, patience: requestTimeout,
		others: newPace(othersGap, othersBurst), trusted: newPace(trustedGap, trustedBurst),
	}
	status := map[bool]*shared[document]{false: s.share(false), true: s.share(true)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.ask(func(ctx context.Context, r *http.Request) (any, error) {
		return status[r.URL.Query().Get("recent") == "true"].get(ctx)
	}))
	mux.HandleFunc("POST /v1/reload", s.change(func(ctx context.Context, who string, _ *http.Request) (any, error) { return b.Reload(ctx, who) }))
	mux.HandleFunc("GET /v1/explain", s.ask(s.explain))
	mux.Handle("GET /v1/events", s.events(b.Events()))
	mux.Handle("GET /v1/logs", s.logs(b.Logs()))
	s.operate(mux)
	mux.HandleFunc("/", notFound)
	s.http = http.Server{
		Handler: s.paced(asWritten(mux)),
		// OPTIONS * is no different from what else there is not.
		DisableGeneralOptionsHandler: true,

		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      2 * requestTimeout,
		IdleTimeout:       requestTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(complaints{s}, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if a, ok := c.(*admitted); ok {
				ctx = context.WithValue(ctx, credKey{}, a.cred)
			}
			return ctx
		},
	}
	return s
}

// share has those who ask for the status at the same time share an answer, with
// or without the recent probes of the checks.
func (s *Server) share(recent bool) *shared[document] {
	return newShared(func() time.Duration { return s.patience }, func(ctx context.Context) (document, error) {
		st, err := s.backend.Status(ctx)
		if err != nil {
			return nil, err
		}
		if !recent {
			for n := range st.Checks {
				st.Checks[n].Recent = nil
			}
		}
		return encode(st)
	})
}

// complaints is where net/http tells what went wrong: only a panic is ours, all else is
// the client's.
type complaints struct{ s *Server }

func (c complaints) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		c.s.tell(string(line))
	}
	return len(line), nil
}

func (s *Server) tell(message string) {
	if s.Trouble != nil {
		s.Trouble(strings.TrimSpace(message))
	}
}

// paced makes those wait who ask too fast.
func (s *Server) paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := s.others
		if cred, _ := r.Context().Value(credKey{}).(*unix.Ucred); mayChange(cred) {
			p = s.trusted
		}
		if p.wait(r.Context()) == nil { // else nobody waits any more
			next.ServeHTTP(w, r)
		}
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusNotFound, Error{fmt.Sprintf("there is no %s %s: try GET /v1/status", r.Method, r.URL.Path)})
}

// asWritten keeps from a mux what it would answer in words of its own: it
// redirects paths that are not clean, and knows CONNECT and *.
func asWritten(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; r.Method == http.MethodConnect || !strings.HasPrefix(p, "/") || path.Clean(p) != p {
			notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Serve answers until Close. It returns nil then.
func (s *Server) Serve(l net.Listener) error {
	busy := func(why string) {
		s.tell("the control socket takes no clients at the moment: " + why)
	}
	if err := s.http.Serve(newGuard(l, busy)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Close stops the server and ends its connections. Answers that are about to end,
// such as streams of what has ended, do so first.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_ = s.http.Shutdown(ctx) // those that take longer are cut off
	return s.http.Close()
}

// ask makes a handler of a question to the backend.
func (s *Server) ask(question func(ctx context.Context, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.patience)
		defer cancel()
		done, err := question(ctx, r)
		_, refused := errors.AsType[*Refused](err)
		switch {
		case refused:
			answer(w, http.StatusUnprocessableEntity, Error{err.Error()})
		case err != nil:
			fail(w, err)
		default:
			answer(w, http.StatusOK, done)
		}
	}
}

// change makes a handler of an order to the backend, for those who may give
// one. who says who does, for the log.
func (s *Server) change(order func(ctx context.Context, who string, r *http.Request) (any, error)) http.HandlerFunc {
	do := func(ctx context.Context, r *http.Request) (any, error) {
		cred := r.Context().Value(credKey{}).(*unix.Ucred)
		return order(ctx, who(cred), r)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if cred, _ := r.Context().Value(credKey{}).(*unix.Ucred); !mayChange(cred) {
			answer(w, http.StatusForbidden, Error{"only root and the user that runs the daemon may change anything"})
			return
		}
		s.ask(do)(w, r)
	}
}

// maxBody is far above any honest request: the longest names of all instances
// that there can be.
const maxBody = 1 << 20

// body reads what an order is about. An empty body is the zero value.
func body(r *http.Request, into any) error {
	in := &io.LimitedReader{R: r.Body, N: maxBody + 1}
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the first value")
		}
	}
	if in.N == 0 {
		err = fmt.Errorf("it is larger than %d KiB", maxBody>>10)
	}
	if err != nil {
		return &Refused{fmt.Errorf("cannot read the request as JSON: %w", err)}
	}
	return nil
}

// fail tells that the daemon did not do what it should have.
func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("the daemon did not answer in time")
	}
	answer(w, http.StatusServiceUnavailable, Error{err.Error()})
}

// who names the user and process at the other end, for people.
func who(cred *unix.Ucred) string {
	id := fmt.Sprintf("uid %d", cred.Uid)
	if cred.Pid > 0 { // else it is of another process namespace
		id += fmt.Sprintf(", pid %d", cred.Pid)
	}
	name := ""
	if u, err := user.LookupId(strconv.Itoa(int(cred.Uid))); err == nil {
		name = u.Username
	}
	if name == "" {
		return id
	}
	return fmt.Sprintf("%s (%s)", name, id)
}

func mayChange(cred *unix.Ucred) bool {
	return cred != nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
}

// peer returns who is at the other end, nil when the kernel does not say.
func peer(c net.Conn) *unix.Ucred {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return nil
	}
	return cred
}

// document is an answer in JSON.
type document []byte

// encode renders an answer.
func encode(v any) (document, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot encode the answer: %w", err)
	}
	return append(text, '\n'), nil
}

func answer(w http.ResponseWriter, code int, v any) {
	text, ok := v.(document)
	if !ok {
		var err error
		if text, err = encode(v); err != nil {
			code, text = http.StatusInternalServerError, document(`{"error":"cannot encode the answer"}`)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	// Its text is in memory until it is read. A recorder has no deadline.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(code)
	w.Write(text)
}
