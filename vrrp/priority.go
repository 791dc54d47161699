package vrrp

import "time"

// drainedPriority is that of a healthy node which the operator wants behind: it
// serves before one that is ill. [DemotedMax] itself is for as long as such a node
// looks for a healthy successor.
const drainedPriority = DemotedMax - 1

// demotedPriority maps a base priority into the band of demoted nodes, below the
// drained ones, keeping the order of the bases as well as the numbers can.
func demotedPriority(base uint8) uint8 {
	if base <= DemotedMax {
		return 1
	}
	const span = PriorityOwner - DemotedMax // bases above the band
	return uint8(min(1+(int(base)-DemotedMax-1)*DemotedMax/span, drainedPriority-1))
}

// skew is Skew_Time: the time by which a backup of lower priority waits longer.
// It is computed in nanoseconds, so that neighbouring priorities differ also at
// short intervals. Version 2 skews by up to a second whatever the interval.
func skew(v Version, priority uint8, interval time.Duration) time.Duration {
	if v == Version2 {
		interval = time.Second
	}
	return time.Duration(256-int(priority)) * interval / 256
}

// downInterval is Active_Down_Interval (version 2: Master_Down_Interval).
func downInterval(v Version, priority uint8, interval time.Duration) time.Duration {
	return downIntervals*interval + skew(v, priority, interval)
}
