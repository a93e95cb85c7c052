# shellcheck shell=bash
# lib.sh: the words that scenarios are written in. Each scenario sources it first. It then has
# $ROOT, a Debian root of its own to change as it likes, $CHECKOUT, the source, and $DEB, the
# package made of it; what it says is shown if it fails, together with the guest's journal.

set -Eeuo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CHECKOUT=$(cd "$HERE/../.." && pwd)

# called by hand: have a root made and come back
[ "${ROOT:-}" ] || exec "$HERE/../run" "$(basename "$HERE")"

SCRATCH=$(mktemp -d)
NSPAWN='' GUEST='' MARK=0 OUT=''
declare -A CROWD CROWD_IN

# ----- the story

# step TEXT: what the next lines are about
step() { echo "-- $*"; }

# fail TEXT: ends the scenario, naming the line of it that we came from
fail() {
	echo "FAILED in line ${BASH_LINENO[-2]}: $*" >&2
	exit 1
}

# skip REASON: ends it, too, for want of something that is not ours
skip() {
	echo "$*"
	exit 77
}

# expect STATUS COMMAND...: the command ends with that status; what it said is then in $OUT
expect() {
	local want=$1 got=0
	shift
	OUT=$("$@" 2>&1) || got=$?
	[ "$got" = "$want" ] || fail "status $got instead of $want from: $*"$'\n'"$OUT"
}

# said PATTERN: the command of the last expect said something like it
said() { grep -q -e "$1" <<<"$OUT" || fail "no '$1' in:"$'\n'"$OUT"; }

# silent: the command of the last expect said nothing at all
silent() { [ -z "$OUT" ] || fail "not silent: $OUT"; }

# same WHAT GOT WANTED
same() { [ "$2" = "$3" ] || fail "$1 is '$2' instead of '$3'"; }

# wait_until COMMAND...: asks ten times a second; after 20 seconds the scenario fails
wait_until() {
	local deadline=$((SECONDS + 20))
	until "$@" >"$SCRATCH/last" 2>&1; do
		[ $SECONDS -lt $deadline ] || fail "still not so after 20 s: $*"$'\n'"$(cat "$SCRATCH/last")"
		sleep 0.1
	done
}

# ----- the guest

# boot: starts the root with systemd as its first process and waits until it is up
boot() {
	(
		own_cgroup
		# whatever ends this script ends nspawn, and nspawn being gone ends the whole guest
		SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec setpriv --pdeathsig KILL \
			unshare --pid --fork --kill-child --mount-proc \
			systemd-nspawn -q -D "$ROOT" --boot --private-network --register=no --keep-unit
	) </dev/null >"$SCRATCH/console" 2>&1 &
	NSPAWN=$!
	wait_until guest_is_up
}

# own_cgroup: moves the caller into a cgroup of its own; two guests in one would mix their units
own_cgroup() {
	local dir
	for dir in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ -f "$dir/cgroup.procs" ] || continue
		mkdir -p "$dir/ucspid-test.$$"
		echo "$BASHPID" >"$dir/ucspid-test.$$/cgroup.procs"
	done
}

# guest_is_up: every unit of the boot has started
guest_is_up() {
	GUEST=$(pgrep -P "$(pgrep -P "$NSPAWN")") && in_guest systemctl is-system-running
}

# in_guest COMMAND...: what root would type there; a minute is the limit
in_guest() {
	timeout --foreground 60 nsenter --target "$GUEST" --all -- env -i \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

# halt: shuts the guest down, by force if it must be
halt() {
	[ "$NSPAWN" ] || return 0
	pkill -TERM -P "$NSPAWN" || true
	timeout 20 tail --pid="$NSPAWN" -f /dev/null || kill -KILL "$NSPAWN"
	wait "$NSPAWN" || true
	NSPAWN='' GUEST=''
}

# reboot: as from the power button
reboot() { halt && boot; }

# at_exit: the last words, then nothing is left running or lying about
at_exit() {
	local status=$?
	trap - EXIT ERR
	trap '' INT TERM HUP
	set +e
	case $status in
	0 | 77) ;;
	*) last_words ;;
	esac
	halt >/dev/null 2>&1
	(wait_until no_cgroup) || status=1
	rm -rf "$SCRATCH"
	exit "$status"
}

# no_cgroup: own_cgroup is undone; its last process may take a moment to be gone
no_cgroup() {
	find /sys/fs/cgroup -depth -type d -path "*/ucspid-test.$$*" -exec rmdir {} + 2>/dev/null
	[ -z "$(find /sys/fs/cgroup -type d -name "ucspid-test.$$")" ]
}

# last_words: what the guest itself knows about a failure
last_words() {
	[ "$GUEST" ] || return
	echo "-- the guest's journal"
	in_guest journalctl --boot --no-pager --output=short-monotonic --no-hostname || cat "$SCRATCH/console"
	echo "-- its units"
	in_guest systemctl --no-pager --no-legend --failed
	in_guest systemctl --no-pager status 'qmail*'
}

trap at_exit EXIT
trap 'exit 130' INT TERM HUP
trap 'fail "status $? from: $BASH_COMMAND"' ERR

# ----- its units

systemd_version() { in_guest systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }

# sound UNIT: systemd has no complaint. Before 252 it misses two directives, and programs without
# a path
sound() {
	OUT=$(in_guest systemd-analyze verify --man=no "$1" 2>&1 || [ "$(systemd_version)" -lt 252 ])
	if [ "$(systemd_version)" -lt 252 ]; then
		OUT=$(grep -v -e "Unknown key name 'PrivateIPC' in" -e "Unknown key name 'TriggerLimitIntervalSec' in section 'Path'" \
			-e "Command [a-z]* is not executable" <<<"$OUT" || true)
	fi
	silent
}

# exposed UNIT MOST: systemd thinks no worse of its sandbox
exposed() {
	expect 0 in_guest systemd-analyze security --no-pager "$1"
	local exposure
	exposure=$(sed -n 's/.*exposure level for.*: \([0-9.]*\) .*/\1/p' <<<"$OUT")
	awk -v x="$exposure" -v most="$2" 'BEGIN { exit !(x > 0 && x <= most) }' || fail "the exposure of $1 is $exposure"
}

# ----- its log

# mark: from here on only new lines of the log count
mark() { MARK=$(whole_log | wc -l); }

# entries MATCH...: what the journal has of a unit (-u UNIT) and what else is asked for
entries() {
	in_guest journalctl --sync
	in_guest journalctl --output=cat --no-pager "$@"
}

# whole_log: all of it
whole_log() { entries -u qmail-smtp; }

# log: its lines since the last mark
log() { whole_log | tail -n "+$((MARK + 1))"; }

# logs PATTERN: such a line comes up in the log
logs() { wait_until log_has "$1"; }

# log_has PATTERN: such a line is there
log_has() {
	log >"$SCRATCH/log"
	grep -q -e "$1" "$SCRATCH/log" || { cat "$SCRATCH/log" && false; }
}

# logs_times N PATTERN: so many such lines come up, and no more
logs_times() { wait_until log_has_times "$1" "$2"; }

# log_has_times N PATTERN: so many such lines are there
log_has_times() {
	log >"$SCRATCH/log"
	[ "$(grep -c -e "$2" "$SCRATCH/log")" = "$1" ] || { cat "$SCRATCH/log" && false; }
}

# ----- what systemd says of a unit

# of_unit UNIT PROPERTY
of_unit() { in_guest systemctl show --property="$2" --value "$1"; }

# active UNIT: its state, in a word
active() { in_guest systemctl is-active "$1" || true; }

# main_pid [UNIT], status [UNIT]: of qmail-smtp.service, unless another is named
main_pid() { of_unit "${1:-qmail-smtp.service}" MainPID; }
status() { of_unit "${1:-qmail-smtp.service}" StatusText; }

# status_is PATTERN [UNIT]: its status is something like it
status_is() { status "${2:-}" | tee -a /dev/stderr | grep -q -e "$1"; }

# ----- what proc(5) says of a process

# of PID FIELD: in its status
of() { in_guest sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

# strings_of FILE: its NUL-terminated strings, one a line
strings_of() { in_guest sh -c 'tr "\0" "\n" <"$0"' "$1"; }

# ----- what is installed

# install_ucspid: our package
install_ucspid() {
	cp "$DEB" "$ROOT/root/ucspid.deb"
	chroot "$ROOT" dpkg --install /root/ucspid.deb
}

# install_qmail: qmail's users, directories and control files, mailfront in the place of
# qmail-smtpd, and in the place of qmail-queue a set-uid program that keeps what it is given
install_qmail() {
	local home=$ROOT/var/qmail standin=$HERE/../standin
	install -D -m 644 "$standin/qmail.sysusers" "$ROOT/usr/lib/sysusers.d/qmail.conf"
	systemd-sysusers --root="$ROOT" qmail.conf
	install -d "$home/bin" "$home/control"
	install -m 755 "$standin/qmail-smtpd" "$home/bin/"
	echo mail.local.example >"$home/control/me"
	echo local.example >"$home/control/rcpthosts"
	(cd "$CHECKOUT" && CGO_ENABLED=0 go build -o "$home/bin/qmail-queue" ./test/standin/qmail-queue)
	install -d -m 700 "$home/queue" "$home"/queue/{pid,mess,intd,todo,lock}
	chroot "$ROOT" chown -R qmailq:qmail /var/qmail/bin/qmail-queue /var/qmail/queue
	chmod 4711 "$home/bin/qmail-queue"
}

# install_load: a crowd of clients, as /usr/local/bin/load
install_load() { (cd "$CHECKOUT" && CGO_ENABLED=0 go build -o "$ROOT/usr/local/bin/" ./test/load); }

# instance PORT LINE...: what an instance of the templates serves is told in these lines
instance() {
	local port=$1
	shift
	install -D -m 644 <(printf '%s\n' "$@") "$ROOT/etc/ucspid/$port.conf"
}

# rules LINE...: these are in force
rules() {
	printf '%s\n' "$@" >"$ROOT/etc/tcp.smtp"
	expect 0 in_guest ucspidctl rules compile /etc/tcp.smtp
}

# ----- peers

# addresses IP...: the guest has these, and clients in it can come from any of them
addresses() {
	local ip
	for ip; do in_guest ip address add "$ip" dev lo; done
}

# port_is_open: something listens on port 25
port_is_open() { in_guest ss -Hltn 'sport = :25' | grep -q .; }
port_is_closed() { ! port_is_open; }

# knock IP: connects from IP (and to it: the guest is both ends), sends nothing, prints what comes
# until the other side hangs up
knock() { in_guest bash -c 'exec 3<>"/dev/tcp/$0/25" && cat <&3' "$1"; }

# swaks_as IP OPTION...: swaks, coming from that address
swaks_as() {
	local ip=$1
	shift
	in_guest swaks --server 192.0.2.25 --local-interface "$ip" --helo client.example \
		--from sender@client.example --timeout 20 "$@"
}

# dial IP [PORT]: likewise opens a session that stays open; its first line is then in $OUT
dial() {
	dial_patiently "$@"
	hear
}

# dial_patiently IP [PORT]: the same without waiting for an answer
dial_patiently() {
	coproc LINE { in_guest bash -c 'exec 3<>"/dev/tcp/$0/$1" && { cat <&3 & cat >&3; kill $!; }' "$1" "${2:-25}"; }
	exec {EAR}<&"${LINE[0]}" {MOUTH}>&"${LINE[1]}"
}

# ask COMMAND: says it in the open session; the first line of the answer is then in $OUT
ask() {
	echo "$1" >&"$MOUTH"
	hear
}

# hear: the next line of the open session
hear() { read -r -t 20 -u "$EAR" OUT || fail "the open session says nothing"; }

# hang_up: the client of the open session leaves
hang_up() {
	local client=$LINE_PID
	eval "exec ${LINE[1]}>&-"
	exec {MOUTH}>&- {EAR}<&-
	wait "$client" || true
}

# crowd NAME OPTION...: a crowd of clients (test/load) that is there until "part NAME"
crowd() {
	local name=$1
	shift
	mkfifo "$SCRATCH/$name.in"
	timeout 300 nsenter --target "$GUEST" --all -- /usr/local/bin/load -server 192.0.2.25:25 "$@" \
		<"$SCRATCH/$name.in" >"$SCRATCH/$name.out" 2>&1 &
	CROWD[$name]=$!
	exec {fd}>"$SCRATCH/$name.in"
	CROWD_IN[$name]=$fd
	wait_until grep -q ready "$SCRATCH/$name.out"
}

# part NAME: the crowd parts; what it has to say is then in $OUT
part() {
	local fd=${CROWD_IN[$1]}
	exec {fd}>&-
	wait "${CROWD[$1]}" || true
	rm "$SCRATCH/$1.in"
	OUT=$(cat "$SCRATCH/$1.out")
}
