package sniff

import (
	"golang.org/x/net/bpf"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// filter is a classic BPF program that accepts, of frames that begin with the
// network layer, what [DecodeAdvert] and, with announcements, also
// [DecodeAnnouncement] look at. The kernel runs it, so that no other traffic
// costs anything. It lets a little more through where headers have extensions:
// those are for the decoder.
func filter(announcements bool) []bpf.Instruction {
	const (
		reject = "reject"
		accept = "accept"
		v4     = "v4"
		v6     = "v6"
		group6 = "group6"
	)
	p := &program{}
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.jump(etherIPv4, v4)
	p.jump(etherIPv6, v6)
	if announcements {
		p.jump(etherARP, accept)
	}
	// Tags that are still there: double ones. There are few such frames.
	p.jump(etherVLAN, accept)
	p.jump(etherQinQ, accept)
	p.goTo(reject)

	p.label(v4)
	p.add(bpf.LoadAbsolute{Off: 9, Size: 1})
	p.jump(vrrp.Protocol, accept)
	p.jump(protoAH, accept)
	p.jump(protoIGMP, reject)
	p.add(bpf.LoadAbsolute{Off: 16, Size: 4})
	p.jump(0xe0000012, accept) // the group
	p.goTo(reject)

	p.label(v6)
	p.add(bpf.LoadAbsolute{Off: 6, Size: 1})
	p.jump(vrrp.Protocol, accept)
	if announcements {
		p.jump(protoICMPv6, "icmpv6")
	}
	p.jump(protoICMPv6, reject)
	p.jump(protoAH, accept)
	p.add(bpf.LoadAbsolute{Off: 24, Size: 4})
	p.jump(0xff020000, group6)
	p.goTo(reject)
	p.label(group6)
	p.add(bpf.LoadAbsolute{Off: 36, Size: 4})
	p.jump(0x12, accept)
	p.goTo(reject)
	if announcements {
		p.label("icmpv6")
		p.add(bpf.LoadAbsolute{Off: 40, Size: 1})
		p.jump(typeNA, accept)
	}
	p.label(reject)
	p.add(bpf.RetConstant{Val: 0})
	p.label(accept)
	p.add(bpf.RetConstant{Val: maxPacket})
	return p.link()
}

// program is one whose jumps go to labels.
type program struct {
	code   []bpf.Instruction
	jumps  map[int]string
	labels map[string]int
}

func (p *program) add(i bpf.Instruction) { p.code = append(p.code, i) }

// jump goes to a label if the value loaded is the one given.
func (p *program) jump(value uint32, label string) {
	p.to(label)
	p.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: value})
}

func (p *program) goTo(label string) {
	p.to(label)
	p.add(bpf.Jump{})
}

func (p *program) to(label string) {
	if p.jumps == nil {
		p.jumps = map[int]string{}
	}
	p.jumps[len(p.code)] = label
}

func (p *program) label(name string) {
	if p.labels == nil {
		p.labels = map[string]int{}
	}
	p.labels[name] = len(p.code)
}

// link fills in how far the jumps go. Labels are behind them.
func (p *program) link() []bpf.Instruction {
	for at, label := range p.jumps {
		skip := p.labels[label] - at - 1
		switch i := p.code[at].(type) {
		case bpf.JumpIf:
			i.SkipTrue = uint8(skip)
			p.code[at] = i
		case bpf.Jump:
			i.Skip = uint32(skip)
			p.code[at] = i
		}
	}
	return p.code
}
