/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who a thread is while it works on the volume.
 *
 * In CSV_CRED_THREAD mode the file system must see the asking user: file
 * system uid and gid, groups, umask, and no capability at all (a root daemon
 * would else set security.* attributes or override quotas for anybody). All
 * by raw system calls, because glibc's wrappers change every thread, and
 * checked, because setfsuid(2) does not say that it failed. A thread stays
 * who it is until the next operation needs somebody else.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "local_private.h"

#define LOCAL_NOBODY 65534
#define KEPT_GROUPS 64

/* What the kernel has for this thread; not known: set it all again. */
struct identity {
	bool ready; /* own umask, caps are those to come back to */
	bool known;
	uint32_t uid;
	uint32_t gid;
	uint32_t num_groups;
	uint32_t groups[KEPT_GROUPS];
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
};

static _Thread_local struct identity me;

static int set_caps(bool all)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	int i;

	memcpy(caps, me.caps, sizeof(caps));
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3 && !all; i++) {
		caps[i].effective = 0;
	}
	if (syscall(SYS_capset, &head, caps) == -1) {
		return errno;
	}
	return 0;
}

/* Once per thread: its own umask, and its capabilities remembered. */
static int identity_init(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	if (me.ready) {
		return 0;
	}
	if (unshare(CLONE_FS) == -1) {
		return errno;
	}
	if (syscall(SYS_capget, &head, me.caps) == -1) {
		return errno;
	}
	me.ready = true;
	return 0;
}

static int set_ids(uint32_t uid,
		   uint32_t gid,
		   uint32_t num_groups,
		   const uint32_t *groups)
{
	int ret;

	ret = set_caps(true);
	if (ret != 0) {
		return ret;
	}
	if (syscall(SYS_setgroups, (size_t)num_groups, groups) == -1) {
		return errno;
	}
	syscall(SYS_setfsgid, gid);
	syscall(SYS_setfsuid, uid);
	if ((uint32_t)syscall(SYS_setfsgid, -1) != gid ||
	    (uint32_t)syscall(SYS_setfsuid, -1) != uid)
	{
		return EPERM;
	}
	return set_caps(uid == 0);
}

static bool is_me(uint32_t uid,
		  uint32_t gid,
		  uint32_t num_groups,
		  const uint32_t *groups)
{
	if (!me.known || me.uid != uid || me.gid != gid ||
	    me.num_groups != num_groups || num_groups > KEPT_GROUPS)
	{
		return false;
	}
	return num_groups == 0 ||
	       memcmp(me.groups, groups, num_groups * sizeof(*groups)) == 0;
}

static int become(uint32_t uid,
		  uint32_t gid,
		  uint32_t num_groups,
		  const uint32_t *groups)
{
	int ret;

	ret = identity_init();
	if (ret != 0) {
		return ret;
	}
	if (is_me(uid, gid, num_groups, groups)) {
		return 0;
	}
	me.known = false;
	ret = set_ids(uid, gid, num_groups, groups);
	if (ret != 0) {
		return ret;
	}
	me.uid = uid;
	me.gid = gid;
	me.num_groups = num_groups;
	if (num_groups > 0 && num_groups <= KEPT_GROUPS) {
		memcpy(me.groups, groups, num_groups * sizeof(*groups));
	}
	me.known = true;
	return 0;
}

int local_user(struct local_backend *lb, const struct csv_cred *cred)
{
	int ret;

	if (lb->cred_mode == CSV_CRED_AMBIENT) {
		return 0;
	}
	if (cred == NULL || cred->num_groups > CSV_MAX_GROUPS ||
	    (cred->num_groups > 0 && cred->groups == NULL) ||
	    cred->uid == UINT32_MAX || cred->gid == UINT32_MAX)
	{
		return EINVAL;
	}
	ret = become(cred->uid, cred->gid, cred->num_groups, cred->groups);
	if (ret != 0) {
		return ret;
	}
	umask(cred->umask & 0777);
	return 0;
}

int local_root_begin(struct local_backend *lb)
{
	if (lb->cred_mode == CSV_CRED_THREAD) {
		return become(0, 0, 0, NULL);
	}
	if (lb->priv.raise != NULL) {
		lb->priv.raise();
	}
	return 0;
}

void local_root_end(struct local_backend *lb)
{
	/* errno is the answer of what has been done in between */
	int saved_errno = errno;

	if (lb->cred_mode == CSV_CRED_AMBIENT && lb->priv.drop != NULL) {
		lb->priv.drop();
	}
	errno = saved_errno;
}

int local_data_user(struct local_backend *lb)
{
	if (lb->cred_mode == CSV_CRED_AMBIENT || (me.known && me.uid != 0)) {
		return 0;
	}
	return become(LOCAL_NOBODY, LOCAL_NOBODY, 0, NULL);
}

int csv_local_thread_root(void)
{
	int ret;

	if (!me.ready) {
		return 0;
	}
	ret = become(0, 0, 0, NULL);
	if (ret == 0) {
		umask(022);
	}
	return ret;
}
