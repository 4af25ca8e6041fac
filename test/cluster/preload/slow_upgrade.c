/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LD_PRELOAD: who has a g_lock of Samba shared and wants it alone waits two
 * seconds first, in which others get it shared, too (source3/lib/g_lock.h).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <sys/time.h>
#include <unistd.h>

#define G_LOCK_UPGRADE 2
#define SLOW_US 2000000

struct key {
	unsigned char *dptr;
	size_t dsize;
};

typedef uint32_t lock_fn(void *, struct key, int, struct timeval, void *,
			 void *);

lock_fn g_lock_lock;

uint32_t g_lock_lock(void *ctx, struct key key, int type,
		     struct timeval timeout, void *cb_fn, void *cb_private)
{
	lock_fn *next = (lock_fn *)dlsym(RTLD_NEXT, "g_lock_lock");

	if (type == G_LOCK_UPGRADE) {
		usleep(SLOW_US);
	}
	return next(ctx, key, type, timeout, cb_fn, cb_private);
}
