package healthcheck

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// valid returns a check that is valid once it has a kind.
func valid() Config {
	return Config{Name: "c", Interval: time.Second, Timeout: time.Second, Retry: 50 * time.Millisecond, Fall: 2, Rise: 2}
}

func TestValidateAccepts(t *testing.T) {
	tests := map[string]func(*Config){
		"http":            func(c *Config) { c.HTTP = &HTTP{URL: "http://127.0.0.1/healthz"} },
		"https, port, v6": func(c *Config) { c.HTTP = &HTTP{URL: "https://[::1]:8443/", Insecure: true} },
		"one status":      func(c *Config) { c.HTTP = &HTTP{URL: "http://h/", Status: []StatusRange{{100, 100}, {200, 599}}} },
		"http, everything": func(c *Config) {
			c.HTTP = &HTTP{URL: "https://h/", Method: "HEAD", Body: "^ok", Host: "a.example:8443", CAFile: "/ca.pem", Headers: map[string]string{"X-A": "b c"}}
		},
		"tcp":    func(c *Config) { c.TCP = &TCP{Address: "127.0.0.1:80", Send: "PING\r\n", Expect: "PONG"} },
		"tcp v6": func(c *Config) { c.TCP = &TCP{Address: "[fe80::1%eth0]:65535"} },
		"exec": func(c *Config) {
			c.Exec = &Exec{Command: []string{"/bin/true", ""}, User: "nobody", Env: []string{"A=", "B=c=d"}}
		},
		"slow and patient": func(c *Config) {
			c.TCP = &TCP{Address: "h:1"}
			c.Timeout = time.Hour
			c.Retry = time.Hour
			c.Fall = 1
			c.Rise = 1
		},
		"fastest": func(c *Config) {
			c.TCP = &TCP{Address: "h:1"}
			c.Interval = 10 * time.Millisecond
			c.Timeout = 1
			c.Retry = time.Millisecond
		},
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			c := valid()
			edit(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			if _, err := New(c); err != nil {
				t.Fatalf("New refuses what Validate accepts: %v", err)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	http := func(h HTTP) func(*Config) { return func(c *Config) { c.HTTP = &h } }
	tcp := func(k TCP) func(*Config) { return func(c *Config) { c.TCP = &k } }
	run := func(e Exec) func(*Config) { return func(c *Config) { c.Exec = &e } }
	tests := []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"no kind", func(c *Config) {}, "exactly one of http, tcp and exec is needed, not 0"},
		{"two kinds", func(c *Config) { c.TCP = &TCP{Address: "h:1"}; c.Exec = &Exec{Command: []string{"/x"}} }, "exactly one of http, tcp and exec is needed, not 2"},
		{"no name", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Name = "" }, "name is missing"},
		{"NUL in name", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Name = "a\x00" }, `name "a\x00" contains a NUL byte`},
		{"interval", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Interval = 9 * time.Millisecond }, "interval 9ms must be at least 10ms"},
		{"timeout", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Timeout = 0 }, "timeout 0s must be more than 0"},
		{"retry", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Retry = 0 }, "retry 0s must be at least 1ms"},
		{"fall", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Fall = 0 }, "fall 0 must be at least 1"},
		{"rise", func(c *Config) { tcp(TCP{Address: "h:1"})(c); c.Rise = -1 }, "rise -1 must be at least 1"},

		{"no url", http(HTTP{}), `http: url "" must start with http:// or https://`},
		{"unparsable url", http(HTTP{URL: "http://a b/"}), `http: parse "http://a b/": invalid character " " in host name`},
		{"other scheme", http(HTTP{URL: "ftp://h/"}), `http: url "ftp://h/" must start with http:// or https://`},
		{"no host", http(HTTP{URL: "http:///x"}), `http: url "http:///x" names no host`},
		{"port of url", http(HTTP{URL: "http://h:70000/"}), `http: port "70000" of the url must be between 1 and 65535`},
		{"tls keys on http", http(HTTP{URL: "http://h/", Insecure: true}), "http: ca_file and insecure have no meaning without https"},
		{"insecure and ca", http(HTTP{URL: "https://h/", Insecure: true, CAFile: "/x"}), "http: ca_file and insecure exclude each other"},
		{"status too low", http(HTTP{URL: "http://h/", Status: []StatusRange{{99, 200}}}), "http: status 99-200 must lie between 100 and 599, the lower number first"},
		{"status too high", http(HTTP{URL: "http://h/", Status: []StatusRange{{200, 600}}}), "http: status 200-600 must lie between 100 and 599, the lower number first"},
		{"status reversed", http(HTTP{URL: "http://h/", Status: []StatusRange{{300, 200}}}), "http: status 300-200 must lie between 100 and 599, the lower number first"},
		{"body", http(HTTP{URL: "http://h/", Body: "("}), "http: body: error parsing regexp: missing closing ): `(`"},
		{"method", http(HTTP{URL: "http://h/", Method: "GET /"}), `http: method "GET /" is not a valid method`},
		{"header name", http(HTTP{URL: "http://h/", Headers: map[string]string{"a:": "b"}}), `http: header "a:" is not a valid name`},
		{"header host", http(HTTP{URL: "http://h/", Headers: map[string]string{"hOST": "b"}}), `http: header "hOST": use host`},
		{"header value", http(HTTP{URL: "http://h/", Headers: map[string]string{"a": "b\r\nc: d"}}), `http: header "a": the value contains a line break or a NUL byte`},
		{"host", http(HTTP{URL: "http://h/", Host: "a b"}), `http: host "a b" is not a host name`},

		{"no port", tcp(TCP{Address: "127.0.0.1"}), `tcp: address "127.0.0.1" must be host:port`},
		{"no tcp host", tcp(TCP{Address: ":80"}), `tcp: address ":80" names no host`},
		{"port 0", tcp(TCP{Address: "h:0"}), `tcp: port "0" must be a number between 1 and 65535`},
		{"port name", tcp(TCP{Address: "h:http"}), `tcp: port "http" must be a number between 1 and 65535`},
		{"expect", tcp(TCP{Address: "h:1", Expect: "*"}), "tcp: expect: error parsing regexp: missing argument to repetition operator: `*`"},

		{"no command", run(Exec{}), "exec: the command is empty"},
		{"relative", run(Exec{Command: []string{"true"}}), `exec: program "true" must be an absolute path`},
		{"NUL in argument", run(Exec{Command: []string{"/x", "a\x00"}}), `exec: argument "a\x00" contains a NUL byte`},
		{"env without value", run(Exec{Command: []string{"/x"}, Env: []string{"A"}}), `exec: env "A" must be NAME=value`},
		{"env without name", run(Exec{Command: []string{"/x"}, Env: []string{"=A"}}), `exec: env "=A" must be NAME=value`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.edit(&c)
			err := c.Validate()
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, err := New(c); err == nil {
				t.Error("New accepts what Validate refuses")
			}
		})
	}
}

func TestValidateReportsAll(t *testing.T) {
	c := Config{HTTP: &HTTP{URL: "x", Method: " "}, TCP: &TCP{}}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		"name is missing",
		"interval 0s must be at least 10ms",
		"timeout 0s must be more than 0",
		"retry 0s must be at least 1ms",
		"fall 0 must be at least 1",
		"rise 0 must be at least 1",
		`http: url "x" must start with http:// or https://`,
		`http: method " " is not a valid method`,
		`tcp: address "" must be host:port`,
		"exactly one of http, tcp and exec is needed, not 2",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
