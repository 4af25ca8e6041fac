/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making, naming and removing: everything that changes a directory. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "local_private.h"

/* Be the user and find the directory that holds the name. */
static int begin(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 struct local_parent *parent)
{
	struct local_file *d = local_file(dir);
	int ret;

	*parent = (struct local_parent){.fd = -1};
	ret = local_user(d->lb, cred);
	if (ret != 0) {
		return ret;
	}
	return local_parent_open(d->lb, d->fd, name, parent);
}

/* ret is a system call's; makes the new name stable where asked. */
static int end_new(struct local_backend *lb,
		   struct local_parent *parent,
		   int ret,
		   uint32_t flags)
{
	ret = ret == -1 ? errno : 0;
	if (ret == 0 && local_stable_names(lb, flags)) {
		ret = local_sync_at(lb, parent->fd, parent->last);
	}
	local_parent_close(parent);
	return ret;
}

int local_mkdir(struct csv_file *dir,
		const struct csv_cred *cred,
		const char *name,
		uint32_t mode,
		uint32_t flags)
{
	struct local_parent parent;
	int ret;

	ret = begin(dir, cred, name, &parent);
	if (ret != 0) {
		local_parent_close(&parent);
		return ret;
	}
	ret = mkdirat(parent.fd, parent.last, mode & 07777);
	return end_new(local_file(dir)->lb, &parent, ret, flags);
}

/* A name with a slash behind it cannot become anything but a directory. */
static int begin_file(struct csv_file *dir,
		      const struct csv_cred *cred,
		      const char *name,
		      struct local_parent *parent)
{
	int ret;

	ret = begin(dir, cred, name, parent);
	if (ret == 0 && parent->slash) {
		ret = ENOENT;
	}
	if (ret != 0) {
		local_parent_close(parent);
	}
	return ret;
}

int local_mknod(struct csv_file *dir,
		const struct csv_cred *cred,
		const char *name,
		uint32_t mode,
		uint64_t rdev,
		uint32_t flags)
{
	struct local_parent parent;
	int ret;

	ret = begin_file(dir, cred, name, &parent);
	if (ret != 0) {
		return ret;
	}
	ret = mknodat(parent.fd, parent.last, mode, rdev);
	return end_new(local_file(dir)->lb, &parent, ret, flags);
}

int local_symlink(struct csv_file *dir,
		  const struct csv_cred *cred,
		  const char *name,
		  const char *target,
		  uint32_t flags)
{
	struct local_parent parent;
	int ret;

	ret = begin_file(dir, cred, name, &parent);
	if (ret != 0) {
		return ret;
	}
	ret = symlinkat(target, parent.fd, parent.last);
	return end_new(local_file(dir)->lb, &parent, ret, flags);
}

int local_readlink(struct csv_file *dir,
		   TALLOC_CTX *mem_ctx,
		   const struct csv_cred *cred,
		   const char *name,
		   char **target)
{
	struct local_file *d = local_file(dir);
	struct local_parent parent = {.fd = d->fd};
	char buf[CSV_MAX_NAME];
	ssize_t n;
	int ret;

	if (name[0] == '\0') {
		ret = local_user(d->lb, cred);
	} else {
		ret = begin(dir, cred, name, &parent);
	}
	if (ret != 0) {
		local_parent_close(&parent);
		return ret;
	}
	n = readlinkat(parent.fd, parent.last, buf, sizeof(buf));
	ret = n == -1 ? errno : 0;
	local_parent_close(&parent);
	if (ret == ENOENT && name[0] == '\0') {
		/* the kernel's word for "no symlink" with an empty name */
		ret = EINVAL;
	}
	if (ret != 0) {
		return ret;
	}
	*target = talloc_strndup(mem_ctx, buf, (size_t)n);
	return *target == NULL ? ENOMEM : 0;
}

/* Hard link to an open file, with no more right than its name would give. */
static int link_open(struct local_file *src, const struct local_parent *dst)
{
	struct local_procpath p;

	return linkat(AT_FDCWD,
		      local_procpath(&p, src->fd),
		      dst->fd,
		      dst->last,
		      AT_SYMLINK_FOLLOW);
}

int local_link(struct csv_file *src_dir,
	       const char *src_name,
	       struct csv_file *dst_dir,
	       const char *dst_name,
	       const struct csv_cred *cred,
	       uint32_t flags)
{
	struct local_parent src = {.fd = -1};
	struct local_parent dst;
	int ret;

	ret = begin_file(dst_dir, cred, dst_name, &dst);
	if (ret != 0) {
		return ret;
	}
	if (src_name[0] == '\0') {
		ret = link_open(local_file(src_dir), &dst);
		return end_new(local_file(dst_dir)->lb, &dst, ret, flags);
	}
	ret = begin_file(src_dir, cred, src_name, &src);
	if (ret != 0) {
		local_parent_close(&dst);
		return ret;
	}
	ret = linkat(src.fd, src.last, dst.fd, dst.last, 0);
	ret = end_new(local_file(dst_dir)->lb, &dst, ret, flags);
	local_parent_close(&src);
	return ret;
}

/* "name/" is only ever a directory. */
static int check_slash(const struct local_parent *p)
{
	struct csv_stat st;
	int ret;

	if (!p->slash) {
		return 0;
	}
	ret = local_stat_at(p->fd, p->last, &st);
	if (ret != 0) {
		return ret;
	}
	return S_ISDIR(st.mode) ? 0 : ENOTDIR;
}

struct renaming {
	struct local_backend *lb;
	const struct csv_cred *cred;
	struct local_parent src;
	struct local_parent dst;
};

static int do_rename(const struct renaming *r, unsigned how)
{
	int ret;

	ret = local_user(r->lb, r->cred);
	if (ret != 0) {
		return ret;
	}
	if (renameat2(r->src.fd, r->src.last, r->dst.fd, r->dst.last, how) ==
	    -1)
	{
		return errno;
	}
	return 0;
}

/* Replace a name whose file somebody may have open. */
static int rename_replace_once(struct renaming *r)
{
	struct local_victim v;
	int ret, how = 0;

	ret = local_victim_begin(r->lb, &r->dst, &v);
	if (ret != 0) {
		return ret;
	}
	if (!v.exists) {
		/* whatever appears there meanwhile is not ours to lose */
		how = RENAME_NOREPLACE;
	}
	ret = do_rename(r, how);
	local_victim_end(r->lb, &v, ret == 0);
	if (how == 0) {
		return ret;
	}
	if (ret == EINVAL) {
		/* not known to this file system */
		return do_rename(r, 0);
	}
	return ret == EEXIST ? EAGAIN : ret;
}

static int rename_replace(struct renaming *r)
{
	int ret;

	do {
		ret = rename_replace_once(r);
	} while (ret == EAGAIN);
	return ret;
}

static int rename_named(struct renaming *r, uint32_t flags)
{
	struct local_dirlock lock;
	int ret;

	ret = check_slash(&r->src);
	if (ret == 0 && r->dst.slash && !r->src.slash) {
		r->src.slash = true;
		ret = check_slash(&r->src);
	}
	if (ret != 0) {
		return ret;
	}
	ret = local_dirs_lock(r->lb, r->src.fd, r->dst.fd, &lock);
	if (ret != 0) {
		return ret;
	}
	ret = (flags & CSV_F_NOREPLACE) ? do_rename(r, RENAME_NOREPLACE)
					: rename_replace(r);
	local_dirs_unlock(r->lb, &lock);
	if (ret == 0 && local_stable_names(r->lb, flags)) {
		ret = local_sync(r->lb, -1, r->dst.fd, r->src.fd);
	}
	return ret;
}

int local_rename(struct csv_file *src_dir,
		 const char *src_name,
		 struct csv_file *dst_dir,
		 const char *dst_name,
		 const struct csv_cred *cred,
		 uint32_t flags)
{
	struct renaming r = {
		.lb = local_file(src_dir)->lb,
		.cred = cred,
	};
	int ret;

	ret = begin(src_dir, cred, src_name, &r.src);
	if (ret == 0) {
		ret = begin(dst_dir, cred, dst_name, &r.dst);
	}
	if (ret == 0) {
		ret = rename_named(&r, flags);
	}
	local_parent_close(&r.src);
	local_parent_close(&r.dst);
	return ret;
}

static int unlink_named(struct local_backend *lb,
			const struct csv_cred *cred,
			const struct local_parent *p)
{
	struct local_victim v;
	int ret;

	ret = local_victim_begin(lb, p, &v);
	if (ret != 0) {
		return ret;
	}
	if (!v.exists) {
		/* and what comes now is somebody else's */
		local_victim_end(lb, &v, false);
		return ENOENT;
	}
	ret = local_user(lb, cred);
	if (ret == 0 && unlinkat(p->fd, p->last, 0) == -1) {
		ret = errno;
	}
	local_victim_end(lb, &v, ret == 0);
	return ret;
}

int local_unlink(struct csv_file *dir,
		 const struct csv_cred *cred,
		 const char *name,
		 uint32_t flags)
{
	struct local_backend *lb = local_file(dir)->lb;
	struct local_dirlock lock;
	struct local_parent p;
	int ret;

	ret = begin(dir, cred, name, &p);
	if (ret == 0) {
		ret = check_slash(&p);
	}
	if (ret != 0) {
		local_parent_close(&p);
		return ret;
	}
	ret = local_dirs_lock(lb, p.fd, -1, &lock);
	if (ret != 0) {
		local_parent_close(&p);
		return ret;
	}
	if (flags & CSV_F_RMDIR) {
		ret = unlinkat(p.fd, p.last, AT_REMOVEDIR) == -1 ? errno : 0;
	} else {
		ret = unlink_named(lb, cred, &p);
	}
	local_dirs_unlock(lb, &lock);
	if (ret == 0 && local_stable_names(lb, flags)) {
		ret = local_sync(lb, -1, p.fd, -1);
	}
	local_parent_close(&p);
	return ret;
}
