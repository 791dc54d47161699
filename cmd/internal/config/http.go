package config

import (
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-vrrp/holdfast/healthcheck"
)

func (c *check) readHTTP() *healthcheck.HTTP {
	h := &healthcheck.HTTP{}
	secure := c.readURL(h)
	h.Status = c.readStatus()
	h.Body = c.pattern("body")
	if v, ok := c.text("method"); ok {
		if !isToken(v) {
			c.bad("method", "", "method %q is not an HTTP method", v)
		} else if upper := strings.ToUpper(v); upper != v {
			c.bad("method", didYouMean(v, []string{upper}), "method %q must be in capitals", v)
		}
		h.Method = v
	}
	h.Headers = c.readHeaders()
	if v, ok := c.text("host"); ok {
		if strings.ContainsAny(v, " /") {
			c.bad("host", "", "host %q is not a host name", v)
		}
		h.Host = v
	}
	h.CAFile, _ = c.absolutePath("ca_file")
	h.Insecure, _ = c.boolean("insecure")
	if !secure {
		for _, key := range []string{"ca_file", "insecure"} {
			if c.has(key) {
				c.src.problem(c.keyAt(key), "", "%s goes with https, but the URL is http", key)
			}
		}
	} else if h.CAFile != "" && h.Insecure {
		c.src.problem(c.keyAt("insecure"), "remove one of the two", "insecure trusts any certificate: ca_file would have no effect")
	}
	return h
}

// readURL reads the URL; secure is false only when it is known to be http.
func (c *check) readURL(h *healthcheck.HTTP) (secure bool) {
	v, ok := c.text("http")
	if !ok {
		return true
	}
	h.URL = v
	const hint = `a URL looks like "http://127.0.0.1/healthz"`
	u, err := url.Parse(v)
	switch {
	case err != nil:
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the URL is in the sentence already
		}
		c.bad("http", hint, "http %q is not a URL: %v", v, err)
	case u.Scheme != "http" && u.Scheme != "https":
		c.bad("http", hint, "http %q must begin with http:// or https://", v)
	case u.Hostname() == "":
		c.bad("http", hint, "http %q names no host", v)
	case u.Port() != "" && hostPortFault(u.Host, false) != "":
		c.bad("http", hint, "http %q has no port from 1 to 65535", v)
	case u.Fragment != "":
		c.bad("http", "", "http %q has a fragment, which is never sent", v)
	}
	return err != nil || u.Scheme != "http"
}

// readStatus reads codes and ranges of codes: 204, "204" or "200-399".
func (c *check) readStatus() []healthcheck.StatusRange {
	const hint = `write status = ["200-399"]`
	if !c.has("status") {
		return []healthcheck.StatusRange{{From: 200, To: 399}}
	}
	list, ok := c.data["status"].([]any)
	if !ok {
		c.wrongType("status", "an array of codes and ranges", hint)
		return nil
	}
	if len(list) == 0 {
		c.bad("status", "leave it out for 200-399", "status is empty")
	}
	var ranges []healthcheck.StatusRange
	for i, v := range list {
		r, ok := parseStatus(v)
		if !ok {
			text := describe(v)
			if s, isText := v.(string); isText {
				text = strconv.Quote(s)
			}
			c.src.problem(c.itemAt("status", i), hint, "status must hold codes from 100 to 599 or ranges of them, not %s", text)
			continue
		}
		ranges = append(ranges, r)
	}
	return ranges
}

func parseStatus(v any) (r healthcheck.StatusRange, ok bool) {
	switch v := v.(type) {
	case int64:
		if v < 100 || v > 599 {
			return r, false
		}
		r.From, r.To = int(v), int(v)
	case string:
		lo, hi, isRange := strings.Cut(v, "-")
		if !isRange {
			hi = lo
		}
		var errLo, errHi error
		r.From, errLo = strconv.Atoi(lo)
		r.To, errHi = strconv.Atoi(hi)
		if errLo != nil || errHi != nil {
			return r, false
		}
	default:
		return r, false
	}
	return r, r.From >= 100 && r.To <= 599 && r.From <= r.To
}

// readHeaders reads a table whose keys are header names.
func (c *check) readHeaders() map[string]string {
	if !c.has("headers") {
		return nil
	}
	table, ok := c.data["headers"].(map[string]any)
	if !ok {
		c.wrongType("headers", "a table", `write headers = { Accept = "text/plain" }`)
		return nil
	}
	s := &section{src: c.src, table: c.table, data: table, at: c.node("headers")}
	headers := make(map[string]string, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		v, ok := s.str(name)
		switch {
		case !ok:
		case !isToken(name):
			c.src.problem(s.keyAt(name), "", "%q is not the name of a header", name)
		case strings.EqualFold(name, "Host"):
			c.src.problem(s.keyAt(name), "write host = "+strconv.Quote(v)+" beside http", "the Host header has a key of its own")
		case strings.ContainsAny(v, "\r\n\x00"):
			s.bad(name, "", "header %s holds a line break or a NUL character", name)
		}
		headers[name] = v
	}
	return headers
}

// isToken tells whether v is a token of RFC 9110 section 5.6.2, of which
// methods and header names are made.
func isToken(v string) bool {
	return v != "" && !strings.ContainsFunc(v, func(r rune) bool {
		return !strings.ContainsRune(letters+digits+"!#$%&'*+-.^_`|~", r)
	})
}

// pattern reads a regular expression.
func (s *section) pattern(key string) string {
	v, ok := s.str(key)
	if !ok {
		return ""
	}
	if v == "" {
		s.bad(key, "leave it out", "%s is empty and would match anything", key)
	}
	if _, err := regexp.Compile(v); err != nil {
		s.bad(key, "", "%s is not a regular expression: %s", key, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return v
}
