package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"

	"golang.org/x/sys/unix"
)

// processMetrics are of the process and the Go runtime, by the names that other
// programs in Go have for them. None of them stops the program to look.
func processMetrics() []metric {
	value := func(name string, k kind, help string, of func() (float64, bool)) metric {
		return metric{name, k, help, func(e *encoder, _ *scrape) {
			if v, ok := of(); ok {
				e.sample(v)
			}
		}, true}
	}
	return []metric{
		{"go_info", gauge, "Information about the Go environment.", func(e *encoder, _ *scrape) { e.sample(1, "version", runtime.Version()) }, true},
		value("go_goroutines", gauge, "Number of goroutines that currently exist.", func() (float64, bool) { return float64(runtime.NumGoroutine()), true }),
		value("go_threads", gauge, "Number of OS threads created.", func() (float64, bool) {
			n, _ := runtime.ThreadCreateProfile(nil)
			return float64(n), true
		}),
		value("go_memstats_alloc_bytes", gauge, "Number of bytes allocated in heap and currently in use. Equals to /memory/classes/heap/objects:bytes.", goMemory("/memory/classes/heap/objects:bytes")),
		value("go_memstats_sys_bytes", gauge, "Number of bytes obtained from system. Equals to /memory/classes/total:byte.", goMemory("/memory/classes/total:bytes")),
		value("process_cpu_seconds_total", counter, "Total user and system CPU time spent in seconds.", stat(func(field fields) float64 { return (field(14) + field(15)) / ticks })),
		value("process_resident_memory_bytes", gauge, "Resident memory size in bytes.", stat(func(field fields) float64 { return field(24) * float64(os.Getpagesize()) })),
		value("process_virtual_memory_bytes", gauge, "Virtual memory size in bytes.", stat(func(field fields) float64 { return field(23) })),
		value("process_start_time_seconds", gauge, "Start time of the process since unix epoch in seconds.", stat(func(field fields) float64 { return bootTime() + field(22)/ticks })),
		value("process_open_fds", gauge, "Number of open file descriptors.", openFiles),
		value("process_max_fds", gauge, "Maximum number of open file descriptors.", func() (float64, bool) {
			var limit unix.Rlimit
			err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
			return float64(limit.Cur), err == nil
		}),
	}
}

// goMemory is a number of bytes that the runtime counts.
func goMemory(name string) func() (float64, bool) {
	return func() (float64, bool) {
		s := []metrics.Sample{{Name: name}}
		metrics.Read(s)
		if s[0].Value.Kind() != metrics.KindUint64 {
			return 0, false
		}
		return float64(s[0].Value.Uint64()), true
	}
}

func openFiles() (float64, bool) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return float64(len(names) - 1), err == nil // without dir
}

// ticks is USER_HZ, which is 100 on every Linux.
const ticks = 100

// fields gives the fields of /proc/self/stat by their numbers in proc_pid_stat(5).
type fields func(n int) float64

// stat is a number made of them.
func stat(of func(field fields) float64) func() (float64, bool) {
	return func() (float64, bool) {
		text, err := os.ReadFile("/proc/self/stat")
		if err != nil {
			return 0, false
		}
		// The second is a name in brackets, with whatever in it.
		const first, last = 3, 24
		list := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(list) <= last-first {
			return 0, false
		}
		return of(func(n int) float64 {
			v, _ := strconv.ParseFloat(string(list[n-first]), 64)
			return v
		}), true
	}
}

// bootTime is when the machine was started, in seconds since the epoch.
func bootTime() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(text, []byte("\nbtime "))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	v, _ := strconv.ParseFloat(string(line), 64)
	return v
}
