/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One node's fencing, as csvd does it, without the rest of csvd: a volume with
 * one storage device and fence_scsi, declared as `sofs volume add` declares
 * it; the calls are csvd's own (csvd/fence.c).
 *
 *   fence_node ME DEVICE unfence         let node ME on its storage
 *   fence_node ME DEVICE fence VICTIM    fence another node
 *
 * Exit 0: proven. 1: not, and says why. 2: wrong usage.
 */
#include "includes.h"
#include "csvd/fence.h"
#include "csvd/guard.h"
#include "lib/util/dlinklist.h"
#include "lib/util/tevent_unix.h"

#define NODES 2

struct bed {
	struct csvd_context csvd;
	struct csvd_config config;
	struct csvd_volume volume;
	struct csv_volume_record record;
	struct csv_agent agent;
	struct csv_pair device, unfence;
	struct csvd_member members[NODES];
};

static void bed_fill(struct bed *bed, uint32_t me, const char *device)
{
	uint32_t i;

	bed->config.fence_dir = "/usr/sbin";
	bed->config.fence_s = 360; /* three calls; an emulated processor is slow */
	bed->csvd.ev = tevent_context_init(bed);
	bed->csvd.config = &bed->config;
	bed->csvd.node = me;
	bed->csvd.page = guard_page_create();
	for (i = 0; i < NODES; i++) {
		bed->members[i].pnn = i;
		snprintf(bed->members[i].address,
			 sizeof(bed->members[i].address),
			 "192.0.2.%" PRIu32,
			 i + 1);
		DLIST_ADD_END(bed->csvd.members, &bed->members[i]);
	}
	bed->device.key = csvd_bytes("device");
	bed->device.value = csvd_bytes(device);
	bed->agent.type = csvd_bytes("ocf:heartbeat:Filesystem");
	bed->agent.num_params = 1;
	bed->agent.params = &bed->device;
	bed->unfence.key = csvd_bytes("csv:unfence");
	bed->unfence.value = csvd_bytes("yes");
	bed->record.fence_agent = csvd_bytes("fence_scsi");
	bed->record.num_fence_params = 1;
	bed->record.fence_params = &bed->unfence;
	bed->record.num_agents = 1;
	bed->record.agents = &bed->agent;
	bed->volume.csvd = &bed->csvd;
	bed->volume.name = "vol1";
	bed->volume.config = &bed->record;
}

static int usage(void)
{
	fprintf(stderr, "usage: fence_node ME DEVICE unfence|fence VICTIM\n");
	return 2;
}

int main(int argc, const char **argv)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct bed *bed = talloc_zero(frame, struct bed);
	struct tevent_req *req = NULL;
	char *why = NULL;
	int ret;

	if (argc < 4) {
		return usage();
	}
	bed_fill(bed, atoi(argv[1]), argv[2]);
	if (bed->csvd.page == NULL) {
		fprintf(stderr, "no memory\n");
		return 1;
	}
	if (argc == 4 && strcmp(argv[3], "unfence") == 0) {
		req = csvd_unfence_send(bed, &bed->volume);
	} else if (argc == 5 && strcmp(argv[3], "fence") == 0) {
		req = csvd_fence_send(bed,
				      &bed->volume,
				      atoi(argv[4]),
				      "off");
	} else {
		return usage();
	}
	if (req == NULL || !tevent_req_poll(req, bed->csvd.ev)) {
		fprintf(stderr, "no memory\n");
		return 1;
	}
	ret = csvd_fence_recv(req, frame, &why);
	if (ret != 0) {
		printf("%s\n", why);
	}
	TALLOC_FREE(frame);
	return ret == 0 ? 0 : 1;
}
