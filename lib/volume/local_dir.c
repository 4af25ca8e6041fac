/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listings. A cookie is the position that the file system gives an entry
 * (d_off): it means the same in every descriptor of that directory, also
 * after the file system was mounted again, also while entries come and go.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "local_private.h"

/* What an entry with its attributes takes in an answer, without its name. */
#define ENTRY_BYTES 128
#define MIN_CHUNK 1024
#define MAX_CHUNK 65536

struct linux_dirent {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

struct listing {
	struct local_file *dir;
	int fd;
	bool is_root;
	uint64_t cookie;
	uint32_t bytes; /* of the answer, so far */
	bool broken;	/* an error after some entries */
	struct csv_dirlist *list;
	size_t room; /* entries allocated */
};

/*
 * An entry could not be looked at. That is its own fault (a bad sector), or
 * that of a file system which was shut down: then nothing can be opened.
 */
static int still_answers(const struct listing *l)
{
	int fd;

	fd = openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		return errno;
	}
	close(fd);
	return 0;
}

static int add_entry(struct listing *l, const struct linux_dirent *de)
{
	struct csv_dirlist *list = l->list;
	struct csv_dirent *e = NULL;
	bool up = l->is_root && strcmp(de->d_name, "..") == 0;
	int ret;

	if (l->is_root && strcmp(de->d_name, CSV_HIDDEN_DIR) == 0) {
		return 0;
	}
	if (list->num == l->room) {
		l->room = l->room == 0 ? 64 : l->room * 2;
		e = talloc_realloc(list,
				   list->entries,
				   struct csv_dirent,
				   l->room);
		if (e == NULL) {
			return ENOMEM;
		}
		list->entries = e;
	}
	e = &list->entries[list->num++];
	*e = (struct csv_dirent){
		.cookie = (uint64_t)de->d_off,
		.name = de->d_name,
		.name_len = (uint32_t)strlen(de->d_name),
	};
	/* above the root is not ours to show */
	ret = local_stat_at(l->fd, up ? "." : de->d_name, &e->st);
	e->has_stat = ret == 0;
	l->bytes += ENTRY_BYTES + e->name_len;
	if (ret == 0 || ret == ENOENT || ret == EACCES) {
		return 0;
	}
	return still_answers(l);
}

/* One getdents64(2); its buffer stays: the names are in it. */
static int read_chunk(struct listing *l, size_t size)
{
	char *buf = talloc_array(l->list, char, size);
	const struct linux_dirent *de = NULL;
	long n, pos;
	int ret;

	if (buf == NULL) {
		return ENOMEM;
	}
	n = syscall(SYS_getdents64, l->fd, buf, size);
	if (n <= 0) {
		ret = n == -1 ? errno : 0;
		l->list->eof = n == 0;
		talloc_free(buf);
		/* what was read before is right; the next call meets it */
		l->broken = ret != 0 && l->list->num > 0;
		return l->broken ? 0 : ret;
	}
	for (pos = 0; pos < n; pos += de->d_reclen) {
		de = (const struct linux_dirent *)(buf + pos);
		ret = add_entry(l, de);
		if (ret != 0) {
			return ret;
		}
		l->cookie = (uint64_t)de->d_off;
	}
	return 0;
}

static int seek_to(struct listing *l, uint64_t cookie)
{
	struct local_file *d = l->dir;
	bool own_fd = l->fd != d->fd;

	l->cookie = cookie;
	if (own_fd ? cookie == 0 : (cookie != 0 && cookie == d->dir_pos)) {
		return 0;
	}
	if (lseek(l->fd, (off_t)cookie, SEEK_SET) == -1) {
		return errno;
	}
	return 0;
}

static int read_chunks(struct listing *l, uint64_t cookie, uint32_t max_bytes)
{
	size_t size;
	int ret;

	ret = seek_to(l, cookie);
	while (ret == 0 && !l->list->eof && !l->broken &&
	       l->bytes < max_bytes)
	{
		/* an entry is about four times what getdents gives for it */
		size = (max_bytes - l->bytes) / 4;
		size = size < MIN_CHUNK ? MIN_CHUNK : size;
		size = size > MAX_CHUNK ? MAX_CHUNK : size;
		ret = read_chunk(l, size);
	}
	return ret;
}

static int list_fd(struct local_file *d,
		   struct csv_dirlist *list,
		   int fd,
		   uint64_t cookie,
		   uint32_t max_bytes)
{
	struct local_backend *lb = d->lb;
	struct listing l = {.dir = d, .fd = fd, .list = list};
	struct stat st;
	int ret;

	if (fstat(fd, &st) == -1) {
		return errno;
	}
	l.is_root = st.st_dev == lb->dev && st.st_ino == lb->root_ino;
	if (fd != d->fd) {
		return read_chunks(&l, cookie, max_bytes);
	}
	pthread_mutex_lock(&d->dir_mutex);
	ret = read_chunks(&l, cookie, max_bytes);
	/* after an error nobody knows where the descriptor stands */
	d->dir_pos = list->eof || l.broken || ret != 0 ? 0 : l.cookie;
	pthread_mutex_unlock(&d->dir_mutex);
	return ret;
}

int local_readdir(struct csv_file *dir,
		  TALLOC_CTX *mem_ctx,
		  const struct csv_cred *cred,
		  uint64_t cookie,
		  uint32_t max_bytes,
		  struct csv_dirlist **list)
{
	struct local_file *d = local_file(dir);
	struct csv_dirlist *l = NULL;
	int fd = d->fd;
	int ret;

	if (cookie > INT64_MAX) {
		return EINVAL;
	}
	ret = local_user(d->lb, cred);
	if (ret != 0) {
		return ret;
	}
	if (dir->how & CSV_O_PATH) {
		fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1) {
			return errno;
		}
	}
	l = talloc_zero(mem_ctx, struct csv_dirlist);
	ret = l == NULL ? ENOMEM
			: list_fd(d, l, fd, cookie, max_bytes ? max_bytes : 1);
	if (fd != d->fd) {
		close(fd);
	}
	if (ret != 0) {
		talloc_free(l);
		return ret;
	}
	*list = l;
	return 0;
}
