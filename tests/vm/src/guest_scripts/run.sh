# Tells the host that the command starts, runs it with a clean environment, sends its output and
# then its exit code to the host, and powers off. Output and result have a channel each, so that no output is taken for a result.
V=/run/scx_gamer_vm
B=$V/busybox
. $V/settings

# Through a pipe: the channel itself cannot be opened twice, as /dev/stdout would.
$B mkfifo $V/output
$B cat $V/output >$OUTPUT &
relay=$!
# From here on a machine that dies is not booted again.
echo "started $NONCE" >$RESULT
$B env -i HOME=/root TERM=dumb \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	/bin/sh $V/command >$V/output 2>&1 </dev/null
code=$?

# What the command left running would keep the pipe open.
for process in /proc/[0-9]*; do
	process=${process#/proc/}
	case $process in 1 | $$ | $relay) ;; *) kill -KILL $process 2>/dev/null ;; esac
done
wait $relay
echo "exit $NONCE $code" >$RESULT
$B poweroff -f
