/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The local backend: the volume's files by system calls. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "local_private.h"

static struct csv_file *local_root(struct csv_backend *b)
{
	return &local_backend(b)->root->file;
}

/* A change of the lock file's times, and its way to the device. */
static bool local_writes(struct csv_backend *b)
{
	struct local_backend *lb = local_backend(b);
	int ret;

	ret = local_root_begin(lb);
	if (ret != 0) {
		return true; /* that is no fault of the storage */
	}
	ret = futimens(lb->lockfd, NULL);
	ret = ret == -1 ? errno : 0;
	local_root_end(lb);
	if (ret == 0 && fsync(lb->lockfd) == -1) {
		ret = errno;
	}
	return ret != EIO && ret != EROFS && ret != ESHUTDOWN &&
	       ret != ENODEV && ret != ENXIO;
}

static const struct csv_backend_ops local_ops = {
	.name = "local",
	.root = local_root,
	.open = local_open,
	.open_fh = local_open_fh,
	.fstat = local_fstat,
	.statat = local_statat,
	.setattr = local_setattr,
	.readdir = local_readdir,
	.mkdir = local_mkdir,
	.mknod = local_mknod,
	.symlink = local_symlink,
	.readlink = local_readlink,
	.link = local_link,
	.rename = local_rename,
	.unlink = local_unlink,
	.fallocate = local_fallocate,
	.seek = local_seek,
	.copy_range = local_copy_range,
	.statfs = local_statfs,
	.getxattr = local_getxattr,
	.setxattr = local_setxattr,
	.listxattr = local_listxattr,
	.removexattr = local_removexattr,
	.pread = local_pread,
	.pwrite = local_pwrite,
	.fsync = local_fsync,
	.pread_send = local_pread_send,
	.pwrite_send = local_pwrite_send,
	.fsync_send = local_fsync_send,
	.recv = local_recv,
	.writes = local_writes,
};

static int backend_destructor(struct local_backend *lb)
{
	if (lb->backend.num_files != 0) {
		/* they would use a backend that is gone */
		abort();
	}
	if (lb->root != NULL) {
		lb->backend.num_files++;
		talloc_free(lb->root);
	}
	local_lock_destroy(lb);
	if (lb->intentfd != -1) {
		close(lb->intentfd);
	}
	if (lb->hiddenfd != -1) {
		close(lb->hiddenfd);
	}
	if (lb->rootfd != -1) {
		close(lb->rootfd);
	}
	pthread_mutex_destroy(&lb->hidden_mutex);
	pthread_mutex_destroy(&lb->table_mutex);
	return 0;
}

/* As root. */
static int open_root(struct local_backend *lb, int rootfd)
{
	struct csv_stat st;
	struct stat dev;
	int fd, ret;

	lb->rootfd = openat(rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lb->rootfd == -1 || fstat(lb->rootfd, &dev) == -1) {
		return errno;
	}
	lb->dev = dev.st_dev;
	lb->root_ino = dev.st_ino;
	ret = local_hidden_create(lb);
	if (ret == 0) {
		ret = local_lock_create(lb);
	}
	if (ret == 0) {
		ret = local_intent_create(lb);
	}
	if (ret != 0) {
		return ret;
	}
	fd = openat(rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		return errno;
	}
	ret = local_stat_fd(fd, &st);
	if (ret != 0) {
		close(fd);
		return ret;
	}
	ret = local_file_new(lb,
			     NULL,
			     fd,
			     CSV_O_PATH | CSV_O_DIRECTORY,
			     &st,
			     &lb->root);
	if (ret == 0) {
		talloc_steal(lb, lb->root);
	}
	return ret;
}

int csv_local_create(TALLOC_CTX *mem_ctx,
		     const struct csv_local_params *params,
		     struct csv_backend **backend)
{
	struct local_backend *lb = NULL;
	int ret;

	lb = talloc_zero(mem_ctx, struct local_backend);
	if (lb == NULL) {
		return ENOMEM;
	}
	lb->backend.ops = &local_ops;
	lb->backend.epoch = params->epoch;
	lb->rootfd = -1;
	lb->hiddenfd = -1;
	lb->lockfd = -1;
	lb->intentfd = -1;
	lb->stable_names = params->stable_names;
	lb->cred_mode = params->cred_mode;
	lb->threads = params->threads;
	if (params->priv != NULL) {
		lb->priv = *params->priv;
	}
	pthread_mutex_init(&lb->table_mutex, NULL);
	pthread_mutex_init(&lb->hidden_mutex, NULL);
	talloc_set_destructor(lb, backend_destructor);

	ret = local_root_begin(lb);
	if (ret == 0) {
		ret = open_root(lb, params->rootfd);
		local_root_end(lb);
	}
	if (ret != 0) {
		talloc_free(lb);
		return ret;
	}
	/* the root is not counted */
	lb->backend.num_files = 0;
	local_sync_probe(lb);
	*backend = &lb->backend;
	return 0;
}
