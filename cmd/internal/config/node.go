package config

import (
	"errors"
	"net"
	"net/netip"
	"os/user"
	"path"
	"strconv"
)

func (p *parser) node(s *section) {
	c := &p.config.Node
	if v, ok := s.text("name"); ok {
		if reason := nameFault(v); reason != "" {
			s.bad("name", "", "name %q %s", v, reason)
		}
		c.Name = v
	}
	if v, ok := s.choice("log_level", "trace", "debug", "info", "warn", "error"); ok {
		c.LogLevel = v
	}
	if v, ok := s.choice("log_format", "auto", "text", "json"); ok {
		c.LogFormat = v
	}
	if v, ok := s.absolutePath("run_dir"); ok {
		c.RunDir = path.Clean(v)
		p.config.Control.Socket = path.Join(v, socketName)
		if len(p.config.Control.Socket) > maxSocketLen {
			s.bad("run_dir", "", "run_dir is too long: %s in it would be %d bytes long, and the kernel takes %d",
				socketName, len(p.config.Control.Socket), maxSocketLen)
		}
	}
}

func (p *parser) control(s *section) {
	c := &p.config.Control
	if v, ok := s.absolutePath("socket"); ok {
		c.Socket = path.Clean(v)
		if len(c.Socket) > maxSocketLen {
			s.bad("socket", "", "socket is %d bytes long: the kernel takes %d", len(c.Socket), maxSocketLen)
		}
	}
	if v, ok := s.account("group"); ok {
		c.Group = v
		if v != "" && v != DefaultGroup && !p.hasGroup(v) {
			s.src.warn(s.valueAt("group"), "make it before the daemon starts here, which refuses to without: groupadd --system "+v, "there is no group %s on this host", v)
		}
	}
}

// hostHasGroup tells whether this host has a group. It has any of a number, and may
// have one that could not be looked up.
func hostHasGroup(name string) bool {
	if _, err := strconv.ParseUint(name, 10, 31); err == nil {
		return true
	}
	_, err := user.LookupGroup(name)
	_, unknown := errors.AsType[user.UnknownGroupError](err)
	return !unknown
}

// SocketOf returns the control socket that a text names, which may have mistakes
// elsewhere; ok is false when it is no TOML.
func SocketOf(text []byte) (socket string, ok bool) {
	data, _, ok := (&source{text: string(text)}).decode()
	word := func(table, key string) string {
		t, _ := data[table].(map[string]any)
		v, _ := t[key].(string)
		return v
	}
	if v := word("control", "socket"); path.IsAbs(v) {
		return path.Clean(v), ok
	}
	if v := word("node", "run_dir"); path.IsAbs(v) {
		return path.Join(v, socketName), ok
	}
	return DefaultSocket, ok
}

func (p *parser) metrics(s *section) {
	if v, ok := s.text("listen"); ok {
		if reason := listenFault(v); reason != "" {
			s.bad("listen", `write "127.0.0.1:9650"`, "listen %q %s", v, reason)
		}
		p.config.Metrics.Listen = v
	}
	if v, ok := s.boolean("compat"); ok {
		if !s.has("listen") {
			s.src.problem(s.keyAt("compat"), `add listen = "127.0.0.1:9650"`, "compat goes with listen")
		}
		p.config.Metrics.Compat = v
	}
}

// listenFault says what is wrong with the address of a listener. A name would
// have to be looked up, at a boot perhaps before anybody can answer.
func listenFault(v string) string {
	if reason := hostPortFault(v, true); reason != "" {
		return reason
	}
	host, _, _ := net.SplitHostPort(v) // it was fine above
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "has a host that is neither an IP address nor localhost"
	}
	return ""
}

// hostPortFault says what is wrong with host:port.
func hostPortFault(v string, anyHost bool) string {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return "is not host:port"
	}
	if host == "" && !anyHost {
		return "names no host"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "has no port from 1 to 65535"
	}
	return ""
}
