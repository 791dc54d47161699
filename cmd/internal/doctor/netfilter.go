package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/doctor/firewall"
)

// ruleset reads the rules of nftables and of both kinds of iptables, as far as
// this host uses them. What could not be read is told as findings.
func (x *Examination) ruleset(ctx context.Context) (*firewall.Ruleset, []Finding) {
	if !capable(unix.CAP_NET_ADMIN) {
		return &firewall.Ruleset{}, []Finding{{Severity: Unseen, Title: "the rules are shown to root alone", Fix: "sudo holdfast doctor"}}
	}
	rules, found := x.nftables(ctx)
	for _, f := range []struct{ family, names, tool string }{
		{"ip", "/proc/net/ip_tables_names", "iptables"},
		{"ip6", "/proc/net/ip6_tables_names", "ip6tables"},
	} {
		if rules.Foreign(f.family) {
			// Of what iptables put into nftables, nft shows a part.
			if text, err := x.first(ctx, f.tool+"-nft-save", f.tool+"-save"); err == nil {
				rules.Replace(firewall.ParseIPTables(text, f.family, f.tool))
			}
		}
		if names, err := x.read(f.names); err != nil || names == "" {
			continue // the kernel has none of the older kind
		}
		text, err := x.first(ctx, f.tool+"-legacy-save", f.tool+"-save")
		if errors.Is(err, exec.ErrNotFound) {
			found = append(found, Finding{
				Severity: Unseen, Title: fmt.Sprintf("the kernel has rules of %s, and there is no program %s-save to read them with", f.tool, f.tool),
				Fix: "apt install iptables   # or: dnf install iptables",
			})
			continue
		} else if err != nil {
			found = append(found, unseen("", err.Error()))
			continue
		}
		rules.Add(firewall.ParseIPTables(text, f.family, x.legacy(ctx, f.tool)))
	}
	return rules, found
}

// nftables reads its rules, if there are any.
func (x *Examination) nftables(ctx context.Context) (*firewall.Ruleset, []Finding) {
	none := &firewall.Ruleset{}
	text, err := x.Command(ctx, "nft", "-j", "list", "ruleset")
	if errors.Is(err, exec.ErrNotFound) {
		switch n, err := countTables(); {
		case err != nil:
			return none, []Finding{unseen("", fmt.Sprintf("there is no program nft, and the kernel does not tell whether it has rules: %v", err))}
		case n > 0:
			return none, []Finding{{
				Severity: Unseen, Title: "the kernel has rules of nftables, and there is no program nft to read them with",
				Fix: "apt install nftables   # or: dnf install nftables",
			}}
		}
		return none, nil
	}
	if err == nil {
		none, err = firewall.ParseNFT(text)
	}
	if err == nil && none.Placeless() {
		if text, err = x.Command(ctx, "nft", "list", "chains"); err == nil {
			none.Place(string(text))
		}
	}
	if err != nil {
		return &firewall.Ruleset{}, []Finding{unseen("", err.Error())}
	}
	return none, nil
}

// first is the output of the first of some programs that is installed.
func (x *Examination) first(ctx context.Context, names ...string) (string, error) {
	var err error
	for _, name := range names {
		var out []byte
		if out, err = x.Command(ctx, name); !errors.Is(err, exec.ErrNotFound) {
			return string(out), err
		}
	}
	return "", err
}

// legacy is what the older rules are changed with.
func (x *Examination) legacy(ctx context.Context, tool string) string {
	if _, err := x.Command(ctx, tool+"-legacy", "--version"); err == nil {
		return tool + "-legacy"
	}
	return tool
}

// countTables asks the kernel how many tables nftables has.
func countTables() (int, error) {
	const getTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE
	req := nl.NewNetlinkRequest(getTable, unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC})
	list, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
		return 0, nil // a kernel without nftables
	}
	return len(list), err
}

// capable tells whether this process has a capability.
func capable(bit uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return true // what needs it will tell
	}
	return data[bit/32].Effective&(1<<(bit%32)) != 0
}
