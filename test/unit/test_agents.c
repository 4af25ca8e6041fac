/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Agents that are late, that hang in the kernel, and that outlive their csvd:
 * real programs, a real frozen file system.
 */
#include "includes.h"
#include <setjmp.h>
#include <cmocka.h>
#include <linux/fs.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "csvd/agents.h"
#include "csvd/child.h"
#include "loopfs.h"

#define SOCKET "/nowhere/csvd.sock"
#define PIDS 3

/* One in the session's group, one in a group of its own, as timeout(1) does,
   and the first process; each says its number. */
#define SCRIPT                                                            \
	"trap '' TERM HUP; exec 9>>\"$FILE\"; echo $$ >&9; "               \
	"timeout 100 sh -c 'echo $$ >&9; exec sleep 90' & "                \
	"sh -c 'echo $$ >&9; sleep 90; :'"

struct bed {
	struct guard_page *page;
	struct tevent_context *ev;
	char file[64];
	char env[80];
};

static int setup(void **state)
{
	struct bed *bed = talloc_zero(NULL, struct bed);
	int fd;

	/* whose parent ends becomes ours, and is reaped */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	bed->ev = tevent_context_init(bed);
	bed->page = guard_page_create();
	strlcpy(bed->page->socket, SOCKET, sizeof(bed->page->socket));
	strlcpy(bed->file, "/tmp/test_agents.XXXXXX", sizeof(bed->file));
	fd = mkstemp(bed->file);
	close(fd);
	snprintf(bed->env, sizeof(bed->env), "FILE=%s", bed->file);
	*state = bed;
	return fd != -1 ? 0 : -1;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	unlink(bed->file);
	talloc_free(bed);
	return 0;
}

static struct tevent_req *begin(struct bed *bed,
				const char *script,
				bool changes,
				unsigned timeout_ms)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const char *const env[] = {"PATH=/usr/bin:/bin", bed->env, NULL};
	struct csvd_child_params params = {
		.page = bed->page,
		.volume = "vol1",
		.changes = changes,
		.path = argv[0],
		.argv = argv,
		.env = env,
		.timeout_ms = timeout_ms,
	};

	return csvd_child_send(bed, bed->ev, &params);
}

static int end(struct bed *bed, struct tevent_req *req, char **output)
{
	int code = 0;
	int ret;

	assert_non_null(req);
	assert_true(tevent_req_poll(req, bed->ev));
	ret = csvd_child_recv(req, bed, &code, output);
	talloc_free(req);
	return ret;
}

static int pids_of(const struct bed *bed, pid_t pids[PIDS])
{
	FILE *f = fopen(bed->file, "re");
	int n = 0;

	while (n < PIDS && fscanf(f, "%d", &pids[n]) == 1) {
		n++;
	}
	fclose(f);
	return n;
}

/* By other means than those that are tested. */
static bool lives(pid_t pid)
{
	char path[64], name[64], c = 'Z';
	FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f != NULL) {
		(void)!fscanf(f, "%*d %63s %c", name, &c);
		fclose(f);
	}
	return c != 'Z' && c != 'X';
}

static void await_pids(const struct bed *bed, pid_t pids[PIDS])
{
	unsigned i;

	for (i = 0; i < 500 && pids_of(bed, pids) < PIDS; i++) {
		usleep(10000);
	}
	assert_int_equal(pids_of(bed, pids), PIDS);
}

static void none_lives(const pid_t pids[PIDS])
{
	unsigned i;

	for (i = 0; i < PIDS; i++) {
		assert_false(lives(pids[i]));
	}
}

static void it_runs_and_leaves_no_note(void **state)
{
	struct bed *bed = *state;
	char *output = NULL;
	char want[100];

	assert_int_equal(end(bed,
			     begin(bed, "echo ${CSVD_SESSION} $$", true, 9000),
			     &output),
			 0);
	snprintf(want,
		 sizeof(want),
		 "%010ld:" SOCKET " %ld",
		 strtol(output, NULL, 10),
		 strtol(output, NULL, 10));
	assert_string_equal(output, want);
	assert_int_equal(bed->page->agents[0].session, 0);
}

static void what_is_no_program_is_said(void **state)
{
	static const char *const none[] = {NULL};
	struct bed *bed = *state;
	struct csvd_child_params params = {
		.page = bed->page,
		.volume = "vol1",
		.path = "/nowhere/agent",
		.argv = none,
		.env = none,
		.timeout_ms = 1000,
	};
	char *output = NULL;

	assert_int_equal(end(bed,
			     csvd_child_send(bed, bed->ev, &params),
			     &output),
			 ENOENT);
	assert_int_equal(bed->page->agents[0].session, 0);
}

/* Who is told that it was too late may rely on its end. */
static void a_late_one_has_ended(void **state)
{
	struct bed *bed = *state;
	struct tevent_req *req = begin(bed, SCRIPT, true, 1500);
	pid_t pids[PIDS];
	char *output = NULL;

	await_pids(bed, pids);
	assert_int_equal(end(bed, req, &output), ETIMEDOUT);
	none_lives(pids);
	assert_int_equal(csvd_agents_left(bed->page, "vol1"), 0);
	assert_int_equal(bed->page->agents[0].session, 0);
}

static void freeze(const struct loopfs *fs, unsigned long how)
{
	int fd = open(fs->mnt, O_RDONLY | O_DIRECTORY);

	assert_int_equal(ioctl(fd, how, 0), 0);
	close(fd);
}

static void what_hangs_in_the_kernel_is_left(void **state)
{
	struct bed *bed = *state;
	struct loopfs fs = {};
	struct {
		pid_t monitor, left, other, still;
		int result;
		unsigned num;
	} seen = {};
	char *script = NULL, *output = NULL;
	unsigned i;

	assert_int_equal(loopfs_create(&fs, ""), 0);
	assert_true(fs.mounted);
	script = talloc_asprintf(bed, "echo x >%s/made", fs.mnt);
	freeze(&fs, FIFREEZE);
	/* a monitor whose answer nobody wants any more holds nobody up */
	talloc_free(begin(bed, script, false, 60000));
	seen.monitor = csvd_agents_left(bed->page, "vol1");
	seen.result = end(bed, begin(bed, script, true, 100), &output);
	seen.left = csvd_agents_left(bed->page, "vol1");
	seen.other = csvd_agents_left(bed->page, "vol2");
	/* nor does the next csvd lose sight of it */
	seen.num = csvd_agents_end(bed->page);
	seen.still = csvd_agents_left(bed->page, "vol1");
	freeze(&fs, FITHAW); /* before anything may fail */
	for (i = 0; i < 500 && csvd_agents_end(bed->page) > 0; i++) {
		usleep(10000);
	}
	assert_int_equal(seen.monitor, 0);
	assert_int_equal(seen.result, EBUSY);
	assert_int_not_equal(seen.left, 0);
	assert_int_equal(seen.other, 0);
	assert_true(seen.num == 1 || seen.num == 2);
	assert_int_equal(seen.still, seen.left);
	assert_int_equal(csvd_agents_left(bed->page, "vol1"), 0);
	while (waitpid(-1, NULL, WNOHANG) > 0) {
		;
	}
	loopfs_remove(&fs);
}

/* A csvd that is killed while its agent runs. */
static void csvd_dies(struct bed *bed, pid_t pids[PIDS])
{
	char *output = NULL;
	pid_t worker = fork();

	if (worker == 0) {
		(void)end(bed, begin(bed, SCRIPT, true, 60000), &output);
		_exit(0);
	}
	await_pids(bed, pids);
	kill(worker, SIGKILL);
	assert_int_equal(waitpid(worker, NULL, 0), worker);
}

static void agents_of_a_dead_worker_end(void **state)
{
	struct bed *bed = *state;
	pid_t pids[PIDS];
	unsigned i;

	csvd_dies(bed, pids);
	for (i = 0; i < 500 && csvd_agents_end(bed->page) > 0; i++) {
		usleep(10000);
	}
	none_lives(pids);
}

/* Supervisor and guard died as well; the page is lost. */
static void agents_of_an_earlier_csvd_end(void **state)
{
	struct bed *bed = *state;
	struct guard_page *other = guard_page_create();
	struct guard_page *next = guard_page_create();
	pid_t pids[PIDS];
	unsigned i, alive = 0;

	csvd_dies(bed, pids);
	csvd_agents_adopt(other, SOCKET "x");
	for (i = 0; i < PIDS; i++) {
		alive += lives(pids[i]) ? 1 : 0;
	}
	assert_true(alive > 0);
	csvd_agents_adopt(next, SOCKET);
	none_lives(pids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(it_runs_and_leaves_no_note),
		T(what_is_no_program_is_said),
		T(a_late_one_has_ended),
		T(what_hangs_in_the_kernel_is_left),
		T(agents_of_a_dead_worker_end),
		T(agents_of_an_earlier_csvd_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
