package ucspi

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ucspid/policy"
)

// ours are the variables of tcp-environ(5). What the server itself inherited
// under these names says nothing about a connection.
var ours = [...]string{
	"PROTO",
	"TCPLOCALIP", "TCPLOCALPORT", "TCPLOCALHOST",
	"TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST", "TCPREMOTEINFO",
	"TCP6LOCALIP", "TCP6LOCALPORT", "TCP6LOCALHOST",
	"TCP6REMOTEIP", "TCP6REMOTEPORT", "TCP6REMOTEHOST", "TCP6REMOTEINFO", "TCP6INTERFACE",
}

// withoutOurs returns env without the variables of the UCSPI environment, and
// of several with one name only the last.
func withoutOurs(env []string) []string {
	var kept []string
	for _, variable := range env {
		name, _, isVariable := strings.Cut(variable, "=")
		switch {
		case !isVariable:
			kept = append(kept, variable)
		case !slices.Contains(ours[:], name):
			kept = set(kept, variable)
		}
	}
	return kept
}

// set adds a variable to env, in the place of one with the same name.
func set(env []string, variable string) []string {
	name, _, _ := strings.Cut(variable, "=")
	for i, old := range env {
		if strings.HasPrefix(old, name) && strings.HasPrefix(old[len(name):], "=") {
			env[i] = variable
			return env
		}
	}
	return append(env, variable)
}

// environ returns the UCSPI environment of a connection on top of base, which
// must hold none of ours. The variables of the rule come last and win over
// everything, over PATH and TCPREMOTEIP too.
func environ(base []string, c *connection, rule []string) []string {
	env := make([]string, len(base), len(base)+len(ours)+len(rule))
	copy(env, base)
	if c.remote.Addr().Is4() {
		env = append(env, "PROTO=TCP")
	} else {
		env = append(env, "PROTO=TCP6")
		env = appendEnds(env, "TCP6", c)
	}
	env = appendEnds(env, "TCP", c)
	for _, item := range rule {
		if name, isUnset := policy.Unsets(item); isUnset {
			env = unset(env, name)
		} else {
			env = set(env, item)
		}
	}
	return env
}

// unset removes a variable from env.
func unset(env []string, name string) []string {
	return slices.DeleteFunc(env, func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
}

// appendEnds adds the variables of both ends of a connection.
func appendEnds(env []string, prefix string, c *connection) []string {
	env = appendEnd(env, prefix+"LOCAL", c.local, c.localHost)
	env = appendEnd(env, prefix+"REMOTE", c.remote, c.remoteHost)
	if info, known := c.remoteInfo.Text(); known {
		env = append(env, prefix+"REMOTEINFO="+info)
	}
	return env
}

func appendEnd(env []string, prefix string, end netip.AddrPort, host policy.Name) []string {
	env = append(env,
		prefix+"IP="+end.Addr().String(),
		prefix+"PORT="+strconv.Itoa(int(end.Port())))
	if name, known := host.Text(); known {
		env = append(env, prefix+"HOST="+name)
	}
	return env
}
