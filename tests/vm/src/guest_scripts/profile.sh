#!/bin/sh
# Runs "$@" and says when its sched_ext scheduler has been at work for a while, with the kernel's symbols in
# /mnt/share.
echo 1 > /proc/sys/net/core/bpf_jit_kallsyms
echo 0 > /proc/sys/kernel/kptr_restrict
"$@" > /dev/null 2>&1 &
until [ "$(cat /sys/kernel/sched_ext/state)" = enabled ]; do
	kill -0 $! || { echo 'profile: the command has ended'; exit 1; }
	sleep 0.2
done
sleep 5
cat /proc/kallsyms > /mnt/share/kallsyms
echo 'profile: ready'
wait
