/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The line to the node's csvd: attach volumes, hear of their states, answer
 * when down-level handles are closed. See control.h for the rules.
 */
#include "replace.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "control.h"
#include "lib/util/dlinklist.h"
#include "librpc/ndr/libndr.h"
#include "gen_ndr/ndr_csv.h"

#define CSV_CONTROL_PACKET 65536
/* An older csvd sends fewer fields: the last ones are 0 then. */
#define CSV_CONTROL_NEWER 64
#define CSV_CONTROL_RETRY_MS 200

struct csv_attachment {
	struct csv_attachment *prev, *next;
	struct csv_control *control; /* NULL: detached */
	struct csv_control_volume p; /* p.name belongs to the attachment */
	struct csv_volume *vol;	     /* NULL until csvd answered */
	bool refused;
	uint32_t refused_error;
};

struct csv_control {
	struct tevent_context *ev;
	char *path;
	int fd;
	struct tevent_fd *fde;
	struct tevent_timer *retry;
	struct csv_attachment *attachments;
	void (*wait_fn)(void);
	uint16_t max_dialect, drain; /* csvd's last CSV_CONTROL_NODE */
	uint8_t packet[CSV_CONTROL_PACKET + CSV_CONTROL_NEWER];
};

static void csv_control_connect(struct csv_control *c);
static void csv_control_read(struct csv_control *c);

static void csv_control_wake(void *private_data)
{
	struct csv_control *c = private_data;

	if (c->wait_fn != NULL) {
		c->wait_fn();
	}
	if (c->fd == -1) {
		csv_control_connect(c);
	}
	if (c->fd != -1) {
		csv_control_read(c);
	}
}

static void csv_control_handler(struct tevent_context *ev,
				struct tevent_fd *fde,
				uint16_t flags,
				void *private_data)
{
	struct csv_control *c = private_data;

	(void)ev;
	(void)fde;
	(void)flags;
	csv_control_read(c);
}

static void csv_control_set_fd(struct csv_control *c, int fd)
{
	struct csv_attachment *a = NULL;

	c->fd = fd;
	for (a = c->attachments; a != NULL; a = a->next) {
		if (a->vol != NULL) {
			csv_volume_set_wake_fd(a->vol, fd);
		}
	}
}

static void csv_control_retry(struct tevent_context *ev,
			      struct tevent_timer *te,
			      struct timeval now,
			      void *private_data)
{
	struct csv_control *c = private_data;

	(void)ev;
	(void)te;
	(void)now;
	c->retry = NULL;
	csv_control_connect(c);
}

static void csv_control_arm_retry(struct csv_control *c)
{
	if (c->retry != NULL) {
		return;
	}
	c->retry = tevent_add_timer(
		c->ev,
		c,
		tevent_timeval_current_ofs(0, CSV_CONTROL_RETRY_MS * 1000),
		csv_control_retry,
		c);
}

static void csv_control_disconnect(struct csv_control *c)
{
	TALLOC_FREE(c->fde);
	if (c->fd != -1) {
		close(c->fd);
	}
	csv_control_set_fd(c, -1);
	csv_control_arm_retry(c);
}

static void csv_bytes_set(struct csv_bytes *b, const char *text)
{
	b->data = discard_const_p(uint8_t, text);
	b->length = text != NULL ? strlen(text) : 0;
}

static void csv_control_send(struct csv_control *c,
			     struct csv_control_msg *msg)
{
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	ssize_t n;

	if (c->fd == -1) {
		return;
	}
	msg->version = CSV_CONTROL_VERSION;
	err = ndr_push_struct_blob(
		&blob,
		c,
		msg,
		(ndr_push_flags_fn_t)ndr_push_csv_control_msg);
	if (!NDR_ERR_CODE_IS_SUCCESS(err)) {
		return;
	}
	n = send(c->fd, blob.data, blob.length, MSG_NOSIGNAL);
	data_blob_free(&blob);
	if (n == -1) {
		csv_control_disconnect(c);
	}
}

static void csv_control_send_attach(struct csv_attachment *a)
{
	struct csv_control_msg msg = { .type = CSV_CONTROL_ATTACH };

	csv_bytes_set(&msg.volume, a->p.name);
	if (a->vol != NULL &&
	    csv_volume_access(a->vol) == CSV_ACCESS_DIRECT)
	{
		msg.held_epoch = csv_volume_epoch(a->vol);
	}
	csv_control_send(a->control, &msg);
}

/*
 * csvd takes root's connections only, and this may run while the process is
 * somebody else.
 */
static int csv_control_open(struct csv_control *c)
{
	const struct csv_privilege *priv = NULL;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		return -1;
	}
	if (c->attachments != NULL) {
		priv = c->attachments->p.priv;
	}
	strlcpy(sun.sun_path, c->path, sizeof(sun.sun_path));
	if (priv != NULL) {
		priv->raise();
	}
	ret = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	if (priv != NULL) {
		priv->drop();
	}
	if (ret == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static void csv_control_connect(struct csv_control *c)
{
	struct csv_attachment *a = NULL;
	int fd = csv_control_open(c);

	if (fd == -1) {
		csv_control_arm_retry(c);
		return;
	}
	TALLOC_FREE(c->retry);
	csv_control_set_fd(c, fd);
	c->fde = tevent_add_fd(
		c->ev, c, fd, TEVENT_FD_READ, csv_control_handler, c);
	for (a = c->attachments; a != NULL && c->fd != -1; a = a->next) {
		csv_control_send_attach(a);
	}
}

/* csvd waits for this word about the present epoch. */
static void csv_attachment_tell(struct csv_attachment *a,
				enum csv_control_type type)
{
	struct csv_control_msg msg = { .type = type };

	if (a->control == NULL) {
		return;
	}
	msg.epoch = csv_volume_epoch(a->vol);
	csv_bytes_set(&msg.volume, a->p.name);
	csv_control_send(a->control, &msg);
}

static void csv_attachment_drained(struct csv_volume *vol, void *private_data)
{
	(void)vol;
	csv_attachment_tell(private_data, CSV_CONTROL_DRAINED);
}

static void csv_attachment_replayed(struct csv_volume *vol, void *private_data)
{
	(void)vol;
	csv_attachment_tell(private_data, CSV_CONTROL_REPLAYED);
}

static void csv_attachment_state(struct csv_volume *vol,
				 enum csv_state old_state,
				 enum csv_state new_state,
				 void *private_data)
{
	struct csv_attachment *a = private_data;

	if (a->p.state_fn != NULL) {
		a->p.state_fn(vol, old_state, new_state, a->p.private_data);
	}
}

/* csvd's first answer brings what the volume is made of. */
static int csv_attachment_create_volume(struct csv_attachment *a,
					const struct csv_control_msg *msg)
{
	struct csv_control *c = a->control;
	struct csv_volume_params params = {
		.ev = c->ev,
		.name = a->p.name,
		.wait_limit_s = msg->wait_limit_s,
		.priv = a->p.priv,
		.state_fn = csv_attachment_state,
		.drained_fn = csv_attachment_drained,
		.replayed_fn = csv_attachment_replayed,
		.private_data = a,
		.wake_fd = c->fd,
		.wake_fn = csv_control_wake,
		.wake_private = c,
	};
	struct GUID_ndr_buf guid = {};

	if (a->p.wait_limit_s != 0) {
		params.wait_limit_s = a->p.wait_limit_s;
	}
	GUID_to_ndr_buf(&msg->uuid, &guid);
	memcpy(params.uuid, guid.buf, sizeof(params.uuid));
	return csv_volume_create(a, &params, &a->vol);
}

static void csv_attachment_event(struct csv_attachment *a,
				 const struct csv_control_msg *msg,
				 int fd)
{
	struct csv_target target = {
		.access = msg->access,
		.epoch = msg->epoch,
		.owner = msg->owner,
		.rootfd = fd,
		.port = msg->port,
		.local_node = msg->local_node,
		.plain = msg->plain,
		.clean = msg->clean,
		.grace = msg->grace,
	};
	char *address = NULL;
	char *identity = NULL;

	if (a->vol == NULL && csv_attachment_create_volume(a, msg) != 0) {
		return;
	}
	if (msg->event != CSV_EVENT_TARGET) {
		csv_volume_event(a->vol, msg->event, NULL);
		return;
	}
	if (target.access == CSV_ACCESS_DIRECT && fd == -1) {
		return;
	}
	address = talloc_strndup(a,
				 (const char *)msg->address.data,
				 msg->address.length);
	identity = talloc_strndup(a,
				  (const char *)msg->psk_identity.data,
				  msg->psk_identity.length);
	target.address = address;
	target.psk_identity = identity;
	memcpy(target.psk, msg->psk, sizeof(target.psk));
	csv_volume_event(a->vol, CSV_EVENT_TARGET, &target);
	explicit_bzero(target.psk, sizeof(target.psk));
	talloc_free(address);
	talloc_free(identity);
}

static struct csv_attachment *csv_control_find(struct csv_control *c,
					       const struct csv_bytes *name)
{
	struct csv_attachment *a = NULL;

	for (a = c->attachments; a != NULL; a = a->next) {
		if (strlen(a->p.name) == name->length &&
		    memcmp(a->p.name, name->data, name->length) == 0)
		{
			return a;
		}
	}
	return NULL;
}

static void csv_control_message(struct csv_control *c,
				const struct csv_control_msg *msg,
				int fd)
{
	struct csv_attachment *a = csv_control_find(c, &msg->volume);

	if (msg->type == CSV_CONTROL_NODE) {
		c->max_dialect = msg->max_dialect;
		c->drain = msg->drain;
		return;
	}
	if (a == NULL || msg->event >= CSV_NUM_EVENTS) {
		return;
	}
	if (msg->type == CSV_CONTROL_REFUSED) {
		a->refused = true;
		a->refused_error = msg->error != 0 ? msg->error : EINVAL;
		return;
	}
	if (msg->type == CSV_CONTROL_STATE) {
		csv_attachment_event(a, msg, fd);
	}
}

static int csv_control_fd_of(struct msghdr *mh)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh);
	int fd = -1;

	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET &&
	    cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(fd)))
	{
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	}
	return fd;
}

/* One packet. False: nothing there, or csvd is gone. */
static bool csv_control_read_one(struct csv_control *c)
{
	union {
		struct cmsghdr align;
		uint8_t buf[CMSG_SPACE(sizeof(int))];
	} cmsg = {};
	struct iovec iov = { c->packet, CSV_CONTROL_PACKET };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = cmsg.buf,
		.msg_controllen = sizeof(cmsg.buf),
	};
	struct csv_control_msg msg = {};
	TALLOC_CTX *frame = NULL;
	DATA_BLOB blob = {};
	enum ndr_err_code err;
	ssize_t n;
	int fd;

	n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (n <= 0) {
		csv_control_disconnect(c);
		return false;
	}
	fd = csv_control_fd_of(&mh);
	frame = talloc_new(c);
	memset(c->packet + n, 0, CSV_CONTROL_NEWER);
	blob = data_blob_const(c->packet, n + CSV_CONTROL_NEWER);
	err = ndr_pull_struct_blob(
		&blob,
		frame,
		&msg,
		(ndr_pull_flags_fn_t)ndr_pull_csv_control_msg);
	if (NDR_ERR_CODE_IS_SUCCESS(err) && !(mh.msg_flags & MSG_TRUNC)) {
		csv_control_message(c, &msg, fd);
	}
	explicit_bzero(&msg.psk, sizeof(msg.psk));
	explicit_bzero(c->packet, n);
	talloc_free(frame);
	if (fd != -1) {
		close(fd);
	}
	return true;
}

static void csv_control_read(struct csv_control *c)
{
	while (c->fd != -1 && csv_control_read_one(c)) {
		;
	}
}

static int csv_control_destructor(struct csv_control *c)
{
	while (c->attachments != NULL) {
		struct csv_attachment *a = c->attachments;

		DLIST_REMOVE(c->attachments, a);
		a->control = NULL;
	}
	TALLOC_FREE(c->fde);
	if (c->fd != -1) {
		close(c->fd);
		c->fd = -1;
	}
	return 0;
}

int csv_control_create(TALLOC_CTX *mem_ctx,
		       struct tevent_context *ev,
		       const char *path,
		       struct csv_control **control)
{
	struct csv_control *c = talloc_zero(mem_ctx, struct csv_control);

	if (c == NULL) {
		return ENOMEM;
	}
	c->ev = ev;
	c->fd = -1;
	c->path = talloc_strdup(c, path != NULL ? path : CSV_CONTROL_SOCKET);
	if (c->path == NULL) {
		talloc_free(c);
		return ENOMEM;
	}
	talloc_set_destructor(c, csv_control_destructor);
	csv_control_connect(c);
	*control = c;
	return 0;
}

void csv_control_set_wait_fn(struct csv_control *control,
			     void (*wait_fn)(void))
{
	control->wait_fn = wait_fn;
}

static int csv_attachment_destructor(struct csv_attachment *a)
{
	struct csv_control_msg msg = { .type = CSV_CONTROL_DETACH };

	if (a->control == NULL) {
		return 0;
	}
	csv_bytes_set(&msg.volume, a->p.name);
	csv_control_send(a->control, &msg);
	DLIST_REMOVE(a->control->attachments, a);
	a->control = NULL;
	return 0;
}

static uint64_t control_now_ms(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int csv_attachment_wait(struct csv_attachment *a, unsigned timeout_ms)
{
	struct csv_control *c = a->control;
	uint64_t end = control_now_ms() + timeout_ms;

	while (a->vol == NULL && !a->refused) {
		struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
		uint64_t now = control_now_ms();

		if (now >= end) {
			return ETIMEDOUT;
		}
		poll(&pfd, 1, MIN(end - now, CSV_CONTROL_RETRY_MS));
		csv_control_wake(c);
	}
	return a->refused ? (int)a->refused_error : 0;
}

int csv_control_attach(struct csv_control *control,
		       TALLOC_CTX *mem_ctx,
		       const struct csv_control_volume *params,
		       unsigned timeout_ms,
		       struct csv_volume **vol)
{
	struct csv_bytes name = {};
	struct csv_attachment *a = NULL;
	int ret;

	csv_bytes_set(&name, params->name);
	if (name.length == 0 || name.length > CSV_VOLUME_NAME_MAX) {
		return EINVAL;
	}
	if (csv_control_find(control, &name) != NULL) {
		return EBUSY;
	}
	a = talloc_zero(mem_ctx, struct csv_attachment);
	if (a == NULL) {
		return ENOMEM;
	}
	a->p = *params;
	a->p.name = talloc_strdup(a, params->name);
	a->control = control;
	DLIST_ADD(control->attachments, a);
	talloc_set_destructor(a, csv_attachment_destructor);
	csv_control_send_attach(a);
	ret = csv_attachment_wait(a, timeout_ms);
	if (ret != 0) {
		talloc_free(a);
		return ret;
	}
	/* from now on the volume is the parent: freeing it detaches */
	talloc_steal(mem_ctx, a->vol);
	talloc_steal(a->vol, a);
	*vol = a->vol;
	return 0;
}

uint16_t csv_control_max_dialect(const struct csv_control *control)
{
	return control->max_dialect;
}

unsigned csv_control_drain(const struct csv_control *control)
{
	return control->drain;
}
