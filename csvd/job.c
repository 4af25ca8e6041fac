/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One detached thread per call. The thread and the request share a small
 * block with two references; whoever comes last frees it.
 */
#include "includes.h"
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include "lib/util/tevent_unix.h"
#include "csvd/job.h"
#include "csvd/clock.h"

struct job {
	int references; /* under jobs_lock */
	enum csvd_job what;
	int fd;
	int done_fd;
	int result;
	struct csvd_mark mark, found;
};

struct job_state {
	struct job *job;
	struct tevent_fd *fde;
	struct timeval started;
};

static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned jobs_hanging;

unsigned csvd_jobs_hanging(void)
{
	unsigned n;

	pthread_mutex_lock(&jobs_lock);
	n = jobs_hanging;
	pthread_mutex_unlock(&jobs_lock);
	return n;
}

/*
 * Both sides call this once. A thread whose request went first is hanging
 * until it comes here; its descriptor is closed by then.
 */
static void job_put(struct job *job, bool thread)
{
	bool last;

	pthread_mutex_lock(&jobs_lock);
	job->references--;
	last = job->references == 0;
	if (thread) {
		jobs_hanging -= last ? 1 : 0;
	} else {
		jobs_hanging += last ? 0 : 1;
	}
	pthread_mutex_unlock(&jobs_lock);
	if (last) {
		close(job->done_fd);
		free(job);
	}
}
static int job_check(int fd)
{
	struct statvfs sfs = {};
	struct stat st = {};

	if (fstat(fd, &st) == -1 || fstatvfs(fd, &sfs) == -1) {
		return errno;
	}
	if (sfs.f_flag & ST_RDONLY) {
		return EROFS;
	}
	return 0;
}

static void *job_thread(void *private_data)
{
	struct job *job = private_data;
	uint64_t one = 1;
	ssize_t n;

	if (job->what == CSVD_JOB_SYNC) {
		job->result = syncfs(job->fd) == -1 ? errno : 0;
	} else if (job->what == CSVD_JOB_MARK) {
		job->result = csvd_mark_note(job->fd, &job->mark, &job->found);
	} else {
		job->result = job_check(job->fd);
	}
	close(job->fd);
	n = write(job->done_fd, &one, sizeof(one));
	(void)n;
	job_put(job, true);
	return NULL;
}

static int job_state_destructor(struct job_state *state)
{
	TALLOC_FREE(state->fde);
	if (state->job != NULL) {
		job_put(state->job, false);
	}
	return 0;
}

static void job_done(struct tevent_context *ev,
		     struct tevent_fd *fde,
		     uint16_t flags,
		     void *private_data)
{
	struct tevent_req *req = private_data;
	struct job_state *state = tevent_req_data(req, struct job_state);
	int result = state->job->result;

	TALLOC_FREE(state->fde);
	if (result != 0) {
		tevent_req_error(req, result);
		return;
	}
	tevent_req_done(req);
}

static void job_timeout(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct tevent_req *req = private_data;

	tevent_req_error(req, ETIMEDOUT);
}

static int job_start(struct job_state *state,
		     enum csvd_job what,
		     int fd,
		     const struct csvd_mark *mark)
{
	struct job *job = calloc(1, sizeof(*job));
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	if (job == NULL) {
		return ENOMEM;
	}
	job->references = 2;
	job->what = what;
	job->mark = *mark;
	job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	job->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (job->fd == -1 || job->done_fd == -1) {
		ret = errno;
		goto fail;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&thread, &attr, job_thread, job);
	pthread_attr_destroy(&attr);
	if (ret != 0) {
		goto fail;
	}
	state->job = job;
	return 0;
fail:
	if (job->fd != -1) {
		close(job->fd);
	}
	if (job->done_fd != -1) {
		close(job->done_fd);
	}
	free(job);
	return ret;
}

static struct tevent_req *job_send(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   enum csvd_job what,
				   int fd,
				   const struct csvd_mark *mark,
				   unsigned timeout_ms)
{
	struct tevent_req *req = NULL;
	struct job_state *state = NULL;
	struct tevent_timer *te = NULL;
	struct timeval end;
	int ret;

	req = tevent_req_create(mem_ctx, &state, struct job_state);
	if (req == NULL) {
		return NULL;
	}
	state->started = csvd_clock();
	talloc_set_destructor(state, job_state_destructor);
	ret = job_start(state, what, fd, mark);
	if (ret != 0) {
		tevent_req_error(req, ret);
		return tevent_req_post(req, ev);
	}
	state->fde = tevent_add_fd(ev,
				   state,
				   state->job->done_fd,
				   TEVENT_FD_READ,
				   job_done,
				   req);
	end = tevent_timeval_current_ofs(timeout_ms / 1000,
					 timeout_ms % 1000 * 1000);
	te = tevent_add_timer(ev, state, end, job_timeout, req);
	if (state->fde == NULL || te == NULL) {
		tevent_req_error(req, ENOMEM);
		return tevent_req_post(req, ev);
	}
	return req;
}

struct tevent_req *csvd_job_send(TALLOC_CTX *mem_ctx,
				 struct tevent_context *ev,
				 enum csvd_job what,
				 int fd,
				 unsigned timeout_ms)
{
	const struct csvd_mark none = {};

	return job_send(mem_ctx, ev, what, fd, &none, timeout_ms);
}

struct tevent_req *csvd_job_mark_send(TALLOC_CTX *mem_ctx,
				      struct tevent_context *ev,
				      int fd,
				      const struct csvd_mark *mark,
				      unsigned timeout_ms)
{
	return job_send(mem_ctx, ev, CSVD_JOB_MARK, fd, mark, timeout_ms);
}

int csvd_job_mark_recv(struct tevent_req *req, struct csvd_mark *found)
{
	struct job_state *state = tevent_req_data(req, struct job_state);

	if (state->job != NULL) {
		*found = state->job->found;
	}
	return csvd_job_recv(req, NULL);
}

int csvd_job_recv(struct tevent_req *req, uint64_t *usec)
{
	struct job_state *state = tevent_req_data(req, struct job_state);
	struct timeval now = csvd_clock();
	int err = 0;

	if (usec != NULL) {
		*usec = usec_time_diff(&now, &state->started);
	}
	(void)tevent_req_is_unix_error(req, &err);
	tevent_req_received(req);
	return err;
}
