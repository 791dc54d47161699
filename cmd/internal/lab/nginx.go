package lab

import (
	"fmt"
	"net"
	"time"
)

// StartNginx runs nginx on the host, on port 80 of all its addresses. Like Web
// it answers / and /healthz with the host's name. It returns when nginx
// answers.
func (h *Host) StartNginx() (*Process, error) {
	const dir = "/run/nginx"
	config := fmt.Sprintf(`daemon off;
user root root;
worker_processes 1;
pid %[1]s/pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 80;
		listen [::]:80;
		default_type text/plain;
		location / { return 200 "%[2]s\n"; }
	}
}
`, dir, h.name)
	if err := h.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("start nginx on %s: %w", h.name, err)
	}
	if err := h.WriteFile(dir+"/nginx.conf", config, 0o644); err != nil {
		return nil, fmt.Errorf("start nginx on %s: %w", h.name, err)
	}
	p, err := h.startPeer("nginx", "-p", dir, "-c", dir+"/nginx.conf", "-e", "stderr")
	if err != nil {
		return nil, err
	}
	err = poll(10*time.Second, "it does not answer", func() (bool, error) {
		select {
		case <-p.Done():
			return false, fmt.Errorf("it ended: %v", p.err)
		default:
		}
		answers := false
		err := h.Do(func() error {
			if conn, err := net.DialTimeout("tcp", "127.0.0.1:80", time.Second); err == nil {
				answers = true
				return conn.Close()
			}
			return nil
		})
		return answers, err
	})
	if err != nil {
		return nil, fmt.Errorf("start nginx on %s: %w; it wrote:\n%s", h.name, err, p.Output())
	}
	return p, nil
}
