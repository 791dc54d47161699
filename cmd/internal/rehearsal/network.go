package rehearsal

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Node is a node to rehearse: its name and what it is configured to do.
type Node struct {
	Name      string
	Instances []vrrp.Config
}

// most is how many nodes are rehearsed together: what the simulation takes.
const most = 7

// service is what nodes share: one instance on each of them.
type service struct {
	name    string // of the instance on the first node that has it
	members []member
}

// member is one node's instance of a service.
type member struct {
	node int
	cfg  *vrrp.Config
}

// network is what the configurations tell of the nodes together.
type network struct {
	nodes    []Node
	services []*service
	lans     []*lan
}

// lan is a link that ports of several nodes are on.
type lan struct {
	name  string
	ports []*port
}

// port is an interface of a node.
type port struct {
	node      int
	iface     string
	addresses []netip.Prefix
}

// newNetwork concludes who shares what. Instances that hold a common address or
// have the same name are one service, and the interfaces of one service are on
// one link.
func newNetwork(nodes []Node) (*network, error) {
	switch {
	case len(nodes) < 2:
		return nil, errors.New("a rehearsal needs the configurations of at least two nodes")
	case len(nodes) > most:
		return nil, fmt.Errorf("a rehearsal takes at most %d nodes, not %d", most, len(nodes))
	}
	n := &network{nodes: nodes}
	for i := range nodes {
		for k := range nodes[i].Instances {
			n.place(member{i, &nodes[i].Instances[k]})
		}
	}
	if len(n.services) == 0 {
		return nil, errors.New("the configurations have no instance")
	}
	for _, s := range n.services {
		n.connect(s)
	}
	for _, l := range n.lans {
		n.address(l)
	}
	return n, nil
}

// place finds the service of an instance, or begins one.
func (n *network) place(m member) {
	for _, s := range n.services {
		if s.of(m.node) == nil && s.takes(m.cfg) {
			s.members = append(s.members, m)
			return
		}
	}
	n.services = append(n.services, &service{name: m.cfg.Name, members: []member{m}})
}

// takes reports whether an instance serves what the service does.
func (s *service) takes(c *vrrp.Config) bool {
	return slices.ContainsFunc(s.members, func(m member) bool {
		return m.cfg.Name == c.Name || slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool {
			return !p.Addr().IsLinkLocalUnicast() && holds(m.cfg, p.Addr())
		})
	})
}

// of returns a node's instance of the service, or nil.
func (s *service) of(node int) *vrrp.Config {
	for _, m := range s.members {
		if m.node == node {
			return m.cfg
		}
	}
	return nil
}

func holds(c *vrrp.Config, a netip.Addr) bool {
	return slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// connect puts the interfaces of a service on one link.
func (n *network) connect(s *service) {
	var joined *lan
	for _, m := range s.members {
		l := n.lanOf(m.node, m.cfg.Interface)
		switch {
		case l == nil && joined == nil:
			l = &lan{name: m.cfg.Interface, ports: []*port{{node: m.node, iface: m.cfg.Interface}}}
			n.lans = append(n.lans, l)
		case l == nil:
			joined.ports = append(joined.ports, &port{node: m.node, iface: m.cfg.Interface})
			continue
		case joined != nil && l != joined:
			joined.ports = append(joined.ports, l.ports...)
			n.lans = slices.DeleteFunc(n.lans, func(o *lan) bool { return o == l })
			continue
		}
		joined = l
	}
	if n.twin(joined) { // two links of the same name
		joined.name = fmt.Sprintf("%s-%d", joined.name, len(n.lans))
	}
}

func (n *network) twin(l *lan) bool {
	return slices.ContainsFunc(n.lans, func(o *lan) bool { return o != l && o.name == l.name })
}

// lanOf returns the link that an interface is on, or nil.
func (n *network) lanOf(node int, iface string) *lan {
	for _, l := range n.lans {
		if l.port(node, iface) != nil {
			return l
		}
	}
	return nil
}

func (l *lan) port(node int, iface string) *port {
	for _, p := range l.ports {
		if p.node == node && p.iface == iface {
			return p
		}
	}
	return nil
}

// instances are the instances on a port.
func (n *network) instances(p *port) (list []*vrrp.Config) {
	for i := range n.nodes[p.node].Instances {
		if c := &n.nodes[p.node].Instances[i]; c.Interface == p.iface {
			list = append(list, c)
		}
	}
	return list
}
