/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Virtual handles across changes of owner: one process, a real XFS on a loop
 * device that is unmounted and mounted again (planned change) or shut down
 * without flushing (crash), as csvd's events tell it.
 */
#include "replace.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "lib/volume/volume_private.h"

struct fixture {
	TALLOC_CTX *mem;
	struct tevent_context *ev;
	char dir[64];
	char image[96];
	char mnt[96];
	bool mounted;
	struct csv_volume *vol;
	uint64_t epoch;
	unsigned drained;
	unsigned replayed;
	unsigned states[CSV_NUM_STATES];
	bool dead; /* the owner, another one comes while somebody waits */
};

static const struct csv_cred root_cred = {};
static int packets; /* that live */

static int run(const char *fmt, ...) PRINTF_ATTRIBUTE(1, 2);
static int run(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static void fixture_mount(struct fixture *f)
{
	assert_int_equal(run("mount -o loop -t xfs %s %s", f->image, f->mnt),
			 0);
	f->mounted = true;
}

static void fixture_umount(struct fixture *f)
{
	assert_int_equal(umount(f->mnt), 0);
	f->mounted = false;
}

static void fixture_event(struct fixture *f, enum csv_event event)
{
	assert_int_equal(csv_volume_event(f->vol, event, NULL), 0);
}

static void fixture_target(struct fixture *f, bool clean)
{
	struct csv_target t = {
		.access = CSV_ACCESS_DIRECT,
		.epoch = ++f->epoch,
		.rootfd = open(f->mnt, O_RDONLY | O_DIRECTORY),
		.clean = clean,
	};

	assert_int_not_equal(t.rootfd, -1);
	assert_int_equal(csv_volume_event(f->vol, CSV_EVENT_TARGET, &t), 0);
	fixture_event(f, CSV_EVENT_READY);
	close(t.rootfd);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_ACTIVE);
}

/* The owner leaves in order and another mounts the volume. */
static void fixture_move(struct fixture *f)
{
	unsigned drained = f->drained;

	fixture_event(f, CSV_EVENT_DRAIN);
	assert_int_equal(f->drained, drained + 1);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_PAUSED);
	fixture_umount(f);
	fixture_mount(f);
	fixture_target(f, true);
}

/* The owner loses power: what was not on the disk is gone. */
static void fixture_power_cut(struct fixture *f)
{
	assert_int_equal(run("xfs_io -x -c shutdown %s", f->mnt), 0);
	fixture_event(f, CSV_EVENT_LOST);
	fixture_umount(f);
	fixture_mount(f);
	fixture_target(f, false);
}

static void fixture_wake(void *private_data)
{
	struct fixture *f = private_data;

	if (f->dead) {
		f->dead = false;
		fixture_umount(f);
		fixture_mount(f);
		fixture_target(f, false);
	}
}

static void fixture_state(struct csv_volume *vol,
			  enum csv_state old_state,
			  enum csv_state new_state,
			  void *private_data)
{
	struct fixture *f = private_data;

	(void)vol;
	(void)old_state;
	f->states[new_state] += 1;
}

static void fixture_drained(struct csv_volume *vol, void *private_data)
{
	struct fixture *f = private_data;

	(void)vol;
	f->drained += 1;
}

static void fixture_replayed(struct csv_volume *vol, void *private_data)
{
	struct fixture *f = private_data;

	(void)vol;
	f->replayed += 1;
}

static int setup(void **state)
{
	struct csv_volume_params params = {};
	struct fixture *f = talloc_zero(NULL, struct fixture);

	strlcpy(f->dir, "/tmp/csv-test-volume-XXXXXX", sizeof(f->dir));
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->image, sizeof(f->image), "%s/image", f->dir);
	snprintf(f->mnt, sizeof(f->mnt), "%s/mnt", f->dir);
	assert_int_equal(mkdir(f->mnt, 0755), 0);
	assert_int_equal(run("truncate -s 320M %s && mkfs.xfs -q %s",
			     f->image,
			     f->image),
			 0);
	f->mem = talloc_new(f);
	f->ev = tevent_context_init(f);
	fixture_mount(f);
	params = (struct csv_volume_params){
		.ev = f->ev,
		.name = "vol1",
		.uuid = { 1, 2, 3 },
		.wait_limit_s = 1,
		.state_fn = fixture_state,
		.drained_fn = fixture_drained,
		.replayed_fn = fixture_replayed,
		.wake_fn = fixture_wake,
		.wake_private = f,
		.private_data = f,
		.wake_fd = -1,
	};
	assert_int_equal(csv_volume_create(f, &params, &f->vol), 0);
	fixture_target(f, false);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	TALLOC_FREE(f->mem);
	TALLOC_FREE(f->vol);
	if (f->mounted) {
		fixture_umount(f);
	}
	run("rm -rf %s", f->dir);
	talloc_free(f);
	return 0;
}

static struct csv_handle *open_ok(struct fixture *f,
				  const char *name,
				  uint32_t how,
				  uint32_t mode)
{
	struct csv_handle *h = NULL;
	struct csv_stat st = {};

	assert_int_equal(csv_open(f->vol,
				  f->mem,
				  &root_cred,
				  NULL,
				  name,
				  how,
				  mode,
				  &h,
				  &st),
			 0);
	return h;
}

/* A file that is there after a power cut. */
static struct csv_handle *open_new(struct fixture *f)
{
	return open_ok(f,
		       "a",
		       CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT | CSV_O_STABLE,
		       0644);
}

static void write_with(struct csv_handle *h,
		       const char *text,
		       int64_t offset,
		       uint32_t flags)
{
	size_t n = 0;

	assert_int_equal(csv_pwrite(h, text, strlen(text), offset, flags, &n),
			 0);
	assert_int_equal(n, strlen(text));
}

static void write_ok(struct csv_handle *h, const char *text, int64_t offset)
{
	write_with(h, text, offset, CSV_F_STABLE);
}

static void write_unstable(struct csv_handle *h,
			   const char *text,
			   int64_t offset)
{
	write_with(h, text, offset, 0);
}

static void read_is(struct csv_handle *h, const char *text, int64_t offset)
{
	char buf[128] = {};
	size_t n = 0;

	assert_int_equal(csv_pread(h, buf, sizeof(buf) - 1, offset, &n), 0);
	assert_string_equal(buf, text);
}

static void read_char_is(struct csv_handle *h, char what, int64_t offset)
{
	char c = 0;
	size_t n = 0;

	assert_int_equal(csv_pread(h, &c, 1, offset, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(c, what);
}

static void test_handle_survives_a_move(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);

	write_ok(h, "before ", 0);
	fixture_move(f);
	write_ok(h, "after", 7);
	read_is(h, "before after", 0);
}

static void test_rename_between_owners_is_followed(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);

	write_ok(h, "x", 0);
	assert_int_equal(
		csv_mkdir(f->vol, &root_cred, NULL, "d", 0755, 0), 0);
	assert_int_equal(csv_rename(f->vol,
				    &root_cred,
				    NULL,
				    "a",
				    NULL,
				    "d/b",
				    0),
			 0);
	fixture_move(f);
	read_is(h, "x", 0);
}

static void test_mode_000_is_opened_as_granted(void **state)
{
	struct fixture *f = *state;
	struct csv_setattr attr = { .mask = CSV_ATTR_MODE, .mode = 0 };
	struct csv_handle *h = NULL;
	struct csv_handle *r = NULL;
	size_t n = 0;

	h = open_ok(f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);
	r = open_ok(f, "a", CSV_O_READ, 0);
	assert_int_equal(csv_setattr(h, &root_cred, NULL, &attr, 0), 0);
	fixture_move(f);
	write_ok(h, "y", 0);
	read_is(r, "y", 0);
	/* never more than was granted */
	assert_int_equal(csv_pwrite(r, "z", 1, 0, 0, &n), EBADF);
}

static void test_creation_is_not_repeated(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(f,
				       "a",
				       CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT |
					       CSV_O_EXCL | CSV_O_TRUNC,
				       0644);

	write_ok(h, "kept", 0);
	fixture_move(f);
	read_is(h, "kept", 0);
	fixture_move(f);
	read_is(h, "kept", 0);
}

static void test_deleted_file_lives_until_closed(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);
	struct csv_fhandle fh = *csv_handle_fh(h);
	struct csv_handle *gone = NULL;
	struct csv_stat st = {};

	write_ok(h, "still here", 0);
	assert_int_equal(
		csv_unlink(f->vol, &root_cred, NULL, "a", 0), 0);
	fixture_move(f);
	read_is(h, "still here", 0);
	write_ok(h, "!", 10);
	read_is(h, "still here!", 0);
	talloc_free(h);
	assert_int_equal(
		csv_open_fh(f->vol, f->mem, &fh, CSV_O_READ, &gone, &st),
		ESTALE);
}

static void test_stable_write_survives_a_power_cut(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_new(f);

	write_ok(h, "on the disk", 0);
	fixture_power_cut(f);
	read_is(h, "on the disk", 0);
	write_ok(h, " again", 11);
	read_is(h, "on the disk again", 0);
}

/* The owner is here now, and others may still replay. */
static void test_grace_lasts_until_ready(void **state)
{
	struct fixture *f = *state;
	struct csv_target t = {
		.access = CSV_ACCESS_DIRECT,
		.grace = true,
	};
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);
	unsigned replayed = f->replayed;

	write_ok(h, "x", 0);
	fixture_event(f, CSV_EVENT_LOST);
	t.epoch = ++f->epoch;
	t.rootfd = open(f->mnt, O_RDONLY | O_DIRECTORY);
	assert_int_equal(csv_volume_event(f->vol, CSV_EVENT_TARGET, &t), 0);
	close(t.rootfd);
	/* nothing to repeat: said at once */
	assert_int_equal(f->replayed, replayed + 1);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_SET_DOWN_LEVEL);
	assert_int_equal(csv_volume_wait(f->vol, 50), ETIMEDOUT);
	fixture_event(f, CSV_EVENT_READY);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_ACTIVE);
	assert_int_equal(f->replayed, replayed + 1);
	read_is(h, "x", 0);
}

/* Of what was acknowledged the last write counts. */
static void test_unstable_writes_survive_a_power_cut(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_new(f);
	unsigned i;

	/* only the writes of a redirected process are kept */
	f->vol->target.access = CSV_ACCESS_REDIRECTED;
	for (i = 0; i < 1000; i++) {
		write_unstable(h, "222", 2);
		write_unstable(h, i % 2 ? "1111" : "0000", 0);
	}
	assert_int_equal(f->vol->unstable_bytes, 7);
	write_unstable(h, "222", 2);
	write_unstable(h, "5", 0);
	fixture_power_cut(f);
	read_is(h, "51222", 0);

	/* what was flushed is forgotten, what came later is not */
	f->vol->target.access = CSV_ACCESS_REDIRECTED;
	assert_int_equal(csv_fsync(h, 0), 0);
	assert_int_equal(f->vol->unstable_bytes, 0);
	write_unstable(h, "6", 1);
	fixture_power_cut(f);
	read_is(h, "56222", 0);
}

static struct fixture *cut_in_fsync;

static int fsync_at_the_end(struct csv_file *file, uint32_t flags)
{
	struct fixture *f = cut_in_fsync;

	(void)file;
	(void)flags;
	assert_int_equal(run("xfs_io -x -c shutdown %s", f->mnt), 0);
	f->dead = true;
	return CSV_E_LOST;
}

/*
 * So much is kept that a write is flushed at once; its owner dies in the
 * flush, and that of the next owner has nothing to bring.
 */
static void test_write_above_the_limit_survives_a_power_cut(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_new(f);
	struct csv_backend_ops dies = *f->vol->backend->ops;

	write_ok(h, "0000", 0);
	dies.fsync = fsync_at_the_end;
	cut_in_fsync = f;
	f->vol->backend->ops = &dies;
	f->vol->target.access = CSV_ACCESS_REDIRECTED;
	f->vol->unstable_bytes = 64 * 1024 * 1024;
	write_unstable(h, "1111", 0);
	f->vol->unstable_bytes = 0;
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_ACTIVE);
	fixture_power_cut(f);
	read_is(h, "1111", 0);
}

/* The flush before a close meets the owner's end. */
static void test_close_while_the_owner_dies(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_new(f);
	struct csv_backend_ops dies = *f->vol->backend->ops;

	write_ok(h, "0000", 0);
	f->vol->target.access = CSV_ACCESS_REDIRECTED;
	write_unstable(h, "1111", 0);
	dies.fsync = fsync_at_the_end;
	cut_in_fsync = f;
	f->vol->backend->ops = &dies;
	assert_int_equal(csv_settle(h), 0);
	TALLOC_FREE(h);
	fixture_power_cut(f);
	h = open_ok(f, "a", CSV_O_READ, 0);
	read_is(h, "1111", 0);
}

static void test_stable_names_survive_a_power_cut(void **state)
{
	struct fixture *f = *state;
	struct csv_stat st = {};

	talloc_free(open_ok(
		f, "a", CSV_O_WRITE | CSV_O_CREAT | CSV_O_STABLE, 0644));
	assert_int_equal(csv_mkdir(f->vol,
				   &root_cred,
				   NULL,
				   "d",
				   0755,
				   CSV_F_STABLE),
			 0);
	assert_int_equal(csv_rename(f->vol,
				    &root_cred,
				    NULL,
				    "a",
				    NULL,
				    "d/b",
				    CSV_F_STABLE),
			 0);
	fixture_power_cut(f);
	assert_int_equal(csv_statat(f->vol,
				    &root_cred,
				    NULL,
				    "d/b",
				    0,
				    &st,
				    NULL),
			 0);
	assert_int_equal(csv_statat(f->vol,
				    &root_cred,
				    NULL,
				    "a",
				    0,
				    &st,
				    NULL),
			 ENOENT);
}

static void test_dead_file_system_is_no_eio(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);
	size_t n = 0;

	write_ok(h, "x", 0);
	assert_int_equal(run("xfs_io -x -c shutdown %s", f->mnt), 0);
	/* nobody takes over: waits for the limit, then says so */
	assert_int_equal(csv_pwrite(h, "y", 1, 0, CSV_F_STABLE, &n), ENXIO);
	assert_int_equal(csv_volume_state(f->vol), CSV_STATE_INIT);
	/* handles of before are invalid for good */
	fixture_umount(f);
	fixture_mount(f);
	fixture_target(f, false);
	assert_int_equal(csv_pwrite(h, "y", 1, 0, CSV_F_STABLE, &n), ENXIO);
	talloc_free(open_ok(f, "a", CSV_O_READ, 0));
}

/* What a listing named is opened when somebody wants to know, or never. */
static void test_listed_file_is_opened_later(void **state)
{
	const uint32_t how = CSV_O_PATH | CSV_O_NOFOLLOW;
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(f, "a", CSV_O_WRITE | CSV_O_CREAT, 0644);
	struct csv_fhandle fh = *csv_handle_fh(h);
	struct csv_handle *later = NULL;
	struct csv_stat st;

	write_ok(h, "12345", 0);
	talloc_free(h);
	assert_int_equal(csv_open_fh_later(f->vol, f->mem, &fh, how, &later),
			 0);
	/* it holds nothing: no owner knows of it */
	fixture_move(f);
	assert_int_equal(csv_fstat(later, &st), 0);
	assert_int_equal(st.size, 5);
	talloc_free(later);
	assert_int_equal(csv_open_fh_later(f->vol, f->mem, &fh, how, &later),
			 0);
	assert_int_equal(csv_unlink(f->vol, &root_cred, NULL, "a", 0), 0);
	assert_int_equal(csv_fstat(later, &st), ESTALE);
	talloc_free(later);
	assert_int_equal(csv_open_fh_later(f->vol,
					   f->mem,
					   &fh,
					   CSV_O_READ,
					   &later),
			 EINVAL);
}

static void test_listing_goes_on_after_a_move(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *dir = open_ok(
		f, "", CSV_O_READ | CSV_O_DIRECTORY, 0);
	uint64_t cookie = 0;
	unsigned seen = 0;
	bool eof = false;
	int i;

	for (i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-%03d", i);
		talloc_free(open_ok(f, name, CSV_O_WRITE | CSV_O_CREAT, 0644));
	}
	while (!eof) {
		struct csv_dirlist *list = NULL;
		uint32_t e;

		assert_int_equal(csv_readdir(dir,
					     f->mem,
					     &root_cred,
					     cookie,
					     4096,
					     NULL,
					     &list),
				 0);
		for (e = 0; e < list->num; e++) {
			assert_string_not_equal(list->entries[e].name,
						CSV_HIDDEN_DIR);
			if (strncmp(list->entries[e].name, "file-", 5) == 0) {
				seen += 1;
			}
			cookie = list->entries[e].cookie;
		}
		eof = list->eof;
		talloc_free(list);
		fixture_move(f);
	}
	assert_int_equal(seen, 500);
}

struct io_result {
	bool done;
	int ret;
	size_t n;
};

static void io_done(struct tevent_req *req)
{
	struct io_result *r = tevent_req_callback_data_void(req);

	r->ret = csv_io_recv(req, &r->n);
	r->done = true;
	TALLOC_FREE(req);
}

static void loop_until(struct fixture *f, const bool *done)
{
	while (!*done) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
	}
}

static void test_write_while_paused_is_done_later(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);
	struct io_result r = {};
	struct tevent_req *req = NULL;

	fixture_event(f, CSV_EVENT_DRAIN);
	req = csv_pwrite_send(f->mem, f->ev, h, "later", 5, 0, CSV_F_STABLE,
			      NULL);
	assert_non_null(req);
	tevent_req_set_callback(req, io_done, &r);
	tevent_loop_once(f->ev);
	assert_false(r.done);
	fixture_umount(f);
	fixture_mount(f);
	fixture_target(f, true);
	loop_until(f, &r.done);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.n, 5);
	read_is(h, "later", 0);
}

#define LARGE ((size_t)64 * 1024)

static int packet_freed(char *packet)
{
	packets -= packet != NULL ? 1 : 0;
	return 0;
}

/* As smbd does: the packet is freed when the write was answered. */
static const char *write_packet(struct fixture *f,
				struct csv_handle *h,
				char what,
				size_t packet_size,
				int64_t offset)
{
	char *packet = talloc_array(f->mem, char, packet_size);
	struct io_result r = {};
	struct tevent_req *req = NULL;

	assert_non_null(packet);
	memset(packet, what, packet_size);
	talloc_set_destructor(packet, packet_freed);
	packets += 1;
	req = csv_pwrite_send(f->mem,
			      f->ev,
			      h,
			      packet + packet_size - LARGE,
			      LARGE,
			      offset,
			      0,
			      packet);
	assert_non_null(req);
	tevent_req_set_callback(req, io_done, &r);
	loop_until(f, &r.done);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.n, LARGE);
	talloc_unlink(f->mem, packet);
	return packet;
}

static void test_large_unstable_write_is_not_copied(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_new(f);
	const size_t size = LARGE + 112;
	const char *packet = NULL;

	f->vol->target.access = CSV_ACCESS_REDIRECTED;
	packet = write_packet(f, h, 'a', size, 0);
	assert_ptr_equal(h->unstable->data, packet + 112);
	assert_int_equal(packets, 1);
	packet = write_packet(f, h, 'b', size, 0); /* replaces the first */
	assert_ptr_equal(h->unstable->data, packet + 112);
	assert_int_equal(packets, 1);

	write_packet(f, h, 'c', 2 * LARGE, 0); /* half of it is no data */
	assert_int_equal(packets, 0);
	assert_int_equal(f->vol->unstable_bytes, LARGE);

	write_packet(f, h, 'd', size, 0);
	write_packet(f, h, 'e', size, (int64_t)LARGE);
	assert_int_equal(packets, 2);
	fixture_power_cut(f);
	assert_int_equal(packets, 2);
	read_char_is(h, 'd', 0);
	read_char_is(h, 'd', (int64_t)LARGE - 1);
	read_char_is(h, 'e', (int64_t)LARGE);
	assert_int_equal(csv_fsync(h, 0), 0);
	assert_int_equal(packets, 0);
}

static void test_drain_waits_for_what_is_in_flight(void **state)
{
	struct fixture *f = *state;
	struct csv_handle *h = open_ok(
		f, "a", CSV_O_READ | CSV_O_WRITE | CSV_O_CREAT, 0644);
	struct io_result r = {};
	struct tevent_req *req = NULL;
	bool drained = false;

	req = csv_pwrite_send(f->mem, f->ev, h, "now", 3, 0, CSV_F_STABLE,
			      NULL);
	assert_non_null(req);
	tevent_req_set_callback(req, io_done, &r);
	fixture_event(f, CSV_EVENT_DRAIN);
	assert_int_equal(f->drained, 0);
	while (!drained) {
		assert_int_equal(tevent_loop_once(f->ev), 0);
		drained = f->drained == 1;
	}
	assert_true(r.done);
	assert_int_equal(r.ret, 0);
	/* nothing of ours is left on it */
	fixture_umount(f);
	fixture_mount(f);
	fixture_target(f, true);
	read_is(h, "now", 0);
}

static void test_states_are_told_from_the_loop(void **state)
{
	struct fixture *f = *state;

	/* Init -> Active of the setup was never looped: told as one */
	assert_int_equal(f->states[CSV_STATE_ACTIVE], 0);
	tevent_loop_once(f->ev);
	assert_int_equal(f->states[CSV_STATE_ACTIVE], 1);
	fixture_event(f, CSV_EVENT_DRAIN);
	assert_int_equal(f->states[CSV_STATE_PAUSED], 0);
	tevent_loop_once(f->ev);
	assert_int_equal(f->states[CSV_STATE_PAUSED], 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_handle_survives_a_move),
		T(test_rename_between_owners_is_followed),
		T(test_mode_000_is_opened_as_granted),
		T(test_creation_is_not_repeated),
		T(test_deleted_file_lives_until_closed),
		T(test_stable_write_survives_a_power_cut),
		T(test_grace_lasts_until_ready),
		T(test_unstable_writes_survive_a_power_cut),
		T(test_write_above_the_limit_survives_a_power_cut),
		T(test_large_unstable_write_is_not_copied),
		T(test_close_while_the_owner_dies),
		T(test_stable_names_survive_a_power_cut),
		T(test_dead_file_system_is_no_eio),
		T(test_listed_file_is_opened_later),
		T(test_listing_goes_on_after_a_move),
		T(test_write_while_paused_is_done_later),
		T(test_drain_waits_for_what_is_in_flight),
		T(test_states_are_told_from_the_loop),
	};
#undef T

	if (geteuid() != 0) {
		print_message("needs root for mount: skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
