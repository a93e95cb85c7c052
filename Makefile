# ucspid: build, try, test, install and package.
#
#   make run          the main job: serve SMTP on 127.0.0.1:2525
#   make test         all tests; installs what they need with apt-get, when root
#   make faults       each system call of a session fails in every way it can, under strace(1);
#                     make test has each of them fail in one way
#   make fuzz         hostile input for each fuzz target; FUZZTIME=10s for each
#   make soak         everything at once for SOAK=20m, and nothing grows; REPORT=docs writes the
#                     figures into docs/reliability.md
#   make vuln         known vulnerabilities in what we import, by the database of Go
#   make test-matrix  the scenarios on older and newer Debians, for docs/matrix.md
#   make bench        how fast it is, beside tcpserver and others; BENCH=deny: only that part,
#                     REPORT=docs: writes docs/benchmarks.md
#   make install      into $(DESTDIR)$(PREFIX)
#   make packages     a .deb and an .rpm for each of $(ARCHS), in $(DIST)

PREFIX = /usr/local
DESTDIR =
LISTEN ?= 127.0.0.1:2525
ARCHS = amd64 arm64
DIST = dist

BINDIR = $(PREFIX)/bin
COMPATDIR = $(PREFIX)/lib/ucspid
UNITDIR = $(PREFIX)/lib/systemd/system
CATALOGDIR = $(PREFIX)/lib/systemd/catalog
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/ucspid
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/vendor-completions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
CONFDIR = /etc/ucspid

GO = go
BIN = bin
PROGRAMS = ucspid ucspidctl
UNITS = $(wildcard units/*.*)
MAN8 = $(wildcard man/*.8)
MAN5 = $(wildcard man/*.5)
DOCS = README.md CHANGELOG.md $(wildcard docs/*.md)
EXAMPLES = examples/tcp.smtp $(wildcard units/drop-ins/*)
# the completions are made by running the program: here, for whatever GOARCH the others are
COMPLETION = GOARCH= $(GO) run ./cmd/ucspidctl completion

.PHONY: build run test faults fuzz soak vuln test-matrix bench install packages clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "-s -w" -o $(BIN)/ $(PROGRAMS:%=./cmd/%)

run: build
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./examples/smtp-echo
	@LISTEN="$(LISTEN)" examples/run

test:
	@test/all

faults:
	$(GO) test -race -tags faults -timeout 20m -run TestFaults $(FAULTS) ./cmd/ucspid

fuzz:
	@test/fuzz

soak:
	@LIMIT=2h VERBOSE=1 test/run soak

vuln:
	@$(GO) tool -modfile=tools.mod govulncheck ./... || { [ $$? = 3 ] || echo "make vuln: nothing was checked" >&2; exit 1; }

test-matrix:
	@test/matrix

bench:
	@test/bench/all $(BENCH)

install: build
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(COMPATDIR) $(DESTDIR)$(CONFDIR)
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(CATALOGDIR)
	install -d $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(DOCDIR)/examples
	install -m 755 $(PROGRAMS:%=$(BIN)/%) $(DESTDIR)$(BINDIR)
	ln -sf ../../bin/ucspidctl $(DESTDIR)$(COMPATDIR)/tcprules
	ln -sf ../../bin/ucspidctl $(DESTDIR)$(COMPATDIR)/tcprulescheck
	install -m 644 $(UNITS) $(DESTDIR)$(UNITDIR)
	install -m 644 packaging/ucspid.catalog $(DESTDIR)$(CATALOGDIR)
	install -m 644 $(MAN5) $(DESTDIR)$(MANDIR)/man5
	install -m 644 $(MAN8) $(DESTDIR)$(MANDIR)/man8
	install -m 644 $(DOCS) $(DESTDIR)$(DOCDIR)
	install -m 644 LICENSE $(DESTDIR)$(DOCDIR)/copyright
	install -m 644 $(EXAMPLES) $(DESTDIR)$(DOCDIR)/examples
	install -d $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	$(COMPLETION) bash >$(DESTDIR)$(BASHDIR)/ucspidctl
	$(COMPLETION) zsh >$(DESTDIR)$(ZSHDIR)/_ucspidctl
	$(COMPLETION) fish >$(DESTDIR)$(FISHDIR)/ucspidctl.fish

packages:
	packaging/build $(DIST) $(ARCHS)

clean:
	rm -rf bin dist
