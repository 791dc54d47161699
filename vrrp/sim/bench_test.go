package sim

import (
	"testing"
	"time"
)

// threeNodes is an undisturbed cluster of three with 1 s adverts.
const threeNodes = `
end 1h
node a
  port eth0 lan 192.0.2.1/24
  instance web eth0 vrid=51 priority=200 addresses=192.0.2.100/24
node b
  port eth0 lan 192.0.2.2/24
  instance web eth0 vrid=51 priority=150 addresses=192.0.2.100/24
node c
  port eth0 lan 192.0.2.3/24
  instance web eth0 vrid=51 priority=100 addresses=192.0.2.100/24
`

func BenchmarkThreeNodes(b *testing.B) {
	h, err := ParseHistory(threeNodes)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var virtual time.Duration
	for b.Loop() {
		r := Run(h, Options{})
		if r.Violation != nil {
			b.Fatal(r.Violation)
		}
		virtual += r.Totals.Virtual
	}
	b.ReportMetric(virtual.Hours()/b.Elapsed().Minutes(), "virtual-hours/min")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/virtual.Seconds(), "µs/virtual-s")
}
