package config

import (
	"net"
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
	}
}

func (p *parser) metrics(s *section) {
	v, ok := s.text("listen")
	if !ok {
		return
	}
	if reason := hostPortFault(v, true); reason != "" {
		s.bad("listen", `write "127.0.0.1:9650"`, "listen %q %s", v, reason)
	}
	p.config.Metrics.Listen = v
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
