/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inside of serving: serve.c (life, volumes, commands), serve_loop.c (the
 * socket thread), serve_conn.c (one connection: bytes), serve_out.c (answers),
 * serve_buf.c and serve_pipe.c (what data are kept in on their way),
 * serve_op.c (one message), serve_exec.c and serve_once.c (operations, in workers),
 * serve_pool.c (worker threads), replay.c.
 *
 * Who may touch what: everything but a job that a worker has and the pools'
 * queues belongs to the socket thread. The main thread has commands run there
 * (serve_command). A job is a talloc tree of its own and belongs to one
 * thread at a time; talloc trees are never shared between threads.
 *
 * What keeps what alive: a job holds its connection, handles, credential and
 * volume; a handle holds its file; a volume ends when it is draining and has
 * neither jobs nor handles.
 */
#ifndef _CSVD_SERVE_PRIVATE_H_
#define _CSVD_SERVE_PRIVATE_H_

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include "csvd/serve.h"
#include "lib/volume/backend.h"
#include "lib/wire/codec.h"
#include "lib/wire/tls.h"

#define SERVE_CREDITS 128
#define SERVE_WINDOW (16 * 1024 * 1024)
#define SERVE_CREDS 64
#define SERVE_ATTACHMENTS 16
#define SERVE_MAX_CONNS 4096
#define SERVE_MAX_NEW 128 /* connections that did not authenticate yet */
#define SERVE_NEW_MS 5000 /* and how long they may take */
#define SERVE_RX_SIZE 40960
#define SERVE_RX_INLINE 36864 /* a message so large is handled in the buffer */
#define SERVE_RX_HEAD 4096
#define SERVE_BATCH 65536 /* small answers share a send */
#define SERVE_SEND_EARLY 98304 /* so much to send does not wait for more */
#define SERVE_SMALL_READ 16384
#define SERVE_WORKERS 16
#define SERVE_BUF_MIN 65536 /* buffers for data are kept and used again */
#define SERVE_BUF_MAX 1048576
#define SERVE_BUFS_KEPT 16 /* of each size */
#define SERVE_MAX_READDIR 131072
#define SERVE_PIPE_MIN 262144 /* so large a read goes through a pipe */
#define SERVE_PIPE_SIZE 1048576 /* what anybody may have: pipe-max-size */
#define SERVE_PIPE_PAGE 4096
#define SERVE_PIPES 64

struct serve_conn;
struct serve_job;
struct serve_volume;
struct replay_table;

/*
 * Named points in a worker where tests may act or wait (fault.c). BEGUN and
 * MADE are those of operations that are not repeatable.
 */
enum serve_fault {
	SERVE_FAULT_BEFORE_OP, /* "before": nothing is done */
	SERVE_FAULT_BEGUN,     /* "begun": recorded that it begins */
	SERVE_FAULT_MADE,      /* "made": done, its answer is not recorded */
	SERVE_FAULT_AFTER_OP,  /* "after": done and stable, not answered */
	SERVE_FAULTS
};
/* NULL outside tests. */
extern void (*serve_fault_fn)(enum serve_fault point, enum csv_op op);

struct serve_pool {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct serve_job *queue;
	unsigned idle;
	unsigned num_threads;
	pthread_t *threads;
	bool quit;
};

struct serve_volume {
	struct serve_volume *prev, *next;
	struct csv_serve *serve;
	char *name;
	uint64_t epoch;
	struct csv_backend *backend;
	struct serve_pool pool;
	struct replay_table *replay;
	unsigned grace_ms; /* it begins with that; 0: without */
	bool grace; /* only replays are done yet */
	uint64_t grace_end; /* of csv_now_ms() */
	struct serve_job *waiting; /* for the end of it */
	bool draining;
	bool idle; /* serve->mutex; draining, and nothing is left */
	bool no_inline_write;
	unsigned jobs;
	unsigned handles;
	struct csv_serve_counters counters;
};

/* What was served of a volume by the ownerships that are over. */
struct serve_past {
	struct serve_past *prev, *next;
	char *name;
	struct csv_serve_counters counters;
};

struct serve_cred {
	unsigned refs;
	struct csv_cred cred; /* groups: child */
};

struct serve_handle {
	uint64_t number;
	struct serve_volume *vol;
	struct csv_file *file;
	int fd; /* of the file, for the fast path */
	unsigned refs;
	bool root;   /* the file is the backend's */
	bool closed; /* no longer in the table; goes when refs is 0 */
	bool keep;   /* closed, but not by the client */
};

/* Data of a file on their way to a socket; empty while it is kept. */
struct serve_pipe {
	struct serve_pipe *prev, *next;
	int in, out;
	size_t held; /* bytes in it */
};

struct serve_out {
	struct serve_out *prev, *next;
	size_t sent;
	size_t total;
	struct serve_pipe *pipe; /* what it holds comes behind iov */
	int num;
	struct iovec iov[3];
	size_t room; /* > 0: a batch, so much may be added */
	uint8_t *buf; /* of a batch */
	struct serve_job *job; /* freed when sent */
};

struct serve_attachment {
	uint16_t id;
	struct serve_volume *vol; /* NULL: over */
};

enum serve_conn_state { SERVE_NEW, SERVE_SHAKEN, SERVE_READY };

struct serve_conn {
	struct serve_conn *prev, *next;
	struct csv_serve *serve;
	struct csv_tls *tls;
	struct csv_transport *t;
	enum serve_conn_state state;
	uint64_t since_ms;
	char address[64];
	uint32_t node;
	struct GUID client;
	uint32_t events; /* as epoll knows them */
	bool dead;	 /* goes when it has no jobs */
	bool paused;	 /* not read from */
	bool pending;	 /* the transport holds bytes */
	unsigned jobs;
	unsigned inflight; /* requests with an answer to come */
	size_t held;	   /* bytes of data of jobs and unsent answers */

	struct serve_handle **handles;
	uint32_t num_slots;
	uint32_t num_handles;
	uint32_t first_free; /* search starts here */
	uint64_t generation;
	struct serve_cred *creds[SERVE_CREDS + 1];
	struct serve_attachment attachments[SERVE_ATTACHMENTS];
	struct serve_job *running; /* all jobs, for cancel */
	/*
	 * Closes in progress, and requests by name that came behind them:
	 * these find what the close did (a deleted file is gone).
	 */
	unsigned closing;
	struct serve_job *behind;

	struct serve_out *out;

	/* receiving */
	bool big; /* h is of a message that does not fit rx */
	struct csv_header h;
	uint8_t *big_body;
	uint8_t *big_data;
	size_t big_got;
	bool last_big;
	size_t rx_start;
	size_t rx_end;
	uint8_t rx[SERVE_RX_SIZE];
};

struct serve_job {
	struct serve_job *prev, *next;	     /* queue of pool, or done */
	struct serve_job *cprev, *cnext;     /* of the connection */
	struct serve_conn *conn;	     /* NULL: closes a file */
	struct serve_conn *closer;	     /* of such: for conn->closing */
	struct serve_volume *vol;
	struct csv_header h;
	struct serve_handle *handle[2];
	struct serve_cred *cred;
	atomic_bool cancelled;
	bool replay; /* may have happened under another owner */
	bool by_fh;  /* open: did happen, this is the file */
	bool has_token;
	uint64_t token;
	void *req; /* the body; talloc child */
	struct csv_io_req io;
	uint8_t *data; /* of a write; talloc child */
	size_t data_len;
	size_t cost;

	int status;
	uint8_t *body; /* talloc child */
	size_t body_len;
	uint8_t *rdata; /* talloc child */
	struct serve_pipe *pipe; /* in place of rdata, if it holds anything */
	size_t rdata_len;
	struct csv_file *new_file; /* of an open; to be closed: no conn */
	uint64_t new_number;
	struct csv_fhandle fh;
	struct serve_out out;
	uint8_t head[CSV_WIRE_HEADER];
};

struct serve_refusal {
	char address[64];
	uint64_t logged_ms;
	unsigned silent;
};

struct serve_command {
	void (*fn)(struct csv_serve *serve, void *private_data);
	void *private_data;
	bool done;
};

struct csv_serve {
	struct csv_tls_server_params tls;
	unsigned keepalive_ms;
	unsigned num_workers;
	int listen_fd;
	int epoll_fd;
	int event_fd;
	uint16_t port;
	pthread_t thread;
	bool thread_runs;

	pthread_mutex_t mutex; /* command, volumes' idle, done */
	pthread_cond_t cond;
	struct serve_command *command;
	struct serve_job *done;

	/* socket thread */
	bool quit;
	bool deaf; /* does not accept for a while */
	struct serve_conn *conns;
	struct serve_conn *dead; /* to be freed after the round */
	unsigned num_conns;
	unsigned num_new;
	unsigned num_grace; /* volumes */
	struct serve_volume *volumes;
	struct serve_past *pasts;
	struct csv_serve_counters counters;
	struct serve_refusal refusals[32];
	struct serve_out *batches; /* unused ones */
	unsigned num_batches;
	uint8_t *bufs[5][SERVE_BUFS_KEPT]; /* by power of two, unused */
	unsigned num_bufs[5];
	struct serve_pipe *pipes; /* unused ones */
	unsigned num_pipes;	  /* all */
};

/* serve.c */
void serve_volume_check(struct serve_volume *vol);
struct serve_volume *serve_volume_find(struct csv_serve *serve,
				       const char *name,
				       size_t len);

/* serve_loop.c */
void *serve_thread(void *private_data);
void serve_wake(struct csv_serve *serve);
void serve_events(struct serve_conn *conn);
void serve_refused(struct csv_serve *serve,
		   const char *address,
		   const char *why);

/* serve_conn.c */
void serve_conn_accept(struct csv_serve *serve, int fd, const char *address);
void serve_conn_event(struct serve_conn *conn, uint32_t events);
/* Close now; memory goes when the last job is back. */
void serve_conn_kill(struct serve_conn *conn);
void serve_conn_put(struct serve_conn *conn);
/* Read on, or not, by what the connection holds. */
void serve_conn_throttle(struct serve_conn *conn);

/* serve_out.c */
/* An answer with a small body. */
void serve_reply(struct serve_conn *conn,
		 const struct csv_header *req,
		 int status,
		 const uint8_t *body,
		 size_t len);
/* len bytes in a batch, to be filled at once; NULL: no memory. */
uint8_t *serve_batch(struct serve_conn *conn, size_t len);
/* Give back the last bytes of serve_batch(). */
void serve_batch_shrink(struct serve_conn *conn, size_t len);
void serve_header(const struct csv_header *req,
		  int status,
		  size_t body_len,
		  size_t data_len,
		  uint8_t buf[CSV_WIRE_HEADER]);
/* The answer of a job, which is freed when it is sent. */
void serve_reply_job(struct serve_conn *conn, struct serve_job *job);
void serve_flush(struct serve_conn *conn);
void serve_drop_out(struct serve_conn *conn);

/* serve_buf.c */
/* At least len bytes, a talloc child of mem_ctx; NULL: no memory. */
uint8_t *serve_buf_get(struct csv_serve *serve,
		       TALLOC_CTX *mem_ctx,
		       size_t len);
/* NULL is fine. Only what serve_buf_get() gave. */
void serve_buf_put(struct csv_serve *serve, uint8_t *buf);

/* serve_pipe.c */
/* NULL: there are enough, or the system has none to give. */
struct serve_pipe *serve_pipe_get(struct csv_serve *serve);
/* NULL is fine. One that is not empty is closed. */
void serve_pipe_put(struct csv_serve *serve, struct serve_pipe *p);
/*
 * An empty pipe takes len bytes of a file, fewer only at its end: p->held.
 * Blocks as pread(2). False: the file cannot do that, or an error; what is in
 * the pipe is void. Any thread.
 */
bool serve_pipe_fill(struct serve_pipe *p,
		     int fd,
		     uint64_t offset,
		     size_t len);

/* serve_op.c */
/*
 * One message. data may be NULL; data_owned: it is from serve_buf_get() and
 * the callee takes it over. False: nonsense, the connection ends.
 */
bool serve_message(struct serve_conn *conn,
		   const struct csv_header *h,
		   const uint8_t *body,
		   uint8_t *data,
		   bool data_owned);
/* serve_job.c */
struct serve_job *serve_job_new(struct serve_conn *conn,
				struct serve_volume *vol,
				const struct csv_header *h);
void serve_job_start(struct serve_job *job);
/* A worker is through with it. */
void serve_job_done(struct serve_job *job);
void serve_job_answer(struct serve_job *job);
/* Its data are in its pipe. */
bool serve_job_piped(const struct serve_job *job);

/* serve_grace.c: of the socket thread */
/* Does this request have to wait? */
bool serve_grace_waits(const struct serve_volume *vol,
		       const struct csv_header *h);
void serve_grace_wait(struct serve_job *job);
void serve_grace_begin(struct serve_volume *vol, unsigned grace_ms);
/* status 0: do what waits; else answer it so. No-op outside grace. */
void serve_grace_end(struct serve_volume *vol, int status);
/* End those whose time is up. */
void serve_grace_tick(struct csv_serve *serve);
void serve_cred_put(struct serve_cred *cred);

/* serve_handle.c */
struct serve_handle *serve_handle_new(struct serve_conn *conn,
				      struct serve_volume *vol,
				      struct csv_file *file,
				      bool root);
struct serve_handle *serve_handle_find(struct serve_conn *conn,
				       uint64_t number);
void serve_handle_put(struct serve_conn *conn, struct serve_handle *handle);
/* Out of the table. keep: the client did not ask for it. */
void serve_handle_close(struct serve_conn *conn,
			struct serve_handle *handle,
			bool keep);
/* All of a connection; vol NULL: of any volume. */
void serve_handles_close(struct serve_conn *conn, struct serve_volume *vol);

/* serve_exec.c: in a worker */
void serve_exec(struct serve_job *job);

/* serve_once.c: with a record on the volume */
int serve_once(struct serve_job *job, int (*fn)(struct serve_job *job));

/* serve_pool.c */
void serve_fault(enum serve_fault point, const struct serve_job *job);
int serve_pool_start(struct serve_pool *pool, TALLOC_CTX *mem_ctx,
		     unsigned num);
void serve_pool_stop(struct serve_pool *pool);
void serve_pool_add(struct serve_pool *pool, struct serve_job *job);

#endif /* _CSVD_SERVE_PRIVATE_H_ */
