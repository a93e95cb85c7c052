package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary stand for the programs that tests run: the
// real ucspid, and a probe that ucspid runs on a connection.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each process takes a second to exit
	testscript.Main(m, map[string]func(){
		"ucspid": main,
		"probe":  probe,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
