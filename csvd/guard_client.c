/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's side of its own guard.
 */
#include "csvd/guard_client.h"
#include <mntent.h>
#include <poll.h>
#include "csvd/guard.h"
#include "csvd/members.h"
#include "csvd/secret.h"

#define CLIENT_ANSWER_MS 1000

/* Proves that this process runs; the main loop may well wait for ctdbd. */
static void *client_pulse(void *private_data)
{
	const struct timespec pause = {.tv_nsec = GUARD_POLL_MS * 1000000L};
	struct guard_page *page = private_data;

	for (;;) {
		page->pulse = guard_now();
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int csvd_guard_start(struct guard_page *page)
{
	return guard_thread_start(client_pulse, page);
}

void csvd_guard_reached(struct csvd_context *csvd)
{
	csvd->page->reached = guard_now();
}

void csvd_guard_tell(struct csvd_context *csvd)
{
	const struct csvd_member *me = csvd_member_find(csvd, csvd->node);
	const char *address = csvd->config->address;
	struct guard_page *page = csvd->page;
	struct guard_secret secrets[2];

	if (address == NULL && me != NULL) {
		address = me->address;
	}
	csvd_secret_copy(csvd, secrets);
	if (address != NULL &&
	    (page->seq == 0 || page->seq % 2 == 1 ||
	     strcmp(address, page->address) != 0 ||
	     memcmp(secrets, page->secrets, sizeof(secrets)) != 0))
	{
		page->seq |= 1;
		strlcpy(page->address, address, sizeof(page->address));
		memcpy(page->secrets, secrets, sizeof(secrets));
		page->node = csvd->node;
		page->seq++;
	}
	explicit_bzero(secrets, sizeof(secrets));
}

/* What is mounted there: the last of that mount point counts. */
static void client_device(const char *path, char *device, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m = NULL;

	device[0] = '\0';
	if (mounts == NULL) {
		return;
	}
	while ((m = getmntent(mounts)) != NULL) {
		if (strcmp(m->mnt_dir, path) == 0 && m->mnt_fsname[0] == '/') {
			strlcpy(device, m->mnt_fsname, size);
		}
	}
	endmntent(mounts);
}

static bool client_send(int fd,
			const struct guard_message *m,
			const int *fds,
			size_t num)
{
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(2 * sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = discard_const_p(void, m),
			    .iov_len = sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = NULL;

	if (num > 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(num * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num * sizeof(int));
		memcpy(CMSG_DATA(c), fds, num * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)sizeof(*m);
}

/* The answer to exactly this message; others are of a worker before us. */
static int client_answer(int fd, uint32_t seq, uint64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct guard_message m;
	uint64_t now;
	ssize_t n;

	for (;;) {
		n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);
		if (n == sizeof(m) && m.seq == seq) {
			return m.result;
		}
		if (n > 0) {
			continue;
		}
		now = guard_now();
		if (now >= deadline) {
			return ETIMEDOUT;
		}
		(void)poll(&pfd, 1, (int)(deadline - now));
	}
}

static int client_call(struct csvd_volume *v,
		       struct guard_message *m,
		       const int *fds,
		       size_t num)
{
	struct csvd_context *csvd = v->csvd;

	strlcpy(m->name, v->name, sizeof(m->name));
	m->seq = ++csvd->guard_seq;
	if (!client_send(csvd->guard_fd, m, fds, num)) {
		return errno;
	}
	return client_answer(csvd->guard_fd,
			     m->seq,
			     guard_now() + CLIENT_ANSWER_MS);
}

int csvd_guard_hold(struct csvd_volume *v)
{
	struct guard_message m = {.type = GUARD_MESSAGE_HOLD,
				  .epoch = v->rec->epoch};
	char *path = csvd_string(v, &v->config->mount_point);
	int fds[2] = {v->rootfd, -1};
	size_t num = 1;
	int ret;

	if (strlen(v->name) >= sizeof(m.name) ||
	    strlcpy(m.path, path, sizeof(m.path)) >= sizeof(m.path))
	{
		talloc_free(path);
		return ENAMETOOLONG;
	}
	client_device(path, m.device, sizeof(m.device));
	talloc_free(path);
	if (m.device[0] != '\0') {
		fds[1] = open(m.device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		num = fds[1] != -1 ? 2 : 1;
	}
	ret = client_call(v, &m, fds, num);
	if (fds[1] != -1) {
		close(fds[1]);
	}
	if (ret == ENOTSUP && (v->csvd->page->watchdog_open ||
			       v->config->fence_agent.length > 0))
	{
		DBG_NOTICE("volume %s: its file system cannot be shut down by "
			   "the guard; fencing or the watchdog protects it\n",
			   v->name);
		ret = 0;
	}
	if (ret == ENOTSUP) {
		DBG_ERR("volume %s: its file system cannot be shut down: a "
			"fence agent or a watchdog device is needed\n",
			v->name);
	}
	return ret;
}

int csvd_guard_prepare(struct csvd_volume *v)
{
	struct guard_message m = {.type = GUARD_MESSAGE_PREPARE};
	int ret;

	if (v->config->shared || v->rec == NULL) {
		return 0;
	}
	m.epoch = v->rec->epoch;
	ret = client_call(v, &m, NULL, 0);
	if (ret != 0) {
		DBG_WARNING("volume %s: no answer of the guard: %s\n",
			    v->name,
			    strerror(ret));
	}
	return ret;
}

void csvd_guard_drop(struct csvd_volume *v)
{
	struct guard_message m = {.type = GUARD_MESSAGE_DROP};
	int ret;

	if (v->config->shared) {
		return;
	}
	ret = client_call(v, &m, NULL, 0);
	if (ret != 0) {
		DBG_WARNING("volume %s: the guard does not let go: %s\n",
			    v->name,
			    strerror(ret));
	}
}

bool csvd_guard_has_shut(const struct csvd_volume *v)
{
	const struct guard_slot *slot =
		guard_slot_find(v->csvd->page, v->name);

	return slot != NULL && v->rec != NULL &&
	       slot->epoch == v->rec->epoch &&
	       (slot->state == GUARD_SHUTTING || slot->state == GUARD_SHUT);
}
