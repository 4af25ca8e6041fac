# SPDX-License-Identifier: GPL-3.0-or-later
# A cluster of one node with a watchdog device, a SCSI LUN and fence_scsi:
# CTDB, its event script and csvd as they are installed. FAULT (STOP or KILL)
# is the signal that csvd's guard and supervisor get in the end; with KILL
# another csvd is started, beside a worker that hangs and has the volume
# mounted (one that does not hang would release it in order, and all would be
# well): see test_scsi.py.
. $HERE/scsi.sh
export PATH=$BUILD/bin:$PREFIX/bin:$PREFIX/sbin:$PATH
ETC=$PREFIX/etc
SECONDS_TO_BITE=6

configure()
{
	mkdir -p $ETC/ctdb/events/legacy
	cp $TREE/ctdb-events/45.csv.script $ETC/ctdb/events/legacy/
	chmod 755 $ETC/ctdb/events/legacy/45.csv.script
	echo 127.0.0.1 >$ETC/ctdb/nodes
	cat >$ETC/ctdb/ctdb.conf <<-END
	[logging]
		location = file:/tmp/log.ctdb
	[cluster]
		leader timeout = 3
		cluster lock = !$BUILD/bin/csv_quorum_helper
		node address = 127.0.0.1
	END
	cat >$ETC/smb.conf <<-END
	[global]
		clustering = yes
		netbios name = VM
		log file = /tmp/log.samba
		csv:watchdog = /dev/watchdog
		csv:watchdog timeout = $SECONDS_TO_BITE
		csv:guard csvd timeout = 20000
		csv:guard ctdbd timeout = 20000
	END
	csv_quorum_helper --genkey
}

active()
{
	sofs volume state 2>/dev/null | grep -q 'Active'
}

guard()
{
	pgrep -x csvd-guard
}

another_guard()
{
	now=$(guard) && [ "$now" != "$1" ]
}

# Longer than an unfed watchdog takes.
live_on()
{
	sleep $((SECONDS_TO_BITE * 2))
	echo "ALIVE $1"
}

failed()
{
	tail -n 30 /tmp/log.ctdb /tmp/log.samba* $PREFIX/var/log.csvd
	ctdb status
	sofs volume state
	echo "EXIT $1"
	exit 1
}

lun 64M
device=/dev/$(basename $(block_of 0))
mkfs.ext4 -q $device
configure
ctdbd || failed "no ctdbd"
wait_for sofs volume list || failed "no csvd"
step add sofs volume add vol1 --device $device --fstype ext4 \
	--fence fence_scsi --fence-param csv:unfence=yes
wait_for active || failed "not active"
step mounted grep " /csv/vol1 " /proc/mounts
step key sg_persist -n -i -k -d $device
step held sg_persist -n -i -r -d $device
step stranger dd if=/dev/zero of=/nodes/1/lun bs=4096 count=1 oflag=direct \
	conv=notrunc status=none
step timeout cat /sys/class/watchdog/watchdog0/timeout
live_on fed

old=$(guard)
kill -KILL $old
wait_for another_guard $old || failed "no other guard"
live_on guard-killed
old=$(guard)
kill -STOP $old
wait_for another_guard $old || failed "no other guard"
live_on guard-stopped
step active active

supervisor=$(cat /run/csvd/csvd.pid)
old=$(guard)
[ $FAULT = STOP ] || pkill -STOP -x -P $supervisor csvd
kill -$FAULT $supervisor $old
echo "FAULT $(cut -d ' ' -f 1 /proc/uptime)"
[ $FAULT = STOP ] || csvd
for i in $(seq 300); do
	now=$(another_guard $old && echo another)
	mounted=$(grep -c ' /csv/vol1 ' /proc/mounts)
	echo "AT $(cut -d ' ' -f 1 /proc/uptime) mounted $mounted guard $now"
	sleep 0.1
done
failed "it goes on"
