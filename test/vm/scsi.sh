# SPDX-License-Identifier: GPL-3.0-or-later
# One LUN that two nodes see by paths of their own (in the machine, as root):
# the kernel's iSCSI target, and two initiators by loopback. (tcm_loop will not
# do: in Linux 6.1 PREEMPT AND ABORT through it never ends. To iscsistart one
# portal is one session, so each node has its own.)
# Sourced. A node is a /run of its own, with its path to the LUN as /run/lun.

TARGET=/sys/kernel/config/target
IQN=iqn.2026-01.example.sofs

# lun SIZE: a target with one LUN, and what may use it
lun()
{
	truncate -s "$1" /tmp/lun
	mkdir -p $TARGET/core/fileio_0/lun
	echo "fd_dev_name=/tmp/lun,fd_dev_size=$(stat -c %s /tmp/lun)" \
		>$TARGET/core/fileio_0/lun/control
	echo 1 >$TARGET/core/fileio_0/lun/enable
	tpg=$TARGET/iscsi/$IQN:lun/tpgt_1
	mkdir -p $tpg/lun/lun_0
	ln -s $TARGET/core/fileio_0/lun $tpg/lun/lun_0/port
	echo 0 >$tpg/attrib/authentication
	for n in 0 1; do
		mkdir $tpg/np/127.0.1.$n:3260
		mkdir -p $tpg/acls/$IQN:node$n/lun_0
		ln -s $tpg/lun/lun_0 $tpg/acls/$IQN:node$n/lun_0/lun
	done
	echo 1 >$tpg/enable
	for n in 0 1; do
		iscsistart -i $IQN:node$n -t $IQN:lun -g 1 -a 127.0.1.$n \
			-p 3260 >/tmp/login 2>&1 || cat /tmp/login
		mkdir -p /nodes/$n
		mount -t tmpfs node /nodes/$n
		wait_for block_of $n
		mknod /nodes/$n/lun b $(cat $(block_of $n)/dev | tr : ' ')
	done
}

# block_of NODE: the directory in /sys of the node's path to the LUN
block_of()
{
	session=$(grep -lx "$IQN:node$1" \
		/sys/class/iscsi_session/*/initiatorname)
	[ -n "$session" ] || return 1
	set -- "${session%/*}"/device/target*/*/block/*
	[ -e "$1" ] && echo "$1"
}

wait_for()
{
	for i in $(seq 300); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.2
	done
	echo "EXIT $* never came true"
	return 1
}

# on NODE COMMAND...
on()
{
	node=$1
	shift
	unshare --mount sh -c 'mount --bind /nodes/$0 /run && exec "$@"' \
		"$node" "$@"
}

# step NAME COMMAND...: a line with its exit code and the last that it said
step()
{
	name=$1
	shift
	"$@" >/tmp/said 2>&1
	echo "STEP $name $? $(grep -v '^$' /tmp/said | tail -n 1)"
}

# block_to NODE: one block straight to the LUN
block_to()
{
	on "$1" dd if=/dev/zero of=/run/lun bs=4096 count=1 oflag=direct \
		conv=notrunc status=none
}
