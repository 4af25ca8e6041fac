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
#include <sys/xattr.h>
#include <unistd.h>
#include "local_private.h"

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
	const struct csv_want *want; /* NULL: nothing */
	uint32_t max_bytes;
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

static void extra_value(struct csv_extra *x,
			const char *path,
			const char *name,
			struct csv_value *value)
{
	uint8_t buf[CSV_MAX_WANTED_VALUE];
	ssize_t n;

	if (!csv_extra_has(x, name)) {
		return;
	}
	n = getxattr(path, name, buf, sizeof(buf));
	if (n == -1) {
		return;
	}
	value->data = talloc_memdup(x, buf, (size_t)n);
	value->present = value->data != NULL;
	value->length = value->present ? (uint32_t)n : 0;
}

static bool extra_xattrs(const struct csv_want *want,
			 int fd,
			 struct csv_extra *x)
{
	char names[CSV_MAX_WANTED_NAMES];
	struct local_procpath p;
	const char *path = local_procpath(&p, fd);
	ssize_t n;
	uint32_t i;

	n = listxattr(path, names, sizeof(names));
	if (n == -1) {
		return false;
	}
	x->names = talloc_memdup(x, names, (size_t)n);
	if (x->names == NULL) {
		return false;
	}
	x->names_length = (uint32_t)n;
	for (i = 0; i < want->num && i < CSV_MAX_WANT; i++) {
		extra_value(x, path, want->xattrs[i], &x->values[i]);
	}
	return true;
}

/*
 * As the user who lists, in the way an open of the name goes: what he may not
 * open or read is not in it. An answer has an end: what no longer fits is
 * asked for one by one.
 */
static bool add_extra(struct listing *l, struct csv_dirent *e)
{
	struct csv_extra *x = NULL;
	bool ok = false;
	int fd = -1;

	if (l->want == NULL || l->bytes / 4 > l->max_bytes ||
	    strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
	{
		return false;
	}
	if (local_resolve(l->dir->lb,
			  l->fd,
			  e->name,
			  O_PATH | O_NOFOLLOW,
			  0,
			  false,
			  &fd) != 0)
	{
		return false;
	}
	x = talloc_zero(l->list, struct csv_extra);
	if (x != NULL && local_stat_fd(fd, &e->st) == 0 && e->st.nlink > 0 &&
	    local_fhandle_fd(fd, &x->fh) == 0)
	{
		ok = extra_xattrs(l->want, fd, x);
	}
	close(fd);
	if (!ok) {
		talloc_free(x);
		return false;
	}
	e->extra = x;
	e->has_stat = true;
	return true;
}

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Who wants a name in any case compares what is beyond ASCII himself. */
static bool may_be(const char *name, const char *like)
{
	bool same = true;
	size_t i;

	for (i = 0; name[i] != '\0'; i++) {
		if ((unsigned char)name[i] >= 0x80) {
			return true;
		}
		same = same && ascii_lower(name[i]) == ascii_lower(like[i]);
		/* never beyond the end of the shorter one */
		like = same ? like : name;
	}
	return same && like[i] == '\0';
}

/* Attributes alone; above the root is not ours to show. */
static int add_stat(struct listing *l, struct csv_dirent *e)
{
	bool up = l->is_root && strcmp(e->name, "..") == 0;
	int ret;

	ret = local_stat_at(l->fd, up ? "." : e->name, &e->st);
	e->has_stat = ret == 0;
	if (ret == 0 || ret == ENOENT || ret == EACCES) {
		return 0;
	}
	return still_answers(l);
}

static int add_entry(struct listing *l, const struct linux_dirent *de)
{
	const char *like = l->want != NULL ? l->want->like : NULL;
	struct csv_dirlist *list = l->list;
	struct csv_dirent *e = NULL;
	int ret = 0;

	if (l->is_root && strcmp(de->d_name, CSV_HIDDEN_DIR) == 0) {
		return 0;
	}
	if (like != NULL && !may_be(de->d_name, like)) {
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
	if (like == NULL && !add_extra(l, e)) {
		ret = add_stat(l, e);
	}
	l->bytes += csv_dirent_bytes(e);
	return ret;
}

/* One getdents64(2); its buffer stays: the names are in it. */
static int read_chunk(struct listing *l, size_t size)
{
	char *buf = talloc_array(l->list, char, size);
	uint32_t before = l->list->num;
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
	if (l->list->num == before) {
		talloc_free(buf);
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
		/* an entry is so much larger than what getdents gives for it */
		size = (max_bytes - l->bytes) / (l->want != NULL ? 8 : 4);
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
		   uint32_t max_bytes,
		   const struct csv_want *want)
{
	struct local_backend *lb = d->lb;
	struct listing l = {
		.dir = d,
		.want = want,
		.max_bytes = max_bytes,
		.fd = fd,
		.list = list,
	};
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
		  const struct csv_want *want,
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
	max_bytes = max_bytes != 0 ? max_bytes : 1;
	ret = l == NULL ? ENOMEM
			: list_fd(d, l, fd, cookie, max_bytes, want);
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
