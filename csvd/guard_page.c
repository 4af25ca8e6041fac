/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory that the supervisor's processes share.
 */
#include "includes.h"
#include <sys/mman.h>
#include "csvd/guard.h"

uint64_t guard_now(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct guard_page *guard_page_create(void)
{
	struct guard_page *page = NULL;
	void *p = NULL;

	p = mmap(NULL,
		 sizeof(*page),
		 PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS,
		 -1,
		 0);
	if (p == MAP_FAILED) {
		return NULL;
	}
	(void)madvise(p, sizeof(*page), MADV_DONTDUMP);
	(void)mlock(p, sizeof(*page));
	page = p;
	page->node = GUARD_NO_NODE;
	page->alive = guard_now();
	page->pulse = page->alive; /* until there is a worker */
	page->reached = page->alive;
	return page;
}

struct guard_slot *guard_slot_find(struct guard_page *page, const char *name)
{
	size_t i;

	for (i = 0; i < GUARD_SLOTS; i++) {
		struct guard_slot *slot = &page->slots[i];

		if (slot->state != GUARD_FREE &&
		    strcmp(slot->name, name) == 0) {
			return slot;
		}
	}
	return NULL;
}

bool guard_page_secrets(struct guard_page *page,
			char address[64],
			struct guard_secret secrets[2])
{
	uint32_t before, after;
	unsigned tries;

	for (tries = 0; tries < 100; tries++) {
		before = page->seq;
		memcpy(address, page->address, 64);
		memcpy(secrets, page->secrets, sizeof(page->secrets));
		atomic_thread_fence(memory_order_acquire);
		after = page->seq;
		if (before == after && before % 2 == 0) {
			return before != 0;
		}
	}
	return false; /* its writer died in the middle */
}
