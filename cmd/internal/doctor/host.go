package doctor

// hostTests look at this host.
func hostTests() []Test {
	return []Test{
		{"link", "the interfaces are there, up, and have a carrier", testLink},
		{"own-address", "the interfaces have addresses to send from", testOwnAddress},
		{"firewall", "the firewall of this host lets adverts come and go", testFirewall},
		{"reverse-path", "the kernel does not take adverts for forged (rp_filter)", testReversePath},
		{"arp", "the kernel answers for the addresses on their interface alone (arp_ignore)", testARP},
		{"mtu", "an advert with all addresses fits the MTU", testMTU},
		{"bind", "services need not bind the addresses themselves (ip_nonlocal_bind)", testBind},
		{"network-manager", "what manages the interfaces leaves the addresses alone", testManagers},
		{"elsewhere", "nobody else has configured the addresses on this host", testElsewhere},
		{"other-vrrp", "no other VRRP daemon on this host has the same VRID or address", testOtherDaemons},
		{"run-dir", "the run directory can be used, and is forgotten when the host boots", testRunDir},
		{"programs", "checks and hooks can be run", testPrograms},
		{"daemon", "the daemon has loaded this configuration, runs in time and may do what it needs", testDaemon},
	}
}
