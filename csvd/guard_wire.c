/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One message behind its length, over TLS, until a deadline.
 */
#include "csvd/guard_wire.h"
#include <poll.h>
#include "csvd/guard.h"
#include "gen_ndr/ndr_csv.h"

static int wire_wait(int fd, short events, uint64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	uint64_t now = guard_now();

	if (now >= deadline || poll(&pfd, 1, (int)(deadline - now)) == 0) {
		return ETIMEDOUT;
	}
	return 0; /* also an error or a signal: the next call tells */
}

int guard_wire_handshake(struct csv_tls *tls, uint64_t deadline)
{
	struct csv_transport *t = csv_tls_transport(tls);
	short events = 0;
	int ret;

	while ((ret = csv_tls_handshake(tls, &events)) == EAGAIN) {
		ret = wire_wait(t->fd, events, deadline);
		if (ret != 0) {
			break;
		}
	}
	return ret;
}

static int wire_write(struct csv_transport *t,
		      const uint8_t *buf,
		      size_t length,
		      uint64_t deadline)
{
	int ret = 0;
	ssize_t n;

	while (length > 0 && ret == 0) {
		struct iovec iov = {
			.iov_base = discard_const_p(uint8_t, buf),
			.iov_len = length,
		};

		n = t->ops->writev(t, &iov, 1);
		if (n > 0) {
			buf += n;
			length -= n;
		} else {
			ret = n == -EAGAIN ? wire_wait(t->fd, POLLOUT, deadline)
					   : (int)-n;
		}
	}
	while (ret == 0 && (ret = -t->ops->flush(t)) == EAGAIN) {
		ret = wire_wait(t->fd, POLLOUT, deadline);
	}
	return ret;
}

static int wire_read(struct csv_transport *t,
		     uint8_t *buf,
		     size_t length,
		     uint64_t deadline)
{
	ssize_t n;
	int ret;

	while (length > 0) {
		struct iovec iov = {.iov_base = buf, .iov_len = length};

		n = t->ops->readv(t, &iov, 1);
		if (n > 0) {
			buf += n;
			length -= n;
			continue;
		}
		if (n != -EAGAIN) {
			return n == 0 ? ECONNRESET : (int)-n;
		}
		ret = wire_wait(t->fd, POLLIN, deadline);
		if (ret != 0) {
			return ret;
		}
	}
	return 0;
}

int guard_wire_send(struct csv_tls *tls,
		    const void *p,
		    ndr_push_flags_fn_t push,
		    uint64_t deadline)
{
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	uint8_t buf[4 + CSV_GUARD_MAX];
	int ret;

	err = ndr_push_struct_blob(&blob, tls, p, push);
	if (!NDR_ERR_CODE_IS_SUCCESS(err) || blob.length > CSV_GUARD_MAX) {
		data_blob_free(&blob);
		return EINVAL;
	}
	SIVAL(buf, 0, blob.length);
	memcpy(buf + 4, blob.data, blob.length);
	ret = wire_write(csv_tls_transport(tls),
			 buf,
			 4 + blob.length,
			 deadline);
	data_blob_free(&blob);
	return ret;
}

int guard_wire_recv(TALLOC_CTX *mem_ctx,
		    struct csv_tls *tls,
		    void *p,
		    ndr_pull_flags_fn_t pull,
		    uint64_t deadline)
{
	struct csv_transport *t = csv_tls_transport(tls);
	uint8_t head[4], buf[CSV_GUARD_MAX];
	enum ndr_err_code err;
	DATA_BLOB blob = {};
	uint32_t length;
	int ret;

	ret = wire_read(t, head, sizeof(head), deadline);
	if (ret != 0) {
		return ret;
	}
	length = IVAL(head, 0);
	if (length == 0 || length > CSV_GUARD_MAX) {
		return EPROTO;
	}
	ret = wire_read(t, buf, length, deadline);
	if (ret != 0) {
		return ret;
	}
	blob = data_blob_const(buf, length);
	err = ndr_pull_struct_blob(&blob, mem_ctx, p, pull);
	return NDR_ERR_CODE_IS_SUCCESS(err) ? 0 : EPROTO;
}
