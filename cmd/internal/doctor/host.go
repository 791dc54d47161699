package doctor

import (
	"context"
	"fmt"
)

// hostTests look at this host.
func hostTests() []Test {
	return []Test{
		{"link", "the interfaces are there, up, and have a carrier", testLink},
	}
}

// testLink wants of each interface that it can carry adverts at all.
func testLink(_ context.Context, x *Examination) (found []Finding) {
	for _, name := range x.Interfaces() {
		l := x.Link(name)
		bad := func(id, title, why, fix string) {
			found = append(found, Finding{Error, id, name, title, why, fix})
		}
		switch {
		case l == nil:
			bad("interface-missing", "there is no such interface on this host",
				"The instances on it stay in fault until it appears.", x.otherNames())
		case !l.Up:
			bad("interface-down", "the interface is down",
				"The instances on it stay in fault, and a peer serves.", "ip link set "+name+" up")
		case !l.Carrier:
			bad("interface-no-carrier", "the interface has no carrier: its cable is pulled, or what it leads to is off",
				"The instances on it stay in fault, and a peer serves.", fmt.Sprintf("ip -d link show %s\nethtool %s", name, name))
		}
	}
	return found
}

// otherNames says which interfaces a configuration could mean.
func (x *Examination) otherNames() string {
	fix := "# those there are, for the key interface:"
	none := true
	for _, l := range x.Links {
		if !l.Loopback {
			fix += fmt.Sprintf("\ninterface = %q", l.Name)
			none = false
		}
	}
	if none {
		return "ip link"
	}
	return fix
}
