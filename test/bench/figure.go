package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// The figures are for light pages and dark ones.

const figureWidth = 720

const figureHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" font-family="system-ui, sans-serif" font-size="13">
<style>
text { fill: #24292f } .faint { fill: #656d76 } .ours { fill: #0a7d5a } .theirs { fill: #9aa4b0 } .grid { stroke: #d0d7de }
.a { stroke: #0a7d5a; fill: #0a7d5a } .b { stroke: #b5541c; fill: #b5541c } .c { stroke: #4a63d0; fill: #4a63d0 } .d { stroke: #a3299b; fill: #a3299b } polyline { fill: none !important; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faint { fill: #8d96a0 } .ours { fill: #3fc796 } .theirs { fill: #6b7685 } .grid { stroke: #3d444d }
.a { stroke: #3fc796; fill: #3fc796 } .b { stroke: #f0a36b; fill: #f0a36b } .c { stroke: #8ea2ff; fill: #8ea2ff } .d { stroke: #e58ae0; fill: #e58ae0 }
}
</style>
`

// figure is a drawing that grows downwards.
type figure struct {
	bytes.Buffer
	y int
}

func (f *figure) text(x, y int, class, anchor, text string) {
	fmt.Fprintf(f, "<text x=\"%d\" y=\"%d\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, html.EscapeString(text))
}

// done returns the figure with its head.
func (f *figure) done() []byte {
	return fmt.Appendf(nil, figureHead+"%[3]s</svg>\n", figureWidth, f.y, f.Bytes())
}

// bars draws how many connections a second each server serves.
func (r *report) bars() []byte {
	var f figure
	for _, t := range r.tables {
		if t.title == allowTitle || t.title == denyTitle {
			f.bars(t)
		}
	}
	return f.done()
}

// The measures of a bar chart.
const (
	barLeft  = 230
	barRight = figureWidth - 70
	barPitch = 24
)

func (f *figure) bars(t table) {
	f.y += 26
	f.text(0, f.y, "", "start", t.title+": connections a second")
	f.y += 12
	longest := 0.0
	for _, one := range t.results {
		longest = max(longest, one.median(rate))
	}
	for _, one := range t.results {
		class := "theirs"
		if strings.HasPrefix(one.name, "ucspid") {
			class = "ours"
		}
		value := one.median(rate)
		width := int(value / longest * (barRight - barLeft))
		f.text(barLeft-10, f.y+14, "faint", "end", one.name)
		fmt.Fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"2\" class=\"%s\"/>\n", barLeft, f.y, width, barPitch-6, class)
		f.text(barLeft+width+6, f.y+14, "", "start", fmt.Sprintf("%.0f", value))
		f.y += barPitch
	}
	f.y += 10
}

// The measures of the line chart: it shows up to so many times the first cost,
// and sizes up to so many powers of ten.
const (
	lineLeft   = 50
	lineRight  = figureWidth - 40
	lineTop    = 60
	lineBottom = 280
	maxGrowth  = 2.0
	maxPower   = 6.0
)

// lines draws how the cost of a connection grows.
func (r *report) lines() []byte {
	f := figure{y: lineBottom + 30}
	f.text(0, 20, "", "start", "CPU for a connection, relative to the smallest size")
	for _, growth := range []float64{0, 0.5, 1, 1.5, 2} {
		y := lineY(growth)
		fmt.Fprintf(&f, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" class=\"grid\"/>\n", lineLeft, y, lineRight, y)
		f.text(lineLeft-8, y+4, "faint", "end", fmt.Sprintf("%.1f×", growth))
	}
	for power := range int(maxPower) + 1 {
		f.text(lineX(math.Pow10(power)), lineBottom+20, "faint", "middle", fmt.Sprintf("%.0f", math.Pow10(power)))
	}
	x := lineLeft
	for i, s := range r.growth {
		class := string(rune('a' + i))
		f.line(class, s)
		fmt.Fprintf(&f, "<rect x=\"%d\" y=\"34\" width=\"12\" height=\"4\" class=\"%s\"/>\n", x, class)
		f.text(x+18, 41, "", "start", s.of)
		x += 140
	}
	return f.done()
}

func (f *figure) line(class string, s series) {
	var points bytes.Buffer
	for _, p := range s.points {
		x, y := lineX(float64(p.size)), lineY(p.cost/s.points[0].cost)
		fmt.Fprintf(&points, "%d,%d ", x, y)
		fmt.Fprintf(f, "<circle cx=\"%d\" cy=\"%d\" r=\"4\" class=\"%s\"/>\n", x, y, class)
	}
	fmt.Fprintf(f, "<polyline points=\"%s\" class=\"%s\"/>\n", bytes.TrimSpace(points.Bytes()), class)
}

func lineX(size float64) int {
	return lineLeft + int(math.Log10(size)/maxPower*(lineRight-lineLeft))
}

func lineY(growth float64) int {
	return lineBottom - int(min(growth, maxGrowth)/maxGrowth*(lineBottom-lineTop))
}
