// Package lab builds small networks inside one machine: hosts in network
// namespaces, switches, cables that can be pulled, processes that run on the
// hosts, and probes that count what a client loses. The demo, the end-to-end
// tests and the benchmarks share it.
//
// It needs Linux and root, and no program: everything goes through netlink and
// system calls, but for a [System], which needs those of util-linux. It never touches the interfaces, the mounts or the files of the
// machine it runs on. The namespaces have no names; they are held by threads
// and file descriptors of this process, and the processes on the hosts die with
// it, so nothing is left behind even when it is killed.
package lab
