# SPDX-License-Identifier: GPL-3.0-or-later
# Node 0 writes, node 1 fences it, by csvd's code and fence_scsi. Told what
# happens by STEP lines: see test_scsi.py.
. $HERE/scsi.sh

csvd_fence()
{
	on "$1" $BUILD/test/vm/node/fence_node "$1" "$2" "$3" $4
}

keys()
{
	on 1 sg_persist -n -i -k -d /run/lun |
		sed -n 's/^ *\(0x[0-9a-f]*\)$/\1/p' | tr '\n' ' '
}

lun 64M
step unfence-0 csvd_fence 0 /run/lun unfence
step keys-0 keys
step write-0 block_to 0
step stranger-1 block_to 1
on 0 python3 -IS $HERE/paced.py /run/lun >/tmp/paced &
writer=$!
wait_for test -s /tmp/paced
step no-proof csvd_fence 1 /run/none fence 0
step fence-0 csvd_fence 1 /run/lun fence 0
read fenced rest </proc/uptime
wait $writer
echo "PACED $(tail -n 1 /tmp/paced) fenced=$fenced"
step keys-1 keys
on 1 sg_persist -n -i -r -d /run/lun | sed 's/^ */HELD /'
step write-0 block_to 0
step write-1 block_to 1
key=6373760000000000
step back-0 on 0 sg_persist -n -o -A -T 5 -K $key -S 6373760000000001 \
	-d /run/lun
step again-0 on 0 sg_persist -n -o -G -K $key -S $key -d /run/lun
step write-0 block_to 0
step write-1 block_to 1
step unfence-0 csvd_fence 0 /run/lun unfence
step write-0 block_to 0
