/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running a program: its end by pidfd, its output by a pipe of which the tail
 * is kept; see child_spawn.c for its begin.
 */
#include "includes.h"
#include <sys/pidfd.h>
#include <sys/wait.h>
#include "lib/util/tevent_unix.h"
#include "csvd/agents.h"
#include "csvd/child.h"
#include "csvd/child_spawn.h"

#define OUTPUT_MAX 2048
#define INPUT_MAX 16384
#define CHILD_NICE "-15"
/* Killed and not ended after this time: it hangs in the kernel. */
#define CHILD_END_MS 3000
#define CHILD_LOOK_MS 20

struct child_state {
	struct tevent_context *ev;
	struct guard_agent *agent;
	uint64_t killed; /* guard_now(): its time was over */
	pid_t pid;
	int pidfd;
	int outfd;
	struct tevent_fd *pid_fde;
	struct tevent_fd *out_fde;
	char output[OUTPUT_MAX + 1];
	size_t length;
	int code;
};

/* Waits for the end of a child that nobody is interested in any more. */
struct child_reaper {
	int pidfd;
	struct tevent_fd *fde;
};

static int child_reaper_destructor(struct child_reaper *reaper)
{
	siginfo_t info = {};

	TALLOC_FREE(reaper->fde);
	(void)waitid(P_PIDFD, reaper->pidfd, &info, WEXITED | WNOHANG);
	close(reaper->pidfd);
	return 0;
}

static void child_reap(struct tevent_context *ev,
		       struct tevent_fd *fde,
		       uint16_t flags,
		       void *private_data)
{
	struct child_reaper *reaper = private_data;

	talloc_free(reaper);
}

static void child_abandon(struct child_state *state)
{
	struct child_reaper *reaper = NULL;

	(void)csvd_agent_kill(state->agent);
	reaper = talloc_zero(state->ev, struct child_reaper);
	if (reaper == NULL) {
		return;
	}
	reaper->pidfd = state->pidfd;
	state->pidfd = -1;
	talloc_set_destructor(reaper, child_reaper_destructor);
	reaper->fde = tevent_add_fd(state->ev,
				    reaper,
				    reaper->pidfd,
				    TEVENT_FD_READ,
				    child_reap,
				    reaper);
	if (reaper->fde == NULL) {
		talloc_free(reaper);
	}
}

static int child_state_destructor(struct child_state *state)
{
	TALLOC_FREE(state->pid_fde);
	TALLOC_FREE(state->out_fde);
	if (state->pidfd != -1) {
		child_abandon(state);
	}
	if (state->outfd != -1) {
		close(state->outfd);
		state->outfd = -1;
	}
	return 0;
}

/* Keeps the last OUTPUT_MAX bytes. Returns false at the end. */
static bool child_read(struct child_state *state)
{
	char buf[1024];
	ssize_t n;
	size_t keep;

	n = read(state->outfd, buf, sizeof(buf));
	if (n == -1) {
		return errno == EAGAIN || errno == EINTR;
	}
	if (n == 0) {
		return false;
	}
	keep = MIN(state->length, OUTPUT_MAX - (size_t)n);
	memmove(state->output,
		state->output + state->length - keep,
		keep);
	memcpy(state->output + keep, buf, n);
	state->length = keep + n;
	return true;
}

static void child_output(struct tevent_context *ev,
			 struct tevent_fd *fde,
			 uint16_t flags,
			 void *private_data)
{
	struct child_state *state = private_data;

	if (!child_read(state)) {
		TALLOC_FREE(state->out_fde);
	}
}

static void child_ended(struct tevent_context *ev,
			struct tevent_fd *fde,
			uint16_t flags,
			void *private_data)
{
	struct tevent_req *req = private_data;
	struct child_state *state = tevent_req_data(req, struct child_state);
	siginfo_t info = {};
	size_t before;
	int ret;

	ret = waitid(P_PIDFD, state->pidfd, &info, WEXITED | WNOHANG);
	if (ret == -1) {
		tevent_req_error(req, errno);
		return;
	}
	if (info.si_pid == 0) {
		return;
	}
	TALLOC_FREE(state->pid_fde);
	close(state->pidfd);
	state->pidfd = -1;
	csvd_agent_done(state->agent);
	if (state->killed != 0) {
		return; /* child_await() waits for the rest of it */
	}
	state->code = info.si_status;
	if (info.si_code != CLD_EXITED) {
		state->code += 128;
	}
	do {
		before = state->length;
	} while (state->out_fde != NULL && child_read(state) &&
		 state->length != before);
	tevent_req_done(req);
}

/* Too late: all of it must have ended before anybody is told. */
static void child_await(struct tevent_context *ev,
			struct tevent_timer *te,
			struct timeval now,
			void *private_data)
{
	struct tevent_req *req = private_data;
	struct child_state *state = tevent_req_data(req, struct child_state);

	if (!csvd_agent_kill(state->agent) && state->pidfd == -1) {
		tevent_req_error(req, ETIMEDOUT);
		return;
	}
	if (guard_now() > state->killed + CHILD_END_MS) {
		tevent_req_error(req, EBUSY);
		return;
	}
	te = tevent_add_timer(ev,
			      state,
			      tevent_timeval_current_ofs(0,
							 CHILD_LOOK_MS * 1000),
			      child_await,
			      req);
	(void)tevent_req_nomem(te, req);
}

static void child_timeout(struct tevent_context *ev,
			  struct tevent_timer *te,
			  struct timeval now,
			  void *private_data)
{
	struct tevent_req *req = private_data;
	struct child_state *state = tevent_req_data(req, struct child_state);

	state->killed = guard_now();
	child_await(ev, te, now, private_data);
}

static int child_input_pipe(const char *input, int *fd)
{
	size_t length = input != NULL ? strlen(input) : 0;
	ssize_t n;
	int fds[2];

	if (length > INPUT_MAX) {
		return E2BIG;
	}
	if (pipe2(fds, O_CLOEXEC) == -1) {
		return errno;
	}
	n = length > 0 ? write(fds[1], input, length) : 0;
	close(fds[1]);
	if (n != (ssize_t)length) {
		close(fds[0]);
		return EIO;
	}
	*fd = fds[0];
	return 0;
}

/*
 * Clients wait for agents, which are shell scripts of a hundred forks: on a
 * loaded node they go first. The scheduler groups processes by session, hence
 * a session of its own, whose weight counts (nice alone would not).
 */
static void child_hurry(pid_t pid)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/autogroup", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1) {
		return;
	}
	n = write(fd, CHILD_NICE, strlen(CHILD_NICE));
	(void)n;
	close(fd);
}

static int child_start(struct child_state *state,
		       const struct csvd_child_params *params)
{
	int fds[2];
	int in = -1;
	int ret;

	ret = child_input_pipe(params->input, &in);
	if (ret != 0) {
		return ret;
	}
	if (pipe2(fds, O_CLOEXEC) == -1) {
		ret = errno;
		close(in);
		return ret;
	}
	state->agent = csvd_agent_new(params->page,
				      params->volume,
				      params->changes);
	ret = state->agent == NULL
		      ? EAGAIN
		      : csvd_child_spawn(params,
					 state->agent,
					 in,
					 fds[1],
					 &state->pid);
	close(in);
	close(fds[1]);
	state->outfd = fds[0];
	if (ret != 0) {
		return ret;
	}
	child_hurry(state->pid);
	set_blocking(state->outfd, false);
	state->pidfd = pidfd_open(state->pid, 0);
	if (state->pidfd == -1) {
		ret = errno;
		(void)csvd_agent_kill(state->agent);
		(void)waitpid(state->pid, NULL, 0);
		return ret;
	}
	return 0;
}

static bool child_watch(struct tevent_req *req, struct child_state *state)
{
	state->pid_fde = tevent_add_fd(state->ev,
				       state,
				       state->pidfd,
				       TEVENT_FD_READ,
				       child_ended,
				       req);
	state->out_fde = tevent_add_fd(state->ev,
				       state,
				       state->outfd,
				       TEVENT_FD_READ,
				       child_output,
				       state);
	return state->pid_fde != NULL && state->out_fde != NULL;
}

struct tevent_req *csvd_child_send(TALLOC_CTX *mem_ctx,
				   struct tevent_context *ev,
				   const struct csvd_child_params *params)
{
	struct tevent_req *req = NULL;
	struct child_state *state = NULL;
	struct tevent_timer *te = NULL;
	struct timeval end;
	int ret;

	req = tevent_req_create(mem_ctx, &state, struct child_state);
	if (req == NULL) {
		return NULL;
	}
	state->ev = ev;
	state->pidfd = -1;
	state->outfd = -1;
	talloc_set_destructor(state, child_state_destructor);

	ret = child_start(state, params);
	if (ret != 0) {
		tevent_req_error(req, ret);
		return tevent_req_post(req, ev);
	}
	end = tevent_timeval_current_ofs(params->timeout_ms / 1000,
					 params->timeout_ms % 1000 * 1000);
	te = tevent_add_timer(ev, state, end, child_timeout, req);
	if (te == NULL || !child_watch(req, state)) {
		tevent_req_error(req, ENOMEM);
		return tevent_req_post(req, ev);
	}
	return req;
}

int csvd_child_recv(struct tevent_req *req,
		    TALLOC_CTX *mem_ctx,
		    int *code,
		    char **output)
{
	struct child_state *state = tevent_req_data(req, struct child_state);
	char *line = NULL;
	int err = 0;

	if (tevent_req_is_unix_error(req, &err)) {
		tevent_req_received(req);
		return err;
	}
	while (state->length > 0 &&
	       strchr("\n ", state->output[state->length - 1]) != NULL) {
		state->length--;
	}
	state->output[state->length] = '\0';
	line = strrchr(state->output, '\n');
	*output = talloc_strdup(mem_ctx,
				line != NULL ? line + 1 : state->output);
	*code = state->code;
	tevent_req_received(req);
	return *output != NULL ? 0 : ENOMEM;
}
