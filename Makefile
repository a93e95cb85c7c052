# ucspid: build, try, test and install.
#
#   make run       the main job: serve SMTP on 127.0.0.1:2525
#   make test      all tests; installs what they need with apt-get, when root
#   make install   into $(DESTDIR)$(PREFIX)

PREFIX = /usr/local
DESTDIR =
LISTEN ?= 127.0.0.1:2525

BINDIR = $(PREFIX)/bin
COMPATDIR = $(PREFIX)/lib/ucspid
UNITDIR = $(PREFIX)/lib/systemd/system
MANDIR = $(PREFIX)/share/man
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/vendor-completions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d

GO = go
PROGRAMS = ucspid ucspidctl
UNITS = $(wildcard units/*.*)
MAN8 = $(wildcard man/*.8)
MAN5 = $(wildcard man/*.5)

.PHONY: build run test install clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o bin/ $(PROGRAMS:%=./cmd/%)

run: build
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./examples/smtp-echo
	@LISTEN="$(LISTEN)" examples/run

test:
	@test/all

install: build
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(COMPATDIR) $(DESTDIR)$(UNITDIR)
	install -d $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8
	install -m 755 $(PROGRAMS:%=bin/%) $(DESTDIR)$(BINDIR)
	ln -sf ../../bin/ucspidctl $(DESTDIR)$(COMPATDIR)/tcprules
	ln -sf ../../bin/ucspidctl $(DESTDIR)$(COMPATDIR)/tcprulescheck
	install -m 644 $(UNITS) $(DESTDIR)$(UNITDIR)
	install -m 644 $(MAN5) $(DESTDIR)$(MANDIR)/man5
	install -m 644 $(MAN8) $(DESTDIR)$(MANDIR)/man8
	install -d $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	bin/ucspidctl completion bash >$(DESTDIR)$(BASHDIR)/ucspidctl
	bin/ucspidctl completion zsh >$(DESTDIR)$(ZSHDIR)/_ucspidctl
	bin/ucspidctl completion fish >$(DESTDIR)$(FISHDIR)/ucspidctl.fish

clean:
	rm -rf bin
