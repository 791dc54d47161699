package sim

import (
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// History is one run of the simulation: who there is, and what happens when.
// With its seed it decides everything.
type History struct {
	// Comment says which property the history shows.
	Comment string
	Seed    uint64
	// End is how long the run lasts.
	End   time.Duration
	Nodes []Node
	Steps []Step
}

// Node is a host on the simulated network.
type Node struct {
	Name  string
	Ports []Port
	// Configs are what the node may run with. It starts with the first one.
	Configs [][]vrrp.Config
	// Plain, when not empty, makes the node a router of somebody else.
	Plain string
	// Off keeps the node from starting by itself.
	Off bool
}

// Port is an interface of a node, plugged into a segment.
type Port struct {
	Interface, Segment string
	// Addresses are the interface's own.
	Addresses []netip.Prefix
}

// Op is what a step does.
type Op string

// What may happen. Every operation names a node, except Heal and Partition; the
// comment tells what else it takes.
const (
	OpCrash     Op = "crash"     // the process dies, its host goes on
	OpStart     Op = "start"     // the process starts; config=N, nojournal
	OpStop      Op = "stop"      // the process hands over and ends
	OpPowerOff  Op = "poweroff"  // the host dies
	OpBoot      Op = "boot"      // the host boots; config=N
	OpFreeze    Op = "freeze"    // the process is stopped, its kernel goes on
	OpResume    Op = "resume"    // ... and continued
	OpSuspend   Op = "suspend"   // the host stands still; the network finds it deaf
	OpWake      Op = "wake"      // ... and goes on
	OpPull      Op = "pull"      // the cable is pulled; the host sees it
	OpPlug      Op = "plug"      // ... and plugged in
	OpCut       Op = "cut"       // the port passes nothing; the host does not see it
	OpMend      Op = "mend"      // ... and passes everything again
	OpDown      Op = "down"      // the interface is switched off
	OpUp        Op = "up"        // ... and on
	OpGone      Op = "gone"      // the interface vanishes
	OpBack      Op = "back"      // ... and comes back as another one of the same name
	OpMute      Op = "mute"      // what the node sends does not reach another
	OpUnmute    Op = "unmute"    // ... and does again
	OpPartition Op = "partition" // the nodes listed hear only each other
	OpHeal      Op = "heal"      // everybody hears everybody
	OpLink      Op = "link"      // quality from node to node: loss= duplicate= reorder= (percent), delay= jitter=
	OpFail      Op = "fail"      // a check fails
	OpPass      Op = "pass"      // ... and passes
	OpDrain     Op = "drain"     // of an instance
	OpTryDrain  Op = "trydrain"  // of an instance, unless nobody takes over
	OpUndrain   Op = "undrain"   // of an instance
	OpFailover  Op = "failover"  // of an instance
	OpReload    Op = "reload"    // config=N
	OpRemove    Op = "remove"    // somebody removes an address
	OpRefuse    Op = "refuse"    // the kernel refuses to add addresses
	OpAccept    Op = "accept"    // ... and accepts them
	OpBusy      Op = "busy"      // the kernel does nothing that the daemon asks for
	OpAnswer    Op = "answer"    // ... and does what waits
	OpSendFail  Op = "sendfail"  // packets cannot be sent
	OpSendOK    Op = "sendok"    // ... and can
	OpClock     Op = "clock"     // the clock runs wrong by ppm=N
	OpInject    Op = "inject"    // a bad packet arrives: ttl, checksum, short, vrid, version, interval
	OpAnnounce  Op = "announce"  // the operator asks for it
)

// Step is one thing that happens.
type Step struct {
	At   time.Duration
	Op   Op
	Node string // or a list, for partition
	// Other is the second node of a link; "*" is every one, and "client" the client.
	Other string
	// Name is the instance, check, interface or kind.
	Name      string
	Config    int
	NoJournal bool
	Quality   Quality
	PPM       int
	Address   netip.Addr
}

// Quality is what a link does to packets, in percent and in time.
type Quality struct {
	Loss, Duplicate, Reorder int
	Delay, Jitter            time.Duration
}

// client is the name of the client in histories.
const client = "client"

// planned reports whether a step is one of those that must lose no packet.
func (s *Step) planned() bool {
	switch s.Op {
	case OpStart, OpStop, OpFail, OpPass, OpDrain, OpTryDrain, OpUndrain, OpFailover, OpReload, OpAnnounce, OpInject:
		return true
	}
	return false
}
