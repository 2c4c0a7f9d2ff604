#!/bin/busybox sh
# First program of the guest: loads modules, puts a writable overlay over the host's root, moves
# there, and hands over to run.sh (directly, or as a unit under systemd).
B=/bin/busybox
give_up() {
	echo "vm: giving up: $*" >/dev/console
	$B poweroff -f
}

$B mkdir -p /proc /sys /dev /ov /host
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs devtmpfs /dev
. /vm/settings

for module in /vm/modules/*; do
	$B insmod "$module" || echo "vm: $module did not load" >/dev/console
done

$B mount -t tmpfs -o mode=755 overlay /ov && $B mkdir /ov/lower /ov/upper /ov/work
options=trans=virtio,version=9p2000.L,msize=512000
$B mount -t 9p -o $options,cache=loose,ro host /ov/lower || give_up "no 9p root"
$B mount -t overlay -o lowerdir=/ov/lower,upperdir=/ov/upper,workdir=/ov/work overlay /host ||
	give_up "no overlay root"

for dir in proc sys dev; do
	$B mkdir -p /host/$dir
	$B mount --move /$dir /host/$dir
done
# /tmp stays the overlay's: writable, and a checkout of this project may lie there.
$B mkdir -p /host/tmp /host/run /host/dev/pts /host/dev/shm /host/boot
$B chmod 1777 /host/tmp
$B mount -t tmpfs -o mode=755 tmpfs /host/run
$B mount -t tmpfs -o mode=1777 tmpfs /host/dev/shm
$B mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /host/dev/pts
$B mount -t bpf bpf /host/sys/fs/bpf
$B mount -t tracefs tracefs /host/sys/kernel/tracing
$B mount -t debugfs debugfs /host/sys/kernel/debug
$B mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
$B ip link set lo up

# A place of its own: the host may have anything below this name.
$B mkdir -p /host/lib/modules /host/mnt/share
$B mount -t tmpfs -o mode=755 tmpfs /host/lib/modules
$B mkdir "/host/lib/modules/$RELEASE"
$B mount -t 9p -o $options,cache=loose,ro kernel "/host/lib/modules/$RELEASE"
$B cp /vm/config "/host/boot/config-$RELEASE"
[ -z "$SHARE" ] || $B mount -t 9p -o $options share /host/mnt/share || give_up "no share"

V=/host/run/scx_gamer_vm
$B mkdir -p $V
$B cp $B /vm/settings /vm/command /vm/run.sh $V/
# The ports appear some time after the driver is loaded, under numbers that vary.
port() {
	for name in /host/sys/class/virtio-ports/*/name; do
		[ "$($B cat "$name" 2>/dev/null)" != "$1" ] || $B basename "${name%/name}"
	done
}
waits=0
until [ -n "$(port result)" ] && [ -n "$(port output)" ]; do
	waits=$((waits + 1))
	[ $waits -lt 200 ] || give_up "no result channel"
	$B usleep 50000
done
echo "OUTPUT=/dev/$(port output) RESULT=/dev/$(port result)" >>$V/settings

if [ -n "$SYSTEMD" ]; then
	# The host may be a container, but the guest is none: systemd would skip half of its work.
	$B rm -f /host/.dockerenv
	$B mkdir -p /host/run/systemd/system /host/run/tmpfiles.d
	# Nor may it hide or empty /tmp.
	$B ln -s /dev/null /host/run/systemd/system/tmp.mount
	$B ln -s /dev/null /host/run/tmpfiles.d/tmp.conf
	$B cp /vm/vmrun.service /host/run/systemd/system/
	exec $B switch_root /host /lib/systemd/systemd
fi
$B chroot /host /run/scx_gamer_vm/busybox sh /run/scx_gamer_vm/run.sh
$B poweroff -f
