package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"ucspid/internal/status"
	"ucspid/policy"
)

// What a report says, in words.

func refusals(counts map[string]uint64) []string {
	var all []string
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %s", counts[word], word))
	}
	return all
}

func limits(l *status.Limits) []string {
	var all []string
	add := func(format string, limit any) { all = append(all, fmt.Sprintf(format, limit)) }
	if l.PerHost != nil {
		add("%d a host", *l.PerHost)
	}
	if l.PerNetwork != nil {
		add("%d a network", *l.PerNetwork)
	}
	if l.Rate != "" {
		add("%s a host", l.Rate)
	}
	if l.NetworkRate != "" {
		add("%s a network", l.NetworkRate)
	}
	if l.Reserve > 0 {
		add("%d reserved", l.Reserve)
	}
	return all
}

func rulesText(r *status.Rules, now time.Time) []string {
	switch {
	case r == nil:
		return []string{"none, everybody is let in"}
	case r.Error != "":
		return []string{r.File, "NOBODY IS LET IN: " + r.Error}
	case r.Modified.IsZero():
		return []string{r.File, "not there, everybody is let in"}
	}
	return []string{r.File, ageText(now.Sub(r.Modified)) + " old"}
}

// mostSources is how many sources are shown.
const mostSources = 3

// busiest returns the sources with the most sessions, those with one alone left
// out.
func busiest(sessions []status.Session, bits status.Bits) []string {
	counts := make(map[netip.Prefix]int)
	for _, one := range sessions {
		counts[policy.Width(bits).Source(one.Peer.Addr())]++
	}
	maps.DeleteFunc(counts, func(_ netip.Prefix, n int) bool { return n < 2 })
	sources := slices.SortedFunc(maps.Keys(counts), func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), a.Compare(b))
	})
	var all []string
	for _, source := range sources[:min(len(sources), mostSources)] {
		text := source.String()
		if source.IsSingleIP() {
			text = source.Addr().String()
		}
		all = append(all, fmt.Sprintf("%d of %s", counts[source], text))
	}
	return all
}

func nameText(name policy.Name) string {
	text, _ := name.Text()
	return cmp.Or(text, "-")
}

// ruleText shows the address of a rule; that of the rule for everybody is
// empty.
func ruleText(rule policy.Name) string {
	text, found := rule.Text()
	if !found {
		return "-"
	}
	return cmp.Or(text, "(everybody)")
}

// ageText returns a time in its largest unit: 12s, 3m, 2h, 5d.
func ageText(age time.Duration) string {
	switch {
	case age < time.Minute:
		return fmt.Sprintf("%ds", max(age, 0)/time.Second)
	case age < time.Hour:
		return fmt.Sprintf("%dm", age/time.Minute)
	case age < 24*time.Hour:
		return fmt.Sprintf("%dh", age/time.Hour)
	}
	return fmt.Sprintf("%dd", age/(24*time.Hour))
}

// sizeText returns a number of bytes in at most four characters, "-" for one
// that is not known.
func sizeText(n *uint64) string {
	if n == nil {
		return "-"
	}
	if *n < 1000 {
		return fmt.Sprint(*n)
	}
	size, unit := float64(*n), 0
	for ; size >= 999.5; unit++ {
		size /= 1000
	}
	if size < 9.95 {
		return fmt.Sprintf("%.1f%c", size, " kMGTPE"[unit])
	}
	return fmt.Sprintf("%.0f%c", size, " kMGTPE"[unit])
}
