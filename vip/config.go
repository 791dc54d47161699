package vip

import (
	"errors"
	"fmt"
)

// Config says how the addresses of one instance are handled.
type Config struct {
	// Name tells instances apart to people. Not empty.
	Name string
	// ARP is the form of the gratuitous ARPs that announce IPv4 addresses.
	ARP ARPForm
}

// Validate reports everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name is missing"))
	}
	if c.ARP > ARPBoth {
		errs = append(errs, fmt.Errorf("arp form %d must be request, reply or both", c.ARP))
	}
	return errors.Join(errs...)
}

// ARPForm is the form of a gratuitous ARP.
type ARPForm uint8

const (
	// ARPRequest is the form of RFC 9568 section 6.4 and of RFC 5227: what
	// hosts and switches understand almost without exception.
	ARPRequest ARPForm = iota
	// ARPReply is an unasked reply, for equipment that ignores requests.
	ARPReply
	// ARPBoth sends a request and then a reply.
	ARPBoth
)

func (f ARPForm) String() string {
	switch f {
	case ARPRequest:
		return "request"
	case ARPReply:
		return "reply"
	case ARPBoth:
		return "both"
	}
	return "invalid"
}
