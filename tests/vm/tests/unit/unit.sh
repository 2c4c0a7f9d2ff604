# Run by unit.rs as root in a guest whose init is systemd. $1 is the checkout.
unit=/run/systemd/system/scx_gamer.service
scx_gamer=/usr/local/bin/scx_gamer
state=/sys/kernel/sched_ext/state

fail() {
	echo "FAILED: $*"
	systemctl status --no-pager --lines=0 scx_gamer
	journalctl --unit=scx_gamer --no-pager --output=cat --lines=30
	exit 1
}

# until_true SECONDS COMMAND...
until_true() {
	local tries=$(($1 * 5))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.2
	done
}

property() { systemctl show --property="$1" --value scx_gamer; }
attached() { [ "$(cat $state)" = enabled ] && [ -S /run/scx/root/stats ]; }
detached() { [ "$(cat $state)" = disabled ]; }
restarted() { [ "$(property NRestarts)" -gt "$1" ] && attached; }
settled() { attached || failed; }
failed() { [ "$(property ActiveState)" = failed ]; }
says() { grep -q "$1" /run/monitor; }

# Where `make install` puts them: a checkout may lie in a place that the unit cannot see.
install -D -m 755 "$1/target/debug/scx_gamer" $scx_gamer || fail "no build in $1"
install -D -m 644 "$1/packaging/scx_gamer.service" $unit
# Two keys are unknown to systemd before 254, and the unit says so.
complaints=$(systemd-analyze verify $unit 2>&1 | grep scx_gamer | grep -v 'Restart\(Steps\|MaxDelaySec\)')
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"

# Comes back below, and must be heard of in the unit's private network.
rmmod evdev || fail "evdev is in use"
systemctl daemon-reload
systemctl start scx_gamer || fail "it does not start"
until_true 60 settled
attached || fail "it does not attach"
systemctl status --no-pager --lines=0 scx_gamer
grep -e CapBnd -e NoNewPrivs -e Seccomp: "/proc/$(property MainPID)/status"
[ "$(stat -c '%a %U' /run/scx/root/stats)" = '660 root' ] || fail "the socket is open to others"
echo "ok: it starts and attaches"

# What each right is for: another user's game, a module's function, the programs' run time; and the
# kernel's word of the module.
setpriv --reuid=65534 --clear-groups env SteamAppId=42 sleep 1000 &
game=$!
modprobe evdev || fail "evdev does not come back"
$scx_gamer --monitor 1 >/run/monitor &
monitor=$!
until_true 60 says '^game: sleep' || fail "another user's game is not found: $(cat /run/monitor)"
until_true 60 says '[0-9][num]s$' || fail "no cost per decision: $(cat /run/monitor)"
until_true 60 says '^detector input reader: active.*evdev_read' || fail "no hook in a module: $(cat /run/monitor)"
kill $monitor $game
wait
cat /run/monitor
echo "ok: all that it senses works with these rights"

kill -KILL "$(property MainPID)"
until_true 60 restarted 0 || fail "it does not come back after SIGKILL"
echo "ok: it comes back after SIGKILL"

systemctl stop scx_gamer
detached || fail "it is stopped, but still attached"
[ ! -e /run/scx/root ] || fail "it leaves /run/scx/root behind"
echo "ok: stopped, the kernel's own scheduler is back"

systemctl start scx_gamer
for kills in 1 2 3 4 5 6; do
	until_true 120 settled || fail "it neither attaches nor gives up"
	! failed || break
	kill -KILL "$(property MainPID)"
	until_true 10 detached || fail "it is killed, but still attached"
done
failed || fail "it was killed $kills times and still starts"
detached || fail "it has given up, but is attached"
echo "ok: it stays off after $((kills - 1)) kills in a row"

mkdir $unit.d
printf '[Service]\nExecStart=\nExecStart=%s --slice-us 1\n' "$scx_gamer" >$unit.d/wrong.conf
systemctl daemon-reload
systemctl reset-failed scx_gamer
systemctl start scx_gamer
until_true 60 failed || fail "it does not fail with a wrong option"
[ "$(property ExecMainStatus) $(property NRestarts)" = '2 0' ] || fail "it restarts on a wrong option"
echo "ok: a wrong option is not tried again"
