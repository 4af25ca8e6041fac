/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server of the control socket. A process has direct access to a volume
 * from the moment when the descriptor of its root was sent until it says
 * DRAINED or DETACH, or is dead; a connection that ends does not prove that:
 * such a process is watched by its pidfd.
 */
#include "csvd/control_private.h"
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "csvd/members.h"
#include "csvd/node.h"
#include "csvd/publish.h"
#include "csvd/request.h"
#include "csvd/secret.h"
#include "gen_ndr/ndr_csv.h"

#define CONTROL_QUEUE_MAX 256

bool csvd_control_use_counts(const struct csvd_use *use,
			     const struct csvd_volume *v,
			     bool direct)
{
	return use->v == v && (use->direct || !direct);
}

unsigned csvd_control_volume_clients(struct csvd_volume *v, bool direct)
{
	struct csvd_client *c = NULL;
	struct csvd_use *use = NULL;
	unsigned n = 0;

	for (c = v->csvd->control->clients; c != NULL; c = c->next) {
		for (use = c->uses; use != NULL; use = use->next) {
			n += csvd_control_use_counts(use, v, direct) ? 1 : 0;
		}
	}
	return n;
}

unsigned csvd_control_clients(struct csvd_context *csvd)
{
	struct csvd_client *c = NULL;
	unsigned n = 0;

	for (c = csvd->control->clients; c != NULL; c = c->next) {
		n += c->uses != NULL ? 1 : 0;
	}
	return n;
}

bool csvd_control_replayed(struct csvd_volume *v)
{
	struct csvd_client *c = NULL;
	struct csvd_use *use = NULL;

	if (v->state != CSV_STATE_ACTIVE) {
		return false;
	}
	for (c = v->csvd->control->clients; c != NULL; c = c->next) {
		for (use = c->uses; use != NULL; use = use->next) {
			if (use->v == v && c->fd != -1 &&
			    use->replayed_epoch != v->epoch)
			{
				return false;
			}
		}
	}
	return true;
}

static void control_replayed(struct csvd_use *use, uint64_t epoch)
{
	if (use == NULL) {
		return;
	}
	use->replayed_epoch = epoch;
	if (csvd_control_replayed(use->v)) {
		csvd_publish_node(use->v->csvd, false);
		csvd_evaluate_soon(use->v->csvd);
	}
}

static int control_packet_destructor(struct csvd_packet *p)
{
	if (p->fd != -1) {
		close(p->fd);
	}
	data_blob_clear_free(&p->blob);
	return 0;
}

static int control_client_destructor(struct csvd_client *c)
{
	TALLOC_FREE(c->fde);
	TALLOC_FREE(c->pid_fde);
	if (c->fd != -1) {
		close(c->fd);
	}
	if (c->pidfd != -1) {
		close(c->pidfd);
	}
	DLIST_REMOVE(c->csvd->control->clients, c);
	return 0;
}

static void control_client_free(struct csvd_client *c)
{
	struct csvd_control *control = c->csvd->control;

	talloc_free(c);
	csvd_control_let_go(control);
}

static void control_client_died(struct tevent_context *ev,
				struct tevent_fd *fde,
				uint16_t flags,
				void *private_data)
{
	control_client_free(private_data);
}

void csvd_control_await_death(struct csvd_client *c)
{
	if (c->pid_fde == NULL && c->pidfd != -1) {
		c->pid_fde = tevent_add_fd(c->csvd->ev,
					   c,
					   c->pidfd,
					   TEVENT_FD_READ,
					   control_client_died,
					   c);
	}
}

/* The connection ended. Direct access ends with the process only. */
static void control_client_eof(struct csvd_client *c)
{
	struct csvd_use *use = NULL, *next = NULL;

	TALLOC_FREE(c->fde);
	close(c->fd);
	c->fd = -1;
	for (use = c->uses; use != NULL; use = next) {
		next = use->next;
		if (!use->direct || c->pidfd == -1) {
			DLIST_REMOVE(c->uses, use);
			talloc_free(use);
		}
	}
	if (c->uses == NULL) {
		control_client_free(c);
		return;
	}
	csvd_control_await_death(c);
}

void csvd_control_kill(struct csvd_client *c)
{
	if (c->pidfd != -1) {
		(void)pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
	}
}

void csvd_control_end(struct csvd_context *csvd)
{
	struct csvd_client *c = NULL;

	for (c = csvd->control->clients; c != NULL; c = c->next) {
		if (c->uses != NULL) {
			csvd_control_kill(c);
		}
	}
}

static int control_send_packet(struct csvd_client *c, struct csvd_packet *p)
{
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = {p->blob.data, p->blob.length};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg = NULL;
	ssize_t n;

	if (p->fd != -1) {
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &p->fd, sizeof(int));
	}
	n = sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == -1 ? errno : 0;
}

static void control_flush(struct csvd_client *c)
{
	struct csvd_packet *p = NULL;
	int ret;

	while (c->fd != -1 && (p = c->queue) != NULL) {
		ret = control_send_packet(c, p);
		if (ret == EAGAIN) {
			TEVENT_FD_WRITEABLE(c->fde);
			return;
		}
		DLIST_REMOVE(c->queue, p);
		talloc_free(p);
		c->queued--;
	}
	if (c->fde != NULL) {
		TEVENT_FD_NOT_WRITEABLE(c->fde);
	}
}

static void control_send(struct csvd_client *c,
			 const struct csv_control_msg *msg,
			 int fd)
{
	struct csvd_packet *p = talloc_zero(c, struct csvd_packet);
	enum ndr_err_code err;

	if (p == NULL || c->fd == -1) {
		talloc_free(p);
		return;
	}
	p->fd = -1;
	talloc_set_destructor(p, control_packet_destructor);
	err = ndr_push_struct_blob(
		&p->blob,
		p,
		msg,
		(ndr_push_flags_fn_t)ndr_push_csv_control_msg);
	if (fd != -1) {
		p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	if (!NDR_ERR_CODE_IS_SUCCESS(err) || (fd != -1 && p->fd == -1)) {
		talloc_free(p);
		return;
	}
	DLIST_ADD_END(c->queue, p);
	if (++c->queued > CONTROL_QUEUE_MAX) {
		DBG_ERR("process %d does not read its socket, killing it\n",
			(int)c->pid);
		csvd_control_kill(c);
		return;
	}
	control_flush(c);
}

void csvd_control_reply(struct csvd_client *client, const char *text)
{
	struct csv_control_msg msg = {
		.version = CSV_CONTROL_VERSION,
		.type = CSV_CONTROL_REPLY,
		.text = csvd_bytes(text),
	};

	control_send(client, &msg, -1);
}

static int control_redirected(struct csvd_volume *v,
			      struct csv_control_msg *msg,
			      char identity[CSV_PSK_IDENTITY_MAX])
{
	const struct csvd_member *m =
		csvd_member_find(v->csvd, v->rec->owner);

	if (m == NULL || m->info == NULL) {
		return ENXIO;
	}
	msg->address = m->info->address;
	msg->port = m->info->port;
	msg->plain = m->info->plain;
	return csvd_secret_psk(v->csvd, v->rec->owner, msg->psk, identity);
}

static void control_state(struct csvd_use *use, enum csv_event event)
{
	struct csvd_volume *v = use->v;
	struct csv_control_msg msg = {
		.version = CSV_CONTROL_VERSION,
		.type = CSV_CONTROL_STATE,
		.volume = csvd_bytes(v->name),
		.epoch = v->epoch,
		.event = event,
		.access = v->access,
		.owner = v->owner,
		.local_node = v->csvd->node,
		.uuid = v->config->uuid,
		.wait_limit_s = v->config->wait_limit_s,
	};
	char identity[CSV_PSK_IDENTITY_MAX] = {};
	int fd = -1;

	if (event == CSV_EVENT_TARGET) {
		msg.clean = v->rec != NULL && v->rec->previous_clean;
		if (v->access == CSV_ACCESS_DIRECT) {
			fd = v->rootfd;
			msg.grace = v->grace;
			use->direct = true;
		} else if (control_redirected(v, &msg, identity) != 0) {
			return;
		}
		msg.psk_identity = csvd_bytes(identity);
	}
	control_send(use->client, &msg, fd);
	explicit_bzero(msg.psk, sizeof(msg.psk));
}

void csvd_control_event(struct csvd_volume *v, enum csv_event event)
{
	struct csvd_client *c = NULL, *next = NULL;
	struct csvd_use *use = NULL;
	bool here = event == CSV_EVENT_TARGET || event == CSV_EVENT_READY;

	if (event == CSV_EVENT_READY && v->grace) {
		return; /* comes when that is over */
	}
	for (c = v->csvd->control->clients; c != NULL; c = next) {
		next = c->next;
		for (use = c->uses; use != NULL; use = use->next) {
			if (use->v != v) {
				continue;
			}
			/* it went on with what it had during our restart */
			if (here && use->held_epoch == v->epoch &&
			    v->access == CSV_ACCESS_DIRECT)
			{
				continue;
			}
			if (!here) {
				use->held_epoch = 0;
			}
			control_state(use, event);
		}
	}
}

static void control_node(struct csvd_client *c)
{
	struct csv_control_msg msg = {
		.version = CSV_CONTROL_VERSION,
		.type = CSV_CONTROL_NODE,
		.max_dialect = c->csvd->max_dialect,
		.drain = csvd_node_drain(c->csvd, c->csvd->node),
	};

	control_send(c, &msg, -1);
}

void csvd_control_node(struct csvd_context *csvd)
{
	struct csvd_client *c = NULL, *next = NULL;

	for (c = csvd->control->clients; c != NULL; c = next) {
		next = c->next;
		if (c->uses != NULL) {
			control_node(c);
		}
	}
}

void csvd_control_new_key(struct csvd_context *csvd)
{
	struct csvd_volume *v = NULL;

	for (v = csvd->volumes; v != NULL; v = v->next) {
		if (v->state == CSV_STATE_ACTIVE &&
		    v->access == CSV_ACCESS_REDIRECTED)
		{
			csvd_control_event(v, CSV_EVENT_TARGET);
			csvd_control_event(v, CSV_EVENT_READY);
		}
	}
}

void csvd_control_forget(struct csvd_volume *v)
{
	struct csvd_client *c = NULL;
	struct csvd_use *use = NULL, *next = NULL;

	for (c = v->csvd->control->clients; c != NULL; c = c->next) {
		for (use = c->uses; use != NULL; use = next) {
			next = use->next;
			if (use->v == v) {
				DLIST_REMOVE(c->uses, use);
				talloc_free(use);
			}
		}
	}
}

/* What a process hears first: as if it had been there all the time. */
static void control_tell_all(struct csvd_use *use)
{
	struct csvd_volume *v = use->v;
	bool held = use->held_epoch != 0 && v->rec != NULL &&
		    use->held_epoch == v->rec->epoch &&
		    v->rec->owner == v->csvd->node &&
		    v->rec->incarnation == v->csvd->incarnation &&
		    v->state != CSV_STATE_DRAINING;

	if (held) {
		use->direct = true;
		use->replayed_epoch = use->held_epoch;
		return;
	}
	/* of another epoch: it must not touch it any more */
	if (use->held_epoch != 0) {
		control_state(use, CSV_EVENT_LOST);
		use->held_epoch = 0;
	}
	switch (v->state) {
	case CSV_STATE_ACTIVE:
		control_state(use, CSV_EVENT_TARGET);
		if (!v->grace) {
			control_state(use, CSV_EVENT_READY);
		}
		break;
	case CSV_STATE_INIT:
		control_state(use, CSV_EVENT_FAILED);
		break;
	default:
		control_state(use, CSV_EVENT_LOST);
		break;
	}
}

static struct csvd_use *control_find_use(struct csvd_client *c,
					 const struct csv_bytes *name)
{
	struct csvd_use *use = NULL;

	for (use = c->uses; use != NULL; use = use->next) {
		if (csvd_bytes_equal(name, use->v->name)) {
			return use;
		}
	}
	return NULL;
}

/* A process that connects again after its connection ended while it lived. */
static void control_adopt(struct csvd_client *c)
{
	struct csvd_client *old = NULL, *next = NULL;

	for (old = c->csvd->control->clients; old != NULL; old = next) {
		next = old->next;
		if (old != c && old->fd == -1 && old->pid == c->pid) {
			talloc_free(old);
		}
	}
}

static void control_attach(struct csvd_client *c,
			   const struct csv_control_msg *msg)
{
	char *name = csvd_string(c, &msg->volume);
	struct csvd_volume *v = csvd_volume_find(c->csvd, name);
	struct csvd_use *use = NULL;
	struct csv_control_msg no = {
		.version = CSV_CONTROL_VERSION,
		.type = CSV_CONTROL_REFUSED,
		.volume = msg->volume,
		.error = v == NULL ? ENOENT : EBUSY,
	};

	talloc_free(name);
	if (v == NULL || control_find_use(c, &msg->volume) != NULL) {
		control_send(c, &no, -1);
		return;
	}
	control_adopt(c);
	use = talloc_zero(c, struct csvd_use);
	if (use == NULL) {
		return;
	}
	use->client = c;
	use->v = v;
	use->held_epoch = msg->held_epoch;
	DLIST_ADD(c->uses, use);
	control_node(c); /* first: the volume's state ends its wait */
	control_tell_all(use);
}

static void control_let_go_of(struct csvd_client *c,
			      const struct csv_control_msg *msg)
{
	struct csvd_use *use = control_find_use(c, &msg->volume);

	if (use == NULL) {
		return;
	}
	if (msg->type == CSV_CONTROL_DETACH) {
		DLIST_REMOVE(c->uses, use);
		talloc_free(use);
	} else if (use->v->state != CSV_STATE_ACTIVE) {
		/* when Active again, it has a new descriptor by now */
		use->direct = false;
	}
	csvd_control_let_go(c->csvd->control);
}

static void control_request(struct csvd_client *c,
			    const struct csv_control_msg *msg)
{
	char *reply = csvd_request(c->csvd,
				   c,
				   (const char *)msg->text.data,
				   msg->text.length);

	csvd_control_reply(c, reply);
	talloc_free(reply);
}

static void control_message(struct csvd_client *c,
			    const struct csv_control_msg *msg)
{
	switch (msg->type) {
	case CSV_CONTROL_ATTACH:
		control_attach(c, msg);
		break;
	case CSV_CONTROL_DETACH:
	case CSV_CONTROL_DRAINED:
		control_let_go_of(c, msg);
		break;
	case CSV_CONTROL_REPLAYED:
		control_replayed(control_find_use(c, &msg->volume), msg->epoch);
		break;
	case CSV_CONTROL_REQUEST:
		control_request(c, msg);
		break;
	default:
		break;
	}
}

static void control_client_read(struct csvd_client *c)
{
	struct csvd_control *control = c->csvd->control;
	struct csv_control_msg *msg = NULL;
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	ssize_t n;

	n = recv(c->fd, control->packet, CONTROL_PACKET, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		control_client_eof(c);
		return;
	}
	msg = talloc_zero(control, struct csv_control_msg);
	if (msg == NULL) {
		return;
	}
	memset(control->packet + n, 0, CONTROL_NEWER);
	blob = data_blob_const(control->packet, n + CONTROL_NEWER);
	err = ndr_pull_struct_blob(
		&blob,
		msg,
		msg,
		(ndr_pull_flags_fn_t)ndr_pull_csv_control_msg);
	if (NDR_ERR_CODE_IS_SUCCESS(err) &&
	    msg->version == CSV_CONTROL_VERSION) {
		control_message(c, msg);
	} else {
		DBG_WARNING("process %d: malformed message, ignored\n",
			    (int)c->pid);
	}
	talloc_free(msg);
}

static void control_client_event(struct tevent_context *ev,
				 struct tevent_fd *fde,
				 uint16_t flags,
				 void *private_data)
{
	struct csvd_client *c = private_data;

	if (flags & TEVENT_FD_WRITE) {
		control_flush(c);
	}
	if (flags & TEVENT_FD_READ) {
		control_client_read(c);
	}
}

static void control_accept(struct tevent_context *ev,
			   struct tevent_fd *fde,
			   uint16_t flags,
			   void *private_data)
{
	struct csvd_control *control = private_data;
	struct csvd_client *c = NULL;
	struct ucred cred = {};
	socklen_t length = sizeof(cred);
	int fd;

	fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd == -1) {
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) == -1 ||
	    cred.uid != 0)
	{
		DBG_WARNING("process %d of user %u may not talk to csvd\n",
			    (int)cred.pid,
			    (unsigned)cred.uid);
		close(fd);
		return;
	}
	c = talloc_zero(control, struct csvd_client);
	if (c == NULL) {
		close(fd);
		return;
	}
	c->csvd = control->csvd;
	c->fd = fd;
	c->pid = cred.pid;
	c->pidfd = pidfd_open(cred.pid, 0);
	DLIST_ADD(control->clients, c);
	talloc_set_destructor(c, control_client_destructor);
	c->fde = tevent_add_fd(control->csvd->ev,
			       c,
			       fd,
			       TEVENT_FD_READ,
			       control_client_event,
			       c);
	if (c->fde == NULL) {
		talloc_free(c);
	}
}

static int control_listen(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char *dir = NULL, *slash = NULL;
	int fd;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	dir = talloc_strdup(talloc_tos(), path);
	slash = dir != NULL ? strrchr(dir, '/') : NULL;
	if (slash != NULL) {
		*slash = '\0';
		(void)mkdir(dir, 0700);
	}
	TALLOC_FREE(dir);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		return -1;
	}
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(path, 0600) == -1 || listen(fd, 128) == -1)
	{
		close(fd);
		return -1;
	}
	return fd;
}

int csvd_control_start(struct csvd_context *csvd)
{
	struct csvd_control *control = talloc_zero(csvd, struct csvd_control);

	if (control == NULL) {
		return ENOMEM;
	}
	control->csvd = csvd;
	control->fd = control_listen(csvd->config->socket_path);
	if (control->fd == -1) {
		DBG_ERR("cannot listen on %s: %s\n",
			csvd->config->socket_path,
			strerror(errno));
		talloc_free(control);
		return errno;
	}
	csvd->control = control;
	control->fde = tevent_add_fd(csvd->ev,
				     control,
				     control->fd,
				     TEVENT_FD_READ,
				     control_accept,
				     control);
	return control->fde != NULL ? 0 : ENOMEM;
}
