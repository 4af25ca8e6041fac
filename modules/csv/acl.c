/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * POSIX ACLs, carried as the xattrs system.posix_acl_access and _default in
 * the kernel's form: le32 version, then entries of le16 tag, le16
 * permissions, le32 id, in the order of the tags.
 */
#include "csv.h"

#define CSV_ACL_ACCESS	"system.posix_acl_access"
#define CSV_ACL_DEFAULT "system.posix_acl_default"
#define CSV_ACL_VERSION 2
#define CSV_ACL_HEADER	4
#define CSV_ACL_ENTRY	8
#define CSV_ACL_MAX_ENTRIES \
	((CSV_MAX_XATTR - CSV_ACL_HEADER) / CSV_ACL_ENTRY)
#define CSV_ACL_NO_ID 0xFFFFFFFF

/* In the order that the kernel wants. */
static const struct {
	uint16_t kernel;
	enum smb_acl_tag_t smb;
} csv_acl_tags[] = {
	{ 0x01, SMB_ACL_USER_OBJ },
	{ 0x02, SMB_ACL_USER },
	{ 0x04, SMB_ACL_GROUP_OBJ },
	{ 0x08, SMB_ACL_GROUP },
	{ 0x10, SMB_ACL_MASK },
	{ 0x20, SMB_ACL_OTHER },
};

static const char *csv_acl_name(SMB_ACL_TYPE_T type)
{
	switch (type) {
	case SMB_ACL_TYPE_ACCESS:
		return CSV_ACL_ACCESS;
	case SMB_ACL_TYPE_DEFAULT:
		return CSV_ACL_DEFAULT;
	default:
		return NULL;
	}
}

static enum smb_acl_tag_t csv_acl_tag(uint16_t kernel)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(csv_acl_tags); i++) {
		if (csv_acl_tags[i].kernel == kernel) {
			return csv_acl_tags[i].smb;
		}
	}
	return SMB_ACL_TAG_INVALID;
}

static bool csv_acl_pull_entry(const uint8_t *p, struct smb_acl_entry *ace)
{
	uint32_t id = PULL_LE_U32(p, 4);

	ace->a_type = csv_acl_tag(PULL_LE_U16(p, 0));
	ace->a_perm = PULL_LE_U16(p, 2) &
		      (SMB_ACL_READ | SMB_ACL_WRITE | SMB_ACL_EXECUTE);
	if (ace->a_type == SMB_ACL_USER) {
		ace->info.user.uid = id;
	} else if (ace->a_type == SMB_ACL_GROUP) {
		ace->info.group.gid = id;
	}
	return ace->a_type != SMB_ACL_TAG_INVALID;
}

static SMB_ACL_T csv_acl_alloc(TALLOC_CTX *mem_ctx, size_t count)
{
	SMB_ACL_T acl = sys_acl_init(mem_ctx);

	if (acl == NULL) {
		return NULL;
	}
	acl->acl = talloc_realloc(acl, acl->acl, struct smb_acl_entry, count);
	if (acl->acl == NULL && count != 0) {
		TALLOC_FREE(acl);
		errno = ENOMEM;
		return NULL;
	}
	if (count != 0) {
		memset(acl->acl, 0, count * sizeof(*acl->acl));
	}
	acl->count = count;
	return acl;
}

static SMB_ACL_T csv_acl_pull(TALLOC_CTX *mem_ctx,
			      const uint8_t *buf,
			      size_t len)
{
	SMB_ACL_T acl = NULL;
	size_t count;
	size_t i;
	bool ok;

	if (len < CSV_ACL_HEADER ||
	    (len - CSV_ACL_HEADER) % CSV_ACL_ENTRY != 0 ||
	    PULL_LE_U32(buf, 0) != CSV_ACL_VERSION)
	{
		errno = EINVAL;
		return NULL;
	}
	count = (len - CSV_ACL_HEADER) / CSV_ACL_ENTRY;
	acl = csv_acl_alloc(mem_ctx, count);
	if (acl == NULL) {
		return NULL;
	}
	buf += CSV_ACL_HEADER;
	for (i = 0; i < count; i++) {
		ok = csv_acl_pull_entry(buf + i * CSV_ACL_ENTRY, &acl->acl[i]);
		if (!ok) {
			TALLOC_FREE(acl);
			errno = EINVAL;
			return NULL;
		}
	}
	return acl;
}

/* A file without ACL has the one that its mode says. */
static SMB_ACL_T csv_acl_from_mode(TALLOC_CTX *mem_ctx, mode_t mode)
{
	SMB_ACL_T acl = csv_acl_alloc(mem_ctx, 3);

	if (acl == NULL) {
		return NULL;
	}
	acl->acl[0].a_type = SMB_ACL_USER_OBJ;
	acl->acl[0].a_perm = (mode >> 6) & 7;
	acl->acl[1].a_type = SMB_ACL_GROUP_OBJ;
	acl->acl[1].a_perm = (mode >> 3) & 7;
	acl->acl[2].a_type = SMB_ACL_OTHER;
	acl->acl[2].a_perm = mode & 7;
	return acl;
}

static SMB_ACL_T csv_acl_none(struct vfs_handle_struct *handle,
			      struct files_struct *fsp,
			      SMB_ACL_TYPE_T type,
			      TALLOC_CTX *mem_ctx)
{
	SMB_STRUCT_STAT st = {};

	if (type == SMB_ACL_TYPE_DEFAULT) {
		return csv_acl_alloc(mem_ctx, 0);
	}
	if (csv_vfs_fstat(handle, fsp, &st) != 0) {
		return NULL;
	}
	return csv_acl_from_mode(mem_ctx, st.st_ex_mode);
}

SMB_ACL_T csv_vfs_sys_acl_get_fd(struct vfs_handle_struct *handle,
				 struct files_struct *fsp,
				 SMB_ACL_TYPE_T type,
				 TALLOC_CTX *mem_ctx)
{
	const char *name = csv_acl_name(type);
	SMB_ACL_T acl = NULL;
	uint8_t small[CSV_ACL_HEADER + 24 * CSV_ACL_ENTRY];
	uint8_t *buf = small;
	uint8_t *big = NULL;
	ssize_t len;

	if (name == NULL) {
		errno = EINVAL;
		return NULL;
	}
	len = csv_vfs_fgetxattr(handle, fsp, name, buf, sizeof(small));
	if (len == -1 && errno == ERANGE) {
		big = talloc_array(talloc_tos(), uint8_t, CSV_MAX_XATTR);
		if (big == NULL) {
			errno = ENOMEM;
			return NULL;
		}
		buf = big;
		len = csv_vfs_fgetxattr(handle, fsp, name, buf, CSV_MAX_XATTR);
	}
	if (len > 0) {
		acl = csv_acl_pull(mem_ctx, buf, len);
	} else if (len == 0 || errno == ENOATTR) {
		acl = csv_acl_none(handle, fsp, type, mem_ctx);
	}
	TALLOC_FREE(big);
	return acl;
}

/* All entries with one tag; returns how many. */
static size_t csv_acl_push_tag(SMB_ACL_T acl, size_t tag, uint8_t *buf)
{
	const struct smb_acl_entry *ace = NULL;
	size_t count = 0;
	int i;

	for (i = 0; i < acl->count; i++) {
		uint8_t *p = buf + count * CSV_ACL_ENTRY;
		uint32_t id = CSV_ACL_NO_ID;

		ace = &acl->acl[i];
		if (ace->a_type != csv_acl_tags[tag].smb) {
			continue;
		}
		if (ace->a_type == SMB_ACL_USER) {
			id = ace->info.user.uid;
		} else if (ace->a_type == SMB_ACL_GROUP) {
			id = ace->info.group.gid;
		}
		PUSH_LE_U16(p, 0, csv_acl_tags[tag].kernel);
		PUSH_LE_U16(p, 2, ace->a_perm & 7);
		PUSH_LE_U32(p, 4, id);
		count += 1;
	}
	return count;
}

static uint8_t *csv_acl_push(TALLOC_CTX *mem_ctx, SMB_ACL_T acl, size_t *len)
{
	uint8_t *buf = NULL;
	size_t pushed = 0;
	size_t tag;

	if (acl->count < 0 || acl->count > CSV_ACL_MAX_ENTRIES) {
		errno = EINVAL;
		return NULL;
	}
	*len = CSV_ACL_HEADER + acl->count * CSV_ACL_ENTRY;
	buf = talloc_zero_array(mem_ctx, uint8_t, *len);
	if (buf == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	PUSH_LE_U32(buf, 0, CSV_ACL_VERSION);
	for (tag = 0; tag < ARRAY_SIZE(csv_acl_tags); tag++) {
		size_t at = CSV_ACL_HEADER + pushed * CSV_ACL_ENTRY;

		pushed += csv_acl_push_tag(acl, tag, buf + at);
	}
	if (pushed != (size_t)acl->count) {
		TALLOC_FREE(buf); /* an entry with a tag that nobody knows */
		errno = EINVAL;
	}
	return buf;
}

int csv_vfs_sys_acl_set_fd(struct vfs_handle_struct *handle,
			   struct files_struct *fsp,
			   SMB_ACL_TYPE_T type,
			   SMB_ACL_T theacl)
{
	const char *name = csv_acl_name(type);
	uint8_t *buf = NULL;
	size_t len = 0;
	int ret;

	if (name == NULL) {
		errno = EINVAL;
		return -1;
	}
	buf = csv_acl_push(talloc_tos(), theacl, &len);
	if (buf == NULL) {
		return -1;
	}
	ret = csv_vfs_fsetxattr(handle, fsp, name, buf, len, 0);
	TALLOC_FREE(buf);
	return ret;
}

int csv_vfs_sys_acl_delete_def_fd(struct vfs_handle_struct *handle,
				  struct files_struct *fsp)
{
	int ret;

	ret = csv_vfs_fremovexattr(handle, fsp, CSV_ACL_DEFAULT);
	if (ret == -1 && errno == ENOATTR) {
		return 0;
	}
	return ret;
}
