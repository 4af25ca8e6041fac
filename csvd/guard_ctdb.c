/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asks ctdbd for its node map and recovery mode, without ever waiting. Samba's
 * own client waits without limit in a recovery, and ends its process when
 * ctdbd goes.
 */
#include "includes.h"
#include <sys/syscall.h>
#include <sys/un.h>
#include "ctdb/include/ctdb_protocol.h"
#include "csvd/guard_ctdb.h"

#define GUARD_CTDB_NODEMAP 1 /* request ids */
#define GUARD_CTDB_RECMODE 2
#define GUARD_CTDB_PID 3
#define GUARD_CTDB_PNN 4

void guard_ctdb_init(struct guard_ctdb *c, const char *path)
{
	c->path = path;
	c->fd = -1;
	c->pidfd = -1;
	c->node = -1;
	c->have = 0;
	c->asked = 0;
}

static void ctdb_close(struct guard_ctdb *c)
{
	if (c->fd != -1) {
		close(c->fd);
	}
	c->fd = -1;
	c->have = 0;
}

static void ctdb_pid(struct guard_ctdb *c, int32_t pid)
{
	if (c->pidfd != -1) {
		close(c->pidfd);
	}
	c->pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;
}

void guard_ctdb_end(struct guard_ctdb *c)
{
	if (c->pidfd != -1) {
		(void)syscall(SYS_pidfd_send_signal,
			      c->pidfd,
			      SIGKILL,
			      NULL,
			      0);
	}
	ctdb_pid(c, 0);
}

static void ctdb_gone(struct guard_ctdb *c, struct guard_sight *s)
{
	ctdb_close(c);
	if (s->gone == 0) {
		s->gone = s->now;
	}
}

static bool ctdb_ask(struct guard_ctdb *c, uint32_t opcode, uint32_t id)
{
	const size_t length = offsetof(struct ctdb_req_control_old, data);
	struct ctdb_req_control_old r = {
		.hdr = {.length = length,
			.ctdb_magic = CTDB_MAGIC,
			.ctdb_version = CTDB_PROTOCOL,
			.operation = CTDB_REQ_CONTROL,
			.destnode = CTDB_CURRENT_NODE,
			.reqid = id},
		.opcode = opcode,
	};

	return send(c->fd, &r, length, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)length;
}

void guard_ctdb_elect(struct guard_ctdb *c)
{
	const uint32_t unknown = CTDB_UNKNOWN_PNN;
	const size_t length = offsetof(struct ctdb_req_message_old, data);
	union {
		struct ctdb_req_message_old r;
		uint8_t buf[sizeof(struct ctdb_req_message_old) +
			    sizeof(unknown)];
	} m = {
		.r = {.hdr = {.length = length + sizeof(unknown),
			      .ctdb_magic = CTDB_MAGIC,
			      .ctdb_version = CTDB_PROTOCOL,
			      .operation = CTDB_REQ_MESSAGE,
			      .destnode = CTDB_BROADCAST_CONNECTED},
		      .srvid = CTDB_SRVID_LEADER,
		      .datalen = sizeof(unknown)},
	};

	ssize_t n;

	memcpy(m.buf + length, &unknown, sizeof(unknown));
	if (c->fd == -1) {
		return;
	}
	n = send(c->fd, m.buf, m.r.hdr.length, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0 && n < (ssize_t)m.r.hdr.length) {
		ctdb_close(c); /* the rest would be missing for ever */
	}
}

static bool ctdb_connect(struct guard_ctdb *c, struct guard_sight *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strlcpy(addr.sun_path, c->path, sizeof(addr.sun_path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1) {
		return false;
	}
	if (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		s->gone = 0;
		return ctdb_ask(c, CTDB_CONTROL_GET_PID, GUARD_CTDB_PID);
	}
	if (errno == ECONNREFUSED || errno == ENOENT) {
		ctdb_gone(c, s);
	}
	ctdb_close(c); /* EAGAIN: it does not accept, but is there */
	return false;
}

static void ctdb_got_nodes(const struct ctdb_reply_control_old *r,
			   int64_t node,
			   struct guard_sight *s)
{
	const size_t head = offsetof(struct ctdb_node_map_old, nodes);
	const struct ctdb_node_map_old *map =
		(const struct ctdb_node_map_old *)r->data;
	const struct ctdb_node_and_flags *nf = NULL;
	uint32_t i, active = 0, total = 0;

	if (node == -1 || r->datalen < head ||
	    map->num > (r->datalen - head) / sizeof(map->nodes[0]))
	{
		return;
	}
	s->flags = NODE_FLAGS_DELETED; /* if we are not in it */
	for (i = 0; i < map->num; i++) {
		nf = &map->nodes[i];
		if (nf->pnn == node) {
			s->flags = nf->flags;
		}
		total += (nf->flags & NODE_FLAGS_DELETED) == 0 ? 1 : 0;
		active += (nf->flags & NODE_FLAGS_INACTIVE) == 0 ? 1 : 0;
	}
	s->total = total;
	s->active = active;
	s->answered = s->now;
}

static void ctdb_got(struct guard_ctdb *c,
		     const struct ctdb_req_header *hdr,
		     struct guard_sight *s)
{
	const struct ctdb_reply_control_old *r =
		(const struct ctdb_reply_control_old *)hdr;
	const size_t head = offsetof(struct ctdb_reply_control_old, data);

	if (hdr->operation != CTDB_REPLY_CONTROL || hdr->length < head ||
	    r->datalen > hdr->length - head)
	{
		return;
	}
	if (hdr->reqid == GUARD_CTDB_PID) {
		ctdb_pid(c, r->status);
	} else if (hdr->reqid == GUARD_CTDB_PNN) {
		c->node = r->status;
	} else if (hdr->reqid == GUARD_CTDB_RECMODE) {
		if (r->status == CTDB_RECOVERY_NORMAL) {
			s->recovery = 0;
		} else if (s->recovery == 0) {
			s->recovery = s->now;
		}
	} else if (hdr->reqid == GUARD_CTDB_NODEMAP && r->status == 0) {
		ctdb_got_nodes(r, c->node, s);
	}
}

static void ctdb_packets(struct guard_ctdb *c, struct guard_sight *s)
{
	struct ctdb_req_header *hdr = (struct ctdb_req_header *)c->buf;

	while (c->have >= sizeof(*hdr)) {
		if (hdr->length < sizeof(*hdr) || hdr->length > sizeof(c->buf))
		{
			ctdb_close(c); /* none of ours: silent from now on */
			return;
		}
		if (c->have < hdr->length) {
			return;
		}
		ctdb_got(c, hdr, s);
		c->have -= hdr->length;
		memmove(c->buf, c->buf + hdr->length, c->have);
	}
}

static void ctdb_read(struct guard_ctdb *c, struct guard_sight *s)
{
	ssize_t n;

	while (c->fd != -1) {
		n = recv(c->fd,
			 c->buf + c->have,
			 sizeof(c->buf) - c->have,
			 MSG_DONTWAIT);
		if (n > 0) {
			c->have += n;
			ctdb_packets(c, s);
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			ctdb_gone(c, s);
		}
		return;
	}
}

void guard_ctdb_look(struct guard_ctdb *c, struct guard_sight *s)
{
	if (c->fd != -1) {
		ctdb_read(c, s);
	}
	/* at most one question of each kind per round */
	if (s->now - c->asked < GUARD_POLL_MS) {
		return;
	}
	c->asked = s->now;
	if (c->fd == -1 && !ctdb_connect(c, s)) {
		return;
	}
	if ((c->node == -1 &&
	     !ctdb_ask(c, CTDB_CONTROL_GET_PNN, GUARD_CTDB_PNN)) ||
	    !ctdb_ask(c, CTDB_CONTROL_GET_NODEMAP, GUARD_CTDB_NODEMAP) ||
	    !ctdb_ask(c, CTDB_CONTROL_GET_RECMODE, GUARD_CTDB_RECMODE))
	{
		/* full (it does not read), or broken: both are seen by time */
		if (errno != EAGAIN) {
			ctdb_gone(c, s);
		}
	}
}
