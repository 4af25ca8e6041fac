/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What volume.c (state and target), handle.c (virtual handles), call.c
 * (synchronous operations), io.c (asynchronous data) and unstable.c know of
 * each other. Nobody else includes this.
 *
 * Invariants:
 *   - backend != NULL only in SetDownLevel (being made, or waiting for the end
 *     of grace), Active and Draining.
 *   - every down-level file belongs to the backend of `generation`; the files
 *     of all handles are freed before the backend is.
 *   - busy > 0: an operation of the backend is on the stack, so the backend
 *     stays; csv_volume_settle() does what had to wait once busy is 0.
 */
#ifndef _CSV_VOLUME_PRIVATE_H_
#define _CSV_VOLUME_PRIVATE_H_

#include "volume.h"
#include "local.h"
#include "gen_ndr/csv.h"

#define CSV_TICK_MS 200	     /* a turn of a synchronous wait */
#define CSV_RETRY_S 1	     /* between attempts to reach the same owner */
#define CSV_CONNECT_MS 2000  /* an attempt; nobody is kept from anything */

struct csv_io;

struct csv_volume {
	struct csv_volume_params p; /* p.name belongs to the volume */
	int wake_fd;
	enum csv_state state;
	enum csv_state notified; /* what state_fn was last told */
	struct csv_target target;
	uint64_t target_serial; /* grows with each target */
	uint64_t active_epoch;	/* of the last time it was Active */
	bool ready;	 /* READY came; the backend may be made */
	bool teardown;	 /* the backend is dead; drop it when not busy */
	bool retry_same; /* lost without word from csvd: try the target again */
	bool owes_drained; /* csvd waits for drained_fn */
	bool failed;	 /* given up; synchronous calls do not wait */
	bool shutdown;
	struct csv_remote_start *connecting; /* in SetDownLevel only */
	bool outdated; /* csvd said something new: give that attempt up */
	struct csv_backend *backend;
	uint64_t generation; /* of the backend */
	unsigned busy;
	unsigned repeating; /* synchronous calls that are done again */
	unsigned resent;    /* asynchronous ones, at the backend */
	bool owes_replayed; /* csvd waits for replayed_fn */
	unsigned inflight; /* asynchronous requests at the backend */
	struct csv_handle *handles;
	struct csv_io *ios; /* in the order they were asked for */
	struct tevent_immediate *notify;
	struct tevent_timer *retry;
	unsigned retry_waited_ms; /* in synchronous waits, timers stand still */
	struct tevent_timer *limit; /* runs while not Active */
	uint64_t next_token;
	uint8_t client[16]; /* whose tokens these are */
	size_t unstable_bytes; /* kept for replay, all handles */
	struct csv_unstable **unstable_hash; /* by place; NULL: none yet */
	struct csv_volume_counters counters;
};

struct csv_unstable {
	struct csv_unstable *prev, *next;
	struct csv_unstable *same_hash;
	struct csv_handle *h;
	int64_t offset;
	size_t length;
	uint64_t serial; /* of the write, grows */
	uint64_t epoch;	 /* of the owner that has it in its memory */
	const uint8_t *data;
	const void *holder; /* of data: talloc child, or referred to */
	uint8_t *copy;	    /* data, when it is a copy */
};

struct csv_handle {
	struct csv_handle *prev, *next;
	struct csv_volume *vol;
	struct csv_fhandle fh;
	uint32_t how;
	bool invalid; /* the volume was given up while it was open */
	struct csv_file *file; /* down-level, NULL: to be opened */
	struct csv_unstable *unstable; /* in the order written */
	uint64_t unstable_serial;      /* of the last one */
	bool committing;	       /* a flush of our own is running */
	int unstable_error;	       /* the next flush tells of it, once */
};

/* volume.c */

/* Do what became possible; never while busy. */
void csv_volume_settle(struct csv_volume *vol);

/*
 * The backend of `generation` said CSV_E_LOST or CSV_E_STALE, or its file
 * system is dead: pause and find the next one. No effect when that backend is
 * history already.
 */
void csv_volume_trouble(struct csv_volume *vol, uint64_t generation);

/*
 * Blocks until a synchronous operation may run: 0 or ENXIO. repeats: it is
 * done again.
 */
int csv_volume_enter(struct csv_volume *vol, bool repeats);
void csv_volume_leave(struct csv_volume *vol);

/* May an asynchronous request be handed to the backend now? */
bool csv_volume_runs(const struct csv_volume *vol);
/* The same for one that was handed to another before. */
bool csv_volume_replays(const struct csv_volume *vol);

/* Was that the last of what has to be done again? Then say so. */
void csv_volume_check_replayed(struct csv_volume *vol);

/* The error says nothing about the file, only about the way to it. */
bool csv_volume_is_trouble(struct csv_volume *vol, int ret);

/*
 * call.c: run fn with the down-level files of the handles (NULL: the root),
 * again and again until an owner answered: 0 or errno. fn gets CSV_F_REPLAY
 * in `replay` when it may have been done before. once: what is not repeatable
 * about it (without client, token and files); NULL: nothing.
 */
int csv_call_handle(struct csv_handle *h,
		    int (*fn)(struct csv_backend *b,
			      struct csv_file *file[2],
			      void *args,
			      uint32_t replay),
		    void *args,
		    const struct csv_once *once);
int csv_call_dir(struct csv_volume *vol,
		 struct csv_handle *dir,
		 int (*fn)(struct csv_backend *b,
			   struct csv_file *file[2],
			   void *args,
			   uint32_t replay),
		 void *args,
		 const struct csv_once *once);
int csv_call_dirs(struct csv_volume *vol,
		  struct csv_handle *dir0,
		  struct csv_handle *dir1,
		  int (*fn)(struct csv_backend *b,
			    struct csv_file *file[2],
			    void *args,
			    uint32_t replay),
		  void *args,
		  const struct csv_once *once);

typedef int csv_call_fn(struct csv_backend *b,
			struct csv_file *file[2],
			void *args,
			uint32_t replay);

/* recall.c: direct access, an operation that an earlier owner had, too */
int csv_recall(struct csv_backend *b,
	       const struct csv_once *o,
	       struct csv_file *file[2],
	       csv_call_fn *fn,
	       void *args);
/* Of an open: the file, what it is and its handle. */
int csv_recall_open(struct csv_backend *b,
		    TALLOC_CTX *mem_ctx,
		    const struct csv_once *o,
		    uint32_t how,
		    uint32_t mode,
		    struct csv_file **file,
		    struct csv_stat *st,
		    struct csv_fhandle *fh);

/* handle.c */

/*
 * The down-level file, opened again if need be: 0, an errno value (ESTALE:
 * the file is gone; ENXIO: handle invalid) or CSV_E_*.
 */
int csv_handle_file(struct csv_handle *h, struct csv_file **file);
void csv_handles_close_down_level(struct csv_volume *vol);
void csv_handles_invalidate(struct csv_volume *vol);

/* io.c */
void csv_ios_cancel_down_level(struct csv_volume *vol);
/* Hand over what waits; first, or only, what was handed over before. */
void csv_ios_start(struct csv_volume *vol);
void csv_ios_repeat(struct csv_volume *vol);
void csv_ios_fail(struct csv_volume *vol, int error);

/*
 * Something was read or written: count it, and keep what an owner could still
 * lose (unstable.c).
 */
void csv_account_op(struct csv_volume *vol);
void csv_account_read(struct csv_handle *h, size_t n);
void csv_account_write(struct csv_handle *h,
		       const void *buf,
		       size_t n,
		       int64_t offset,
		       uint32_t flags,
		       const void *owner);

/*
 * unstable.c: writes that are not stable yet, kept while redirected. `owner`
 * as in csv_pwrite_send().
 */
void csv_unstable_add(struct csv_handle *h,
		      const void *buf,
		      size_t n,
		      int64_t offset,
		      const void *owner);
/*
 * A flush that was sent when the serial was `serial` succeeded. 0, or the
 * errno value of a flush of our own that failed, told once.
 */
int csv_unstable_commit(struct csv_handle *h, uint64_t serial);
/*
 * Before a change of the file that must not be followed by a copy of an
 * earlier write: flush. 0 or errno.
 */
int csv_unstable_settle(struct csv_handle *h);
/*
 * A backend was made: what an owner that died may have lost is written again,
 * what a clean release brought to the disk is forgotten. 0 or CSV_E_*.
 */
int csv_unstable_replay(struct csv_volume *vol);
/* A handle closes with unstable writes: flush before it goes. */
void csv_unstable_close(struct csv_handle *h);

#endif /* _CSV_VOLUME_PRIVATE_H_ */
