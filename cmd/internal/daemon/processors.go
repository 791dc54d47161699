package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// processorTime is how long all processors of the host have been idle, and all their
// time, in ticks of the kernel.
type processorTime struct{ idle, all int64 }

// readProcessors reads the beginning of /proc/stat.
func readProcessors() (processorTime, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return processorTime{}, err
	}
	defer f.Close()
	var text [512]byte
	n, err := f.Read(text[:])
	if err != nil && !errors.Is(err, io.EOF) {
		return processorTime{}, err
	}
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	return parseProcessors(line)
}

// parseProcessors reads the first line of /proc/stat: user, nice, system, idle,
// iowait, irq, softirq and steal, and then guests, who are in user and nice.
func parseProcessors(line string) (p processorTime, err error) {
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return p, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, text := range fields[1:9] {
		ticks, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return p, fmt.Errorf("/proc/stat: %w", err)
		}
		if p.all += ticks; i == 3 || i == 4 {
			p.idle += ticks
		}
	}
	return p, nil
}

// since is what passed after an earlier time.
func (p processorTime) since(earlier processorTime) processorTime {
	return processorTime{idle: p.idle - earlier.idle, all: p.all - earlier.all}
}

// busy tells whether less than a quarter was idle, so that a thread that wakes does
// often not find a processor that is free.
func (p processorTime) busy() bool { return p.idle < p.all/4 }
