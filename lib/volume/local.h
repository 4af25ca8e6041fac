/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What csvd may know of a local backend beyond backend.h: the descriptor
 * behind a file (RWF_NOWAIT, sendfile, splice) and the identity of threads.
 */
#ifndef _CSV_VOLUME_LOCAL_H_
#define _CSV_VOLUME_LOCAL_H_

#include "backend.h"

/*
 * The descriptor of an open file of a local backend; stays the file's. Only
 * for reading and writing data that needs no stability: a file opened
 * CSV_O_SYNC is *not* O_DSYNC in the kernel, the backend's own writes are
 * what makes it so.
 */
int csv_local_fd(const struct csv_file *file);

/*
 * Must a write that has just been done be flushed before its answer, although
 * nobody asked for that? Other processes write the file as well, and copies
 * of unstable writes would not be repeated (local_writers.c). To be asked
 * after the write. Any thread, any identity; one system call.
 */
bool csv_local_stable_only(struct csv_file *file);
/* Did that say so before? No system call. */
bool csv_local_is_stable_only(const struct csv_file *file);

/*
 * In CSV_CRED_THREAD mode a thread keeps the identity of the last operation
 * that took a cred until the next one needs another: such threads belong to
 * this work alone. This gives the calling thread root's identity and umask
 * 022 back (a no-op for a thread that never took another). 0 or errno.
 */
int csv_local_thread_root(void);

#endif /* _CSV_VOLUME_LOCAL_H_ */
