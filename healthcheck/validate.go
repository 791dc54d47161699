package healthcheck

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The least times a check may be given.
const (
	minInterval = 10 * time.Millisecond
	minRetry    = 1 * time.Millisecond
)

// Validate reports everything that is wrong with c. It looks at c alone, never
// at the host: a program, user or file that is missing fails the probes.
func (c *Config) Validate() error {
	var errs problems
	if c.Name == "" {
		errs.add("name is missing")
	}
	if strings.ContainsRune(c.Name, 0) {
		errs.add("name %q contains a NUL byte", c.Name)
	}
	if c.Interval < minInterval {
		errs.add("interval %v must be at least %v", c.Interval, minInterval)
	}
	if c.Timeout <= 0 {
		errs.add("timeout %v must be more than 0", c.Timeout)
	}
	if c.Retry < minRetry {
		errs.add("retry %v must be at least %v", c.Retry, minRetry)
	}
	if c.Fall < 1 {
		errs.add("fall %d must be at least 1", c.Fall)
	}
	if c.Rise < 1 {
		errs.add("rise %d must be at least 1", c.Rise)
	}
	kinds := 0
	if c.HTTP != nil {
		kinds++
		c.HTTP.validate(&errs)
	}
	if c.TCP != nil {
		kinds++
		c.TCP.validate(&errs)
	}
	if c.Exec != nil {
		kinds++
		c.Exec.validate(&errs)
	}
	if kinds != 1 {
		errs.add("exactly one of http, tcp and exec is needed, not %d", kinds)
	}
	return errors.Join(errs...)
}

// problems collects what is wrong.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) pattern(key, pattern string) {
	if _, err := regexp.Compile(pattern); err != nil {
		p.add("%s: %w", key, err)
	}
}

func (h *HTTP) validate(errs *problems) {
	switch u, err := url.Parse(h.URL); {
	case err != nil:
		errs.add("http: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		errs.add("http: url %q must start with http:// or https://", h.URL)
	case u.Hostname() == "":
		errs.add("http: url %q names no host", h.URL)
	case u.Port() != "" && !validPort(u.Port()):
		errs.add("http: port %q of the url must be between 1 and 65535", u.Port())
	case u.Scheme == "http" && (h.CAFile != "" || h.Insecure):
		errs.add("http: ca_file and insecure have no meaning without https")
	}
	for _, r := range h.Status {
		if r.From < 100 || r.To > 599 || r.From > r.To {
			errs.add("http: status %v must lie between 100 and 599, the lower number first", r)
		}
	}
	errs.pattern("http: body", h.Body)
	if h.Method != "" && !isToken(h.Method) {
		errs.add("http: method %q is not a valid method", h.Method)
	}
	for name, value := range h.Headers {
		switch {
		case !isToken(name):
			errs.add("http: header %q is not a valid name", name)
		case strings.EqualFold(name, "Host"):
			errs.add("http: header %q: use host", name)
		case strings.ContainsAny(value, "\r\n\x00"):
			errs.add("http: header %q: the value contains a line break or a NUL byte", name)
		}
	}
	if strings.ContainsAny(h.Host, " \t\r\n/\x00") {
		errs.add("http: host %q is not a host name", h.Host)
	}
	if h.CAFile != "" && h.Insecure {
		errs.add("http: ca_file and insecure exclude each other")
	}
}

func (t *TCP) validate(errs *problems) {
	host, port, err := net.SplitHostPort(t.Address)
	switch {
	case err != nil:
		errs.add("tcp: address %q must be host:port", t.Address)
	case host == "":
		errs.add("tcp: address %q names no host", t.Address)
	case !validPort(port):
		errs.add("tcp: port %q must be a number between 1 and 65535", port)
	}
	errs.pattern("tcp: expect", t.Expect)
}

func (e *Exec) validate(errs *problems) {
	switch {
	case len(e.Command) == 0:
		errs.add("exec: the command is empty")
	case !filepath.IsAbs(e.Command[0]):
		errs.add("exec: program %q must be an absolute path", e.Command[0])
	}
	for _, s := range e.Command {
		if strings.ContainsRune(s, 0) {
			errs.add("exec: argument %q contains a NUL byte", s)
		}
	}
	for _, s := range e.Env {
		if name, _, ok := strings.Cut(s, "="); !ok || name == "" || strings.ContainsRune(s, 0) {
			errs.add("exec: env %q must be NAME=value", s)
		}
	}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// isToken tells whether s is a token of RFC 9110 section 5.6.2: what method
// and header names are made of.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alnum := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
