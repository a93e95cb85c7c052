package ucspi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInheritedEnvironment(t *testing.T) {
	inherited := []string{"PATH=/bin", "TCPREMOTEIP=stale", "TWICE=1", "PROTO", "TWICE", "TWICE=2", "=x", "TCP6INTERFACE=stale"}
	want := []string{"PATH=/bin", "TWICE=2", "PROTO", "TWICE", "=x"}
	if diff := cmp.Diff(want, withoutOurs(inherited)); diff != "" {
		t.Errorf("what is passed on (-want +got)\n%s", diff)
	}
}
