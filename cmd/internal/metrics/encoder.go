package metrics

import (
	"io"
	"math"
	"strconv"
)

// contentType is that of the text exposition format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// chunk is how much is written at a time. An answer of thousands of instances is
// tens of megabytes, which are never all in memory.
const chunk = 64 << 10

// encoder writes metrics in Prometheus's text exposition format, version 0.0.4.
// After a failed write it does nothing more.
type encoder struct {
	w   io.Writer
	err error
	buf []byte
	of  *metric // whose series come
	// begun is set once its HELP and TYPE are written: a metric without a series
	// is left out.
	begun bool
}

// encode writes all series of a metric.
func (e *encoder) encode(m *metric, s *scrape) {
	e.of, e.begun = m, false
	m.series(e, s)
}

// flush writes what is left.
func (e *encoder) flush() error {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
	return e.err
}

// sample writes a series, with names and values of its labels in turn, in the order
// of the names.
func (e *encoder) sample(v float64, labels ...string) {
	if e.err != nil {
		return
	}
	e.name("")
	e.labels(labels)
	e.value(v)
}

// count is a sample of a counter.
func (e *encoder) count(v uint64, labels ...string) { e.sample(float64(v), labels...) }

// bucket is how many observations a histogram has up to a bound, smaller ones
// included.
type bucket struct {
	upTo  float64
	count uint64
}

// histogram writes a histogram without labels. The bucket without a bound
// is added.
func (e *encoder) histogram(buckets []bucket, count uint64, sum float64) {
	if e.err != nil {
		return
	}
	for _, b := range append(buckets, bucket{math.Inf(1), count}) {
		e.name("_bucket")
		e.buf = append(e.buf, `{le="`...)
		e.number(b.upTo)
		e.buf = append(e.buf, `"}`...)
		e.value(float64(b.count))
	}
	e.name("_sum")
	e.value(sum)
	e.name("_count")
	e.value(float64(count))
}

func (e *encoder) name(suffix string) {
	if !e.begun {
		e.begun = true
		e.buf = append(append(e.buf, "# HELP "...), e.of.name...)
		e.buf = append(e.buf, ' ')
		e.escaped(e.of.help, false)
		e.buf = append(append(e.buf, "\n# TYPE "...), e.of.name...)
		e.buf = append(append(append(e.buf, ' '), e.of.kind...), '\n')
	}
	e.buf = append(append(e.buf, e.of.name...), suffix...)
}

func (e *encoder) labels(labels []string) {
	separator := byte('{')
	for n := 0; n+1 < len(labels); n += 2 {
		e.buf = append(append(e.buf, separator), labels[n]...)
		e.buf = append(e.buf, `="`...)
		e.escaped(labels[n+1], true)
		e.buf = append(e.buf, '"')
		separator = ','
	}
	if len(labels) > 0 {
		e.buf = append(e.buf, '}')
	}
}

// escaped writes a text of others. A reader refuses an answer with a byte that is
// no UTF-8, all of it, so such bytes are replaced.
func (e *encoder) escaped(text string, quoted bool) {
	for _, r := range text {
		switch {
		case r == '\\':
			e.buf = append(e.buf, `\\`...)
		case r == '\n':
			e.buf = append(e.buf, `\n`...)
		case r == '"' && quoted:
			e.buf = append(e.buf, `\"`...)
		case r < 0x80:
			e.buf = append(e.buf, byte(r))
		default:
			e.buf = append(e.buf, string(r)...)
		}
	}
}

// value ends a series.
func (e *encoder) value(v float64) {
	e.buf = append(e.buf, ' ')
	e.number(v)
	e.buf = append(e.buf, '\n')
	if len(e.buf) >= chunk {
		_ = e.flush() // kept in err
	}
}

func (e *encoder) number(v float64) {
	if v >= 0 && v < 1e6 && v == float64(uint32(v)) { // nearly all, and much faster
		e.buf = strconv.AppendUint(e.buf, uint64(v), 10)
		return
	}
	e.buf = strconv.AppendFloat(e.buf, v, 'g', -1, 64) // NaN, +Inf and -Inf, too
}
