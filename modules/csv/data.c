/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading, writing, flushing, sizes. The asynchronous calls hand out the
 * volume interface's own requests: nothing lies between smbd and the
 * backend. sendfile and recvfile do not exist here; smbd falls back.
 */
#include "csv.h"
#include "system/select.h"

bool csv_more_requests(void)
{
	struct smbXsrv_client *client = global_smbXsrv_client;
	struct smbXsrv_connection *xconn = NULL;
	struct pollfd fds[4];
	unsigned num = 0;

	if (client == NULL) {
		return false;
	}
	for (xconn = client->connections;
	     xconn != NULL && num < ARRAY_SIZE(fds);
	     xconn = xconn->next)
	{
		fds[num++] = (struct pollfd){
			.fd = xconn->transport.sock,
			.events = POLLIN,
		};
	}
	return poll(fds, num, 0) > 0;
}

ssize_t csv_vfs_pread(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      void *data,
		      size_t n,
		      off_t offset)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	size_t done = 0;

	if (h == NULL) {
		return -1;
	}
	while (done < n) {
		size_t part = MIN(n - done, CSV_MAX_DATA);
		size_t nread = 0;
		int ret;

		ret = csv_pread(h,
				(uint8_t *)data + done,
				part,
				offset + done,
				&nread);
		if (ret != 0) {
			return csv_ret(ret);
		}
		if (nread == 0) {
			break;
		}
		done += nread;
	}
	return done;
}

struct tevent_req *csv_vfs_pread_send(struct vfs_handle_struct *handle,
				      TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      struct files_struct *fsp,
				      void *data,
				      size_t n,
				      off_t offset)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);

	if (h == NULL) {
		return NULL;
	}
	return csv_pread_send(mem_ctx, ev, h, data, n, offset);
}

/* An append handle ignores where; smbd then says -1. */
static off_t csv_write_offset(const struct files_struct *fsp, off_t offset)
{
	if (fsp->fsp_flags.posix_append) {
		SMB_ASSERT(offset == VFS_PWRITE_APPEND_OFFSET);
		return 0;
	}
	return offset;
}

ssize_t csv_vfs_pwrite(struct vfs_handle_struct *handle,
		       struct files_struct *fsp,
		       const void *data,
		       size_t n,
		       off_t offset)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	off_t start = csv_write_offset(fsp, offset);
	size_t done = 0;

	if (h == NULL) {
		return -1;
	}
	csv_listed_forget();
	while (done < n) {
		size_t part = MIN(n - done, CSV_MAX_DATA);
		size_t nwritten = 0;
		int ret;

		ret = csv_pwrite(h,
				 (const uint8_t *)data + done,
				 part,
				 start + done,
				 0,
				 &nwritten);
		if (ret != 0) {
			return csv_ret(ret);
		}
		if (nwritten == 0) {
			break;
		}
		done += nwritten;
	}
	return done;
}

/* The packet that brought these n bytes; NULL: they are not a client's. */
static const void *csv_packet_of(const void *data, size_t n)
{
	struct smbXsrv_client *client = global_smbXsrv_client;
	struct smbXsrv_connection *xconn = NULL;
	struct smbd_smb2_request *req = NULL;
	uintptr_t start = (uintptr_t)data;

	xconn = client != NULL ? client->connections : NULL;
	for (; xconn != NULL; xconn = xconn->next) {
		req = DLIST_TAIL(xconn->smb2.requests);
		for (; req != NULL; req = DLIST_PREV(req)) {
			uintptr_t packet = (uintptr_t)req->in.pktbuf;

			if (packet != 0 && start >= packet &&
			    start + n <= packet + talloc_get_size(
							  req->in.pktbuf))
			{
				return req->in.pktbuf;
			}
		}
	}
	return NULL;
}

struct tevent_req *csv_vfs_pwrite_send(struct vfs_handle_struct *handle,
				       TALLOC_CTX *mem_ctx,
				       struct tevent_context *ev,
				       struct files_struct *fsp,
				       const void *data,
				       size_t n,
				       off_t offset)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	off_t start = csv_write_offset(fsp, offset);
	const void *packet = NULL;

	if (h == NULL) {
		return NULL;
	}
	if (n >= CSV_OWNED_MIN) {
		packet = csv_packet_of(data, n);
	}
	return csv_pwrite_send(mem_ctx, ev, h, data, n, start, 0, packet);
}

ssize_t csv_vfs_io_recv(struct tevent_req *req, struct vfs_aio_state *state)
{
	size_t n = 0;

	state->duration = 0;
	state->error = csv_error(csv_io_recv(req, &n));
	return state->error == 0 ? (ssize_t)n : -1;
}

struct tevent_req *csv_vfs_fsync_send(struct vfs_handle_struct *handle,
				      TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      struct files_struct *fsp)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);

	if (h == NULL) {
		return NULL;
	}
	return csv_fsync_send(mem_ctx, ev, h, 0);
}

int csv_vfs_fsync_recv(struct tevent_req *req, struct vfs_aio_state *state)
{
	state->duration = 0;
	state->error = csv_error(csv_io_recv(req, NULL));
	return state->error == 0 ? 0 : -1;
}

/*
 * smbd reads and writes at offsets; of a file's position it only wants to
 * hear that it could be set, and the end.
 */
off_t csv_vfs_lseek(struct vfs_handle_struct *handle,
		    struct files_struct *fsp,
		    off_t offset,
		    int whence)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	struct csv_stat st = {};
	int64_t result = 0;
	int ret;

	if (h == NULL) {
		return -1;
	}
	switch (whence) {
	case SEEK_SET:
		return offset;
	case SEEK_END:
		ret = csv_fstat(h, &st);
		result = st.size + offset;
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		ret = csv_seek(h, offset, whence, &result);
		break;
	default:
		ret = EINVAL;
		break;
	}
	if (ret == ENXIO && csv_volume_state(csv_vol(handle)) !=
				    CSV_STATE_INIT)
	{
		errno = ENXIO; /* no data, or hole, after the offset */
		return -1;
	}
	return ret == 0 ? result : csv_ret(ret);
}

ssize_t csv_vfs_sendfile(struct vfs_handle_struct *handle,
			 int tofd,
			 struct files_struct *fromfsp,
			 const DATA_BLOB *header,
			 off_t offset,
			 size_t count)
{
	errno = ENOSYS;
	return -1;
}

ssize_t csv_vfs_recvfile(struct vfs_handle_struct *handle,
			 int fromfd,
			 struct files_struct *tofsp,
			 off_t offset,
			 size_t count)
{
	errno = ENOSYS;
	return -1;
}

static int csv_set_size(struct vfs_handle_struct *handle,
			struct csv_handle *h,
			off_t len)
{
	struct csv_setattr attr = {
		.mask = CSV_ATTR_SIZE,
		.size = len,
	};

	return csv_setattr(h,
			   csv_cred_now(handle),
			   NULL,
			   &attr,
			   csv_stable(handle));
}

/*
 * `strict allocate`: growth takes its blocks now, or ENOSPC now. A file
 * system that cannot preallocate gets the plain truncate.
 */
static int csv_grow_allocated(struct vfs_handle_struct *handle,
			      struct csv_handle *h,
			      off_t len)
{
	struct csv_stat st = {};
	int ret;

	ret = csv_fstat(h, &st);
	if (ret != 0) {
		return ret;
	}
	if (st.size == len) {
		return 0;
	}
	if (st.size < len) {
		ret = csv_fallocate(h, 0, st.size, len - st.size);
		if (ret != EOPNOTSUPP && ret != ENOSYS) {
			return ret;
		}
	}
	return csv_set_size(handle, h, len);
}

int csv_vfs_ftruncate(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      off_t len)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	int ret;

	if (h == NULL) {
		return -1;
	}
	csv_listed_forget();
	if (lp_strict_allocate(SNUM(fsp->conn)) && !fsp->fsp_flags.is_sparse) {
		ret = csv_grow_allocated(handle, h, len);
	} else {
		ret = csv_set_size(handle, h, len);
	}
	if (ret != 0) {
		return csv_ret(ret);
	}
	vfs_stat_fsp(fsp);
	return 0;
}

/* Samba's mode flags to the kernel's. */
static int csv_falloc_mode(uint32_t mode, uint32_t *result)
{
	*result = 0;
	if ((mode & VFS_FALLOCATE_FL_KEEP_SIZE) != 0) {
		*result |= FALLOC_FL_KEEP_SIZE;
		mode &= ~VFS_FALLOCATE_FL_KEEP_SIZE;
	}
	if ((mode & VFS_FALLOCATE_FL_PUNCH_HOLE) != 0) {
		*result |= FALLOC_FL_PUNCH_HOLE;
		mode &= ~VFS_FALLOCATE_FL_PUNCH_HOLE;
	}
	return mode == 0 ? 0 : ENOTSUP;
}

int csv_vfs_fallocate(struct vfs_handle_struct *handle,
		      struct files_struct *fsp,
		      uint32_t mode,
		      off_t offset,
		      off_t len)
{
	struct csv_handle *h = csv_handle_of(handle, fsp);
	uint32_t kernel_mode = 0;
	int ret;

	if (h == NULL) {
		return -1;
	}
	csv_listed_forget();
	ret = csv_falloc_mode(mode, &kernel_mode);
	if (ret == 0) {
		ret = csv_fallocate(h, kernel_mode, offset, len);
	}
	return csv_ret(ret);
}

static int csv_getfl(struct csv_handle *h)
{
	uint32_t how = csv_handle_how(h);
	int flags = O_RDONLY;

	if ((how & CSV_O_WRITE) != 0) {
		flags = (how & CSV_O_READ) != 0 ? O_RDWR : O_WRONLY;
	}
	if ((how & CSV_O_APPEND) != 0) {
		flags |= O_APPEND;
	}
	if ((how & CSV_O_SYNC) != 0) {
		flags |= O_SYNC;
	}
	if ((how & CSV_O_NONBLOCK) != 0) {
		flags |= O_NONBLOCK;
	}
	return flags;
}

/*
 * smbd asks for the flags to switch O_NONBLOCK: regular files never block. A
 * stream has no handle here, streams_xattr asks all the same.
 */
int csv_vfs_fcntl(struct vfs_handle_struct *handle,
		  struct files_struct *fsp,
		  int cmd,
		  va_list cmd_arg)
{
	struct csv_handle *h = NULL;

	if (!fsp_is_alternate_stream(fsp)) {
		h = csv_handle_of(handle, fsp);
		if (h == NULL) {
			return -1;
		}
	}
	switch (cmd) {
	case F_GETFL:
		return h != NULL ? csv_getfl(h) : O_RDWR;
	case F_SETFL:
	case F_SETLK:
	case F_SETLKW:
#ifdef HAVE_OFD_LOCKS
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
#endif
		return 0;
	default:
		errno = ENOTSUP;
		return -1;
	}
}
