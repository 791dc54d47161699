package healthcheck

import "time"

// Config describes one health check.
type Config struct {
	// Name tells checks apart to people. Unique, not empty.
	Name string

	// Exactly one of these says what is probed.
	HTTP *HTTP
	TCP  *TCP
	Exec *Exec

	// Interval is the time from the start of one probe to the start of the
	// next, at least 10 ms.
	Interval time.Duration
	// Timeout is how long a probe may take before it counts as failed, more
	// than 0. It may be longer than Interval: probes never overlap.
	Timeout time.Duration
	// Retry takes the place of Interval after a first failure while healthy,
	// until Fall is reached or a probe succeeds. It is at least 1 ms; one
	// longer than Interval has the effect of Interval.
	Retry time.Duration
	// Fall is how many probes in a row must fail to make the check fail, and
	// Rise how many must succeed to heal it; each is at least 1. The first
	// probe decides alone.
	Fall, Rise int
}

// HTTP probes a URL with one request on a connection of its own.
type HTTP struct {
	// URL is absolute, http or https.
	URL string
	// Status lists the healthy status codes; none means 200 to 399.
	Status []StatusRange
	// Body, when not empty, is a regular expression that must match within
	// the first 1 MiB of the body.
	Body string
	// Method is the request method; empty means GET.
	Method string
	// Headers are sent as they are.
	Headers map[string]string
	// Host, when not empty, takes the place of the URL's host in the Host
	// header and as the name the server's certificate must carry.
	Host string
	// CAFile, when not empty, is the PEM file of the authorities to trust in
	// place of the system's. It is read at each probe.
	CAFile string
	// Insecure accepts any certificate.
	Insecure bool
}

// StatusRange is a range of HTTP status codes, both ends included.
type StatusRange struct {
	// From and To are 100 to 599, From not above To.
	From, To int
}

// TCP probes by connecting.
type TCP struct {
	// Address is host:port.
	Address string
	// Send, when not empty, is written once connected.
	Send string
	// Expect, when not empty, is a regular expression that must match within
	// the first 16 KiB of what the peer sends.
	Expect string
}

// Exec probes by running a command; exit status 0 is healthy.
type Exec struct {
	// Command is the program, as an absolute path, and its arguments. There
	// is no shell.
	Command []string
	// User, when not empty, is the name or number of the user to run as.
	User string
	// Env adds "NAME=value" entries to the small environment the command gets.
	Env []string
}
