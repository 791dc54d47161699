package main

// Plots with logarithmic axes, as SVG that is readable on light and dark pages.

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// curve is what one program needs, by size.
type curve struct {
	name   string
	points []curvePoint // by size
}

type curvePoint struct {
	size float64
	spread
}

// panel is one plot: how something grows.
type panel struct {
	title, axis string // with the unit of each
	curves      []curve
}

const (
	panelWidth, panelHeight         = 340.0, 260.0
	panelLeft, panelTop, panelRight = 48.0, 64.0, 26.0
	panelFoot, noteHeight           = 44.0, 28.0
)

const svgStyle = `text{font:12px Helvetica,Arial,DejaVu Sans,sans-serif;fill:#24292f}.t{font-weight:600;font-size:14px}.g{stroke:#d0d7de}.a{stroke:#57606a}
.c0{stroke:#0969da;fill:none;stroke-width:2}.b0{fill:#0969da;opacity:.18}.d0{fill:#0969da}
.c1{stroke:#bc4c00;fill:none;stroke-width:2;stroke-dasharray:6 3}.b1{fill:#bc4c00;opacity:.18}.d1{fill:#bc4c00}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.g{stroke:#30363d}.a{stroke:#8b949e}
.c0{stroke:#58a6ff}.b0,.d0{fill:#58a6ff}.c1{stroke:#f0883e}.b1,.d1{fill:#f0883e}}`

// drawPanels draws plots side by side below a title.
func drawPanels(title, note string, panels []panel) string {
	var b strings.Builder
	width, height := panelWidth*float64(len(panels)), panelTop+panelHeight+noteHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img">`, width, height, width, height)
	fmt.Fprintf(&b, "\n<title>%s</title>\n<style>%s</style>\n", html.EscapeString(title), svgStyle)
	label(&b, 12, 20, "start", "t", title)
	for k, c := range panels[0].curves {
		x := 12 + 130*float64(k)
		fmt.Fprintf(&b, `<path class="c%d" d="M%g 36h28"/>`+"\n", k, x)
		label(&b, x+34, 40, "start", "", c.name)
	}
	for k, p := range panels {
		p.draw(&b, float64(k)*panelWidth)
	}
	label(&b, 12, height-10, "start", "", note)
	b.WriteString("</svg>\n")
	return b.String()
}

func label(b *strings.Builder, x, y float64, anchor, class, text string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, class, html.EscapeString(text))
}

// scale maps decades to a line of the drawing.
type scale struct{ least, most, from, to float64 }

func (s scale) at(v float64) float64 {
	v = min(max(v, s.least), s.most)
	return s.from + (math.Log10(v)-math.Log10(s.least))/(math.Log10(s.most)-math.Log10(s.least))*(s.to-s.from)
}

// marks are the round numbers from least to most: 1, 2, 5, 10 and so on, or
// powers of ten alone where there are many.
func (s scale) marks() (list []float64) {
	steps := []float64{1, 2, 5}
	if s.most/s.least > 200 {
		steps = steps[:1]
	}
	for decade := math.Pow(10, math.Floor(math.Log10(s.least))); decade <= s.most; decade *= 10 {
		for _, step := range steps {
			if v := decade * step; v >= s.least*(1-1e-9) && v <= s.most*(1+1e-9) {
				list = append(list, v)
			}
		}
	}
	return list
}

// roundOut is the next round number, below when down.
func roundOut(v float64, down bool) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	list := []float64{decade, 2 * decade, 5 * decade, 10 * decade}
	for k, r := range list {
		if down && k+1 < len(list) && list[k+1] > v || !down && r >= v {
			return r
		}
	}
	return v
}

// scales fit all that is to be shown, between round numbers.
func (p *panel) scales(left float64) (x, y scale) {
	x = scale{math.Inf(1), 0, left + panelLeft, left + panelWidth - panelRight}
	y = scale{math.Inf(1), 0, panelTop + panelHeight - panelFoot, panelTop + 24}
	for _, c := range p.curves {
		for _, pt := range c.points {
			x.least, x.most = min(x.least, pt.size), max(x.most, pt.size)
			if pt.least > 0 {
				y.least = min(y.least, pt.least)
			}
			y.most = max(y.most, pt.most)
		}
	}
	y.least = roundOut(y.least, true)
	y.most = max(roundOut(y.most, false), 5*y.least)
	return x, y
}

func (p *panel) draw(b *strings.Builder, left float64) {
	x, y := p.scales(left)
	label(b, left+12, panelTop+8, "start", "t", p.title)
	for _, v := range y.marks() {
		fmt.Fprintf(b, `<path class="g" d="M%.1f %.1fH%.1f"/>`+"\n", x.from, y.at(v), x.to)
		label(b, x.from-6, y.at(v)+4, "end", "", fmt.Sprintf("%g", v))
	}
	for _, pt := range p.curves[0].points {
		fmt.Fprintf(b, `<path class="a" d="M%.1f %.1fv4"/>`+"\n", x.at(pt.size), y.from)
		label(b, x.at(pt.size), y.from+17, "middle", "", fmt.Sprintf("%g", pt.size))
	}
	fmt.Fprintf(b, `<path class="a" d="M%.1f %.1fH%.1f"/>`+"\n", x.from, y.from, x.to)
	label(b, x.to, y.from+34, "end", "", p.axis)
	for k, c := range p.curves {
		c.draw(b, k, x, y)
	}
}

// draw draws the medians, and a band from the least to the most.
func (c *curve) draw(b *strings.Builder, class int, x, y scale) {
	if len(c.points) == 0 {
		return
	}
	var line, over, under []string
	for n, pt := range c.points {
		at := func(v float64) string { return fmt.Sprintf("%.1f %.1f", x.at(pt.size), y.at(v)) }
		line, over = append(line, at(pt.median)), append(over, at(pt.most))
		back := c.points[len(c.points)-1-n]
		under = append(under, fmt.Sprintf("%.1f %.1f", x.at(back.size), y.at(back.least)))
	}
	fmt.Fprintf(b, `<path class="b%d" d="M%sZ"/>`+"\n", class, strings.Join(append(over, under...), "L"))
	fmt.Fprintf(b, `<path class="c%d" d="M%s"/>`+"\n", class, strings.Join(line, "L"))
	for _, pt := range c.points {
		fmt.Fprintf(b, `<circle class="d%d" cx="%.1f" cy="%.1f" r="3"><title>%s, %g: %.3g (%.3g–%.3g)</title></circle>`+"\n",
			class, x.at(pt.size), y.at(pt.median), html.EscapeString(c.name), pt.size, pt.median, pt.least, pt.most)
	}
}
