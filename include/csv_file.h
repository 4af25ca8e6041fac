/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shapes that every part shares: attributes, credentials, file handles,
 * flags of an open, and the two kinds of failure.
 *
 * Errors: every function of lib/ returns 0 or a positive errno value that the
 * file system gave (fatal, forwarded unchanged), or one of the CSV_E_* codes
 * below (expected: handled by the direct caller, never shown to an
 * application).
 */
#ifndef _CSV_FILE_H_
#define _CSV_FILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Above every errno. */
#define CSV_E_LOST  0x10001 /* the way to the owner broke; outcome unknown */
#define CSV_E_STALE 0x10002 /* wrong epoch, or the owner drains: not done */
#define CSV_E_PAUSED 0x10003 /* volume not Active and caller may not wait */

#define CSV_MAX_NAME   4096		/* bytes of a path argument, no NUL */
#define CSV_MAX_XATTR  65536		/* bytes of a value or of a name list */
#define CSV_MAX_DATA   (8 * 1024 * 1024) /* bytes of one read or write */
#define CSV_MAX_GROUPS 65536
#define CSV_MAX_FHANDLE 128		/* MAX_HANDLE_SZ */
#define CSV_VOLUME_NAME_MAX 63

/* Flags of an open: values of ours, the same on every architecture. */
#define CSV_O_READ	0x0001
#define CSV_O_WRITE	0x0002
#define CSV_O_CREAT	0x0004
#define CSV_O_EXCL	0x0008
#define CSV_O_TRUNC	0x0010
#define CSV_O_APPEND	0x0020
#define CSV_O_DIRECTORY	0x0040
#define CSV_O_NOFOLLOW	0x0080
#define CSV_O_PATH	0x0100	/* attributes, xattrs and as dir only */
#define CSV_O_SYNC	0x0200	/* write-through: every write is stable */
#define CSV_O_NONBLOCK	0x0400
#define CSV_O_NOSYMLINKS 0x0800	/* no component may be a symlink: ELOOP */
#define CSV_O_STABLE	0x1000	/* creation itself is stable when answered */
#define CSV_O_REPLAY	0x2000	/* sent before; may have happened */
/* never repeated when a down-level handle is opened again */
#define CSV_O_ONCE (CSV_O_CREAT | CSV_O_EXCL | CSV_O_TRUNC)

/* Who asks. A borrowed view: the arrays belong to the caller. */
struct csv_cred {
	uint32_t uid;
	uint32_t gid;
	uint32_t umask;
	uint32_t num_groups;
	const uint32_t *groups;
};

struct csv_stat {
	uint64_t ino;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint64_t rdev;
	int64_t size;	 /* bytes */
	int64_t blocks;	 /* of 512 bytes */
	uint32_t blksize; /* bytes */
	struct timespec atime;
	struct timespec mtime;
	struct timespec ctime;
	struct timespec btime; /* 0,0 where the file system has none */
};

/* Opaque name of a file that survives rename, unmount and change of owner. */
struct csv_fhandle {
	uint32_t type; /* as name_to_handle_at(2) gives it */
	uint32_t length;
	uint8_t data[CSV_MAX_FHANDLE];
};

struct csv_statfs {
	uint64_t bsize; /* bytes of a block; the counts below are blocks */
	uint64_t blocks;
	uint64_t bfree;
	uint64_t bavail;
	uint64_t files;
	uint64_t ffree;
	uint32_t namemax;
	uint32_t flags; /* ST_RDONLY … of statvfs(3) */
};

/* What csv_*_setattr changes: only the members named in mask. */
#define CSV_ATTR_MODE  0x01
#define CSV_ATTR_UID   0x02
#define CSV_ATTR_GID   0x04
#define CSV_ATTR_SIZE  0x08
#define CSV_ATTR_ATIME 0x10
#define CSV_ATTR_MTIME 0x20

struct csv_setattr {
	uint32_t mask;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int64_t size;
	struct timespec atime;
	struct timespec mtime;
};

/*
 * What a listing shall bring of each entry beside its attributes: the values
 * of these xattrs, as far as they are small. Or, with `like`: names alone, and
 * only those that may be this one in other case: the same but for the case of
 * ASCII letters, or with bytes beyond ASCII, which the caller compares.
 */
#define CSV_MAX_WANT 8
#define CSV_MAX_WANTED_NAMES 1024 /* bytes of all xattr names of an entry */
#define CSV_MAX_WANTED_VALUE 4096 /* bytes of one value */

struct csv_want {
	uint32_t num;
	const char *xattrs[CSV_MAX_WANT];
	const char *like; /* ASCII; NULL: all entries */
};

struct csv_value {
	bool present; /* false: none, too large, or not for this user */
	uint32_t length;
	const uint8_t *data;
};

/*
 * What the user who lists could have learnt of the entry by opening it
 * (CSV_O_PATH | CSV_O_NOFOLLOW) and asking the handle, all of it of one and
 * the same file.
 */
struct csv_extra {
	struct csv_fhandle fh;
	const char *names; /* of all xattrs, as listxattr(2) gives them */
	uint32_t names_length;
	struct csv_value values[CSV_MAX_WANT]; /* in the order wanted */
};

/* One entry of a listing; name is NUL-terminated for convenience. */
struct csv_dirent {
	uint64_t cookie; /* continue after this entry */
	uint32_t name_len;
	const char *name; /* belongs to the csv_dirlist */
	bool has_stat;	  /* false: vanished since, or names were wanted */
	struct csv_stat st;
	/*
	 * Talloc child of the list. NULL: nothing was wanted, it cannot be
	 * told (no right, too much of it), or the entry is "." or "..".
	 */
	const struct csv_extra *extra;
};

struct csv_dirlist {
	uint32_t num;
	bool eof;
	struct csv_dirent *entries; /* talloc child of the list */
};

/* Flags of the operations that change a name or attributes. */
#define CSV_F_STABLE 0x01 /* on stable storage before the answer */
#define CSV_F_NOREPLACE 0x02 /* rename: EEXIST rather than replace */
#define CSV_F_RMDIR 0x04 /* unlink: the name is a directory */
#define CSV_F_FOLLOW 0x08 /* stat, setattr by name: follow a symlink */
#define CSV_F_DATASYNC 0x10 /* fsync: data and size only */
#define CSV_F_XCREATE 0x20 /* setxattr: XATTR_CREATE */
#define CSV_F_XREPLACE 0x40 /* setxattr: XATTR_REPLACE */
#define CSV_F_REPLAY 0x80 /* sent before; may have happened */

/* Name of the volume's own directory, in its root, invisible to clients. */
#define CSV_HIDDEN_DIR ".csv"

#endif /* _CSV_FILE_H_ */
