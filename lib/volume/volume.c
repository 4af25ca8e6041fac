/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A volume as one process sees it: follows the states that csvd announces,
 * keeps the backend of the present owner, and says who may run and who waits.
 *
 * Events come from csvd (control.c), from the backend (lost connection) and
 * from operations that fail with CSV_E_LOST or CSV_E_STALE. An event changes
 * the state at once; what needs the backend to be idle (closing down-level
 * files, dropping it, making the next) is done by csv_volume_settle().
 *
 * The way to an owner elsewhere is made by the event loop; the volume is
 * SetDownLevel meanwhile. A synchronous operation that waits makes it itself.
 */
#include "replace.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "volume_private.h"
#include "lib/util/dlinklist.h"

static uint64_t now_ms(void)
{
	struct timespec ts = {};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The mounted root: held no longer than its file system may be used. */
static void csv_target_close_root(struct csv_target *t)
{
	if (t->rootfd != -1) {
		close(t->rootfd);
		t->rootfd = -1;
	}
}

static void csv_target_clear(struct csv_target *t)
{
	csv_target_close_root(t);
	talloc_free(discard_const_p(char, t->address));
	talloc_free(discard_const_p(char, t->psk_identity));
	explicit_bzero(t->psk, sizeof(t->psk));
	*t = (struct csv_target){ .rootfd = -1 };
}

static int csv_volume_destructor(struct csv_volume *vol)
{
	vol->shutdown = true;
	csv_ios_fail(vol, ENXIO);
	csv_ios_cancel_down_level(vol);
	csv_handles_close_down_level(vol);
	while (vol->handles != NULL) {
		struct csv_handle *h = vol->handles;

		DLIST_REMOVE(vol->handles, h);
		h->vol = NULL;
	}
	TALLOC_FREE(vol->connecting);
	TALLOC_FREE(vol->backend);
	csv_target_clear(&vol->target);
	return 0;
}

int csv_volume_create(TALLOC_CTX *mem_ctx,
		      const struct csv_volume_params *params,
		      struct csv_volume **_vol)
{
	struct csv_volume *vol = NULL;
	size_t len = strlen(params->name);

	if (len == 0 || len > CSV_VOLUME_NAME_MAX) {
		return EINVAL;
	}
	vol = talloc_zero(mem_ctx, struct csv_volume);
	if (vol == NULL) {
		return ENOMEM;
	}
	vol->p = *params;
	vol->p.name = talloc_strdup(vol, params->name);
	vol->notify = tevent_create_immediate(vol);
	if (vol->p.name == NULL || vol->notify == NULL) {
		talloc_free(vol);
		return ENOMEM;
	}
	vol->wake_fd = params->wake_fd;
	vol->target.rootfd = -1;
	vol->state = CSV_STATE_INIT;
	vol->notified = CSV_STATE_INIT;
	vol->next_token = now_ms() << 20;
	if (getrandom(vol->client, sizeof(vol->client), 0) !=
	    sizeof(vol->client))
	{
		talloc_free(vol);
		return EIO;
	}
	talloc_set_destructor(vol, csv_volume_destructor);
	*_vol = vol;
	return 0;
}

void csv_volume_set_wake_fd(struct csv_volume *vol, int fd)
{
	vol->wake_fd = fd;
}

enum csv_state csv_volume_state(const struct csv_volume *vol)
{
	return vol->state;
}

enum csv_access csv_volume_access(const struct csv_volume *vol)
{
	if (vol->backend == NULL) {
		return CSV_ACCESS_NONE;
	}
	return vol->target.access;
}

uint64_t csv_volume_epoch(const struct csv_volume *vol)
{
	return vol->target.epoch;
}

enum csv_access csv_volume_told_access(const struct csv_volume *vol)
{
	return vol->target.access;
}

uint32_t csv_volume_owner(const struct csv_volume *vol)
{
	return vol->target.owner;
}

const char *csv_volume_name(const struct csv_volume *vol)
{
	return vol->p.name;
}

dev_t csv_volume_dev(const struct csv_volume *vol)
{
	uint64_t half[2] = {};

	memcpy(half, vol->p.uuid, sizeof(half));
	half[0] ^= half[1];
	return half[0] != 0 ? half[0] : 1;
}

void csv_volume_counters(const struct csv_volume *vol,
			 struct csv_volume_counters *counters)
{
	*counters = vol->counters;
}

/* The application hears of a change from the event loop only. */
static void csv_volume_notify(struct tevent_context *ev,
			      struct tevent_immediate *im,
			      void *private_data)
{
	struct csv_volume *vol = private_data;
	enum csv_state old_state = vol->notified;

	(void)ev;
	(void)im;
	csv_volume_settle(vol);
	if (vol->state == old_state) {
		return;
	}
	vol->notified = vol->state;
	if (vol->p.state_fn != NULL) {
		vol->p.state_fn(vol,
				old_state,
				vol->state,
				vol->p.private_data);
	}
}

static void csv_volume_schedule(struct csv_volume *vol)
{
	tevent_schedule_immediate(vol->notify,
				  vol->p.ev,
				  csv_volume_notify,
				  vol);
}

static void csv_volume_limit(struct tevent_context *ev,
			     struct tevent_timer *te,
			     struct timeval now,
			     void *private_data)
{
	struct csv_volume *vol = private_data;

	(void)ev;
	(void)te;
	(void)now;
	vol->limit = NULL;
	csv_volume_event(vol, CSV_EVENT_FAILED, NULL);
}

/* The wait limit counts from the moment the volume stopped being Active. */
static void csv_volume_set_limit(struct csv_volume *vol)
{
	bool waits = vol->state == CSV_STATE_PAUSED ||
		     vol->state == CSV_STATE_SET_DOWN_LEVEL;

	if (!waits) {
		if (vol->state != CSV_STATE_DRAINING) {
			TALLOC_FREE(vol->limit);
		}
		return;
	}
	if (vol->limit != NULL || vol->p.wait_limit_s == 0) {
		return;
	}
	vol->limit = tevent_add_timer(
		vol->p.ev,
		vol,
		tevent_timeval_current_ofs(vol->p.wait_limit_s, 0),
		csv_volume_limit,
		vol);
}

static void csv_volume_set_state(struct csv_volume *vol, enum csv_state next)
{
	vol->state = next;
	if (next == CSV_STATE_ACTIVE) {
		vol->failed = false;
	}
	csv_volume_set_limit(vol);
	csv_volume_schedule(vol);
}

static int csv_target_copy(struct csv_volume *vol, const struct csv_target *t)
{
	struct csv_target copy = *t;

	if (t->rootfd != -1) {
		copy.rootfd = fcntl(t->rootfd, F_DUPFD_CLOEXEC, 3);
		if (copy.rootfd == -1) {
			return errno;
		}
	}
	copy.address = talloc_strdup(vol, t->address);
	copy.psk_identity = talloc_strdup(vol, t->psk_identity);
	csv_target_clear(&vol->target);
	vol->target = copy;
	return 0;
}

static bool csv_target_same(const struct csv_target *a,
			    const struct csv_target *b)
{
	return a->access == b->access && a->epoch == b->epoch &&
	       a->owner == b->owner;
}

/* Nothing to do: csvd tells again what this process works with already. */
static bool csv_event_is_repeat(const struct csv_volume *vol,
				enum csv_event event,
				const struct csv_target *target)
{
	if (vol->state != CSV_STATE_ACTIVE || vol->teardown) {
		return false;
	}
	if (event == CSV_EVENT_READY) {
		return true;
	}
	return event == CSV_EVENT_TARGET &&
	       csv_target_same(&vol->target, target);
}

/* The next connection uses it; the present one goes on. */
static int csv_target_new_key(struct csv_volume *vol,
			      const struct csv_target *t)
{
	char *identity = NULL;

	if (t->access != CSV_ACCESS_REDIRECTED) {
		return 0;
	}
	identity = talloc_strdup(vol, t->psk_identity);
	if (identity == NULL) {
		return ENOMEM;
	}
	talloc_free(discard_const_p(char, vol->target.psk_identity));
	vol->target.psk_identity = identity;
	memcpy(vol->target.psk, t->psk, sizeof(vol->target.psk));
	return 0;
}

static int csv_volume_new_target(struct csv_volume *vol,
				 const struct csv_target *target)
{
	int ret = csv_target_copy(vol, target);

	if (ret != 0) {
		return ret;
	}
	vol->target_serial += 1;
	vol->teardown = (vol->backend != NULL);
	vol->ready = false;
	vol->retry_same = false;
	vol->failed = false;
	vol->owes_replayed = true;
	return 0;
}

int csv_volume_event(struct csv_volume *vol,
		     enum csv_event event,
		     const struct csv_target *target)
{
	enum csv_state next = vol->state;
	int ret;

	if (csv_event_is_repeat(vol, event, target)) {
		if (event == CSV_EVENT_TARGET) {
			return csv_target_new_key(vol, target);
		}
		/* a csvd that was started again has not heard of it */
		vol->owes_replayed = true;
		csv_volume_check_replayed(vol);
		return 0;
	}
	vol->outdated = vol->connecting != NULL;
	if (event == CSV_EVENT_DRAIN && vol->backend == NULL) {
		vol->ready = false;
		vol->retry_same = false;
		csv_volume_settle(vol);
		if (vol->p.drained_fn != NULL) {
			vol->p.drained_fn(vol, vol->p.private_data);
		}
		return 0;
	}
	if (!csv_state_next(vol->state, event, &next)) {
		return EINVAL;
	}
	switch (event) {
	case CSV_EVENT_TARGET:
		ret = csv_volume_new_target(vol, target);
		if (ret != 0) {
			return ret;
		}
		break;
	case CSV_EVENT_READY:
		/* Active only once the backend is there: settle */
		vol->ready = true;
		TALLOC_FREE(vol->retry);
		next = vol->state;
		break;
	case CSV_EVENT_FAILED:
		vol->failed = true;
		csv_handles_invalidate(vol);
		FALL_THROUGH;
	case CSV_EVENT_LOST:
		vol->teardown = (vol->backend != NULL);
		vol->ready = false;
		vol->retry_same = false;
		break;
	case CSV_EVENT_DRAIN:
		vol->owes_drained = true;
		break;
	case CSV_EVENT_DRAINED:
		break;
	}
	csv_volume_set_state(vol, next);
	csv_volume_settle(vol);
	return 0;
}

static void csv_volume_retry(struct tevent_context *ev,
			     struct tevent_timer *te,
			     struct timeval now,
			     void *private_data)
{
	struct csv_volume *vol = private_data;

	(void)ev;
	(void)te;
	(void)now;
	vol->retry = NULL;
	csv_volume_settle(vol);
}

static void csv_volume_arm_retry(struct csv_volume *vol)
{
	if (vol->retry != NULL) {
		return;
	}
	vol->retry = tevent_add_timer(
		vol->p.ev,
		vol,
		tevent_timeval_current_ofs(CSV_RETRY_S, 0),
		csv_volume_retry,
		vol);
}

void csv_volume_trouble(struct csv_volume *vol, uint64_t generation)
{
	if (generation != vol->generation || vol->backend == NULL ||
	    vol->teardown)
	{
		return;
	}
	csv_volume_event(vol, CSV_EVENT_LOST, NULL);
	/*
	 * csvd tells where it goes on, also when an owner's csvd restarted.
	 * Only a connection that broke by itself is tried again unasked, and
	 * not at once: a dead owner does not answer.
	 */
	vol->retry_same = vol->target.access == CSV_ACCESS_REDIRECTED;
	if (vol->retry_same) {
		csv_volume_arm_retry(vol);
	}
}

/* Called by the remote backend outside of synchronous calls. */
static void csv_volume_remote_lost(void *private_data)
{
	struct csv_volume *vol = private_data;

	csv_volume_trouble(vol, vol->generation);
}

/*
 * Called by the remote backend inside a synchronous wait. True: what csvd
 * said makes waiting for this owner useless.
 */
static bool csv_volume_remote_wake(void *private_data)
{
	struct csv_volume *vol = private_data;

	vol->p.wake_fn(vol->p.wake_private);
	return vol->teardown || vol->shutdown || vol->outdated;
}

/* The attempt to connect came to an end: settle takes its result. */
static void csv_volume_connected(void *private_data)
{
	struct csv_volume *vol = private_data;

	csv_volume_settle(vol);
}

/* EAGAIN: csv_volume_connected() will be called. */
static int csv_volume_connect_remote(struct csv_volume *vol)
{
	const struct csv_target *t = &vol->target;
	struct csv_remote_params params = {
		.ev = vol->p.ev,
		.volume = vol->p.name,
		.address = t->address,
		.port = t->port,
		.epoch = t->epoch,
		.local_node = t->local_node,
		.remote_node = t->owner,
		.psk = t->psk,
		.psk_identity = t->psk_identity,
		.plain = t->plain,
		.client = vol->client,
		.wake_fd = vol->wake_fd,
		.wake_fn = csv_volume_remote_wake,
		.lost_fn = csv_volume_remote_lost,
		.private_data = vol,
	};
	int ret;

	if (vol->connecting == NULL) {
		ret = csv_remote_start(vol,
				       &params,
				       CSV_CONNECT_MS,
				       csv_volume_connected,
				       vol,
				       &vol->connecting);
		return ret != 0 ? ret : EAGAIN;
	}
	ret = csv_remote_finish(vol->connecting, vol, &vol->backend);
	if (ret != EAGAIN) {
		vol->connecting = NULL;
	}
	return ret;
}

static int csv_volume_connect(struct csv_volume *vol)
{
	const struct csv_target *t = &vol->target;

	if (t->access == CSV_ACCESS_DIRECT) {
		struct csv_local_params params = {
			.rootfd = t->rootfd,
			.epoch = t->epoch,
			.cred_mode = CSV_CRED_AMBIENT,
			.priv = vol->p.priv,
			.stable_names = true,
		};
		return csv_local_create(vol, &params, &vol->backend);
	}
	if (t->access == CSV_ACCESS_REDIRECTED) {
		return csv_volume_connect_remote(vol);
	}
	return ENXIO;
}

static void csv_volume_drop_backend(struct csv_volume *vol)
{
	csv_ios_cancel_down_level(vol);
	csv_handles_close_down_level(vol);
	TALLOC_FREE(vol->backend);
	vol->generation += 1;
	vol->teardown = false;
	if (vol->state != CSV_STATE_SET_DOWN_LEVEL) {
		csv_target_close_root(&vol->target);
	}
	if (vol->owes_drained) {
		vol->owes_drained = false;
		if (vol->p.drained_fn != NULL) {
			vol->p.drained_fn(vol, vol->p.private_data);
		}
	}
}

/* Others replay, and so may we; the rest waits for READY. */
static bool csv_volume_in_grace(const struct csv_volume *vol)
{
	return vol->state == CSV_STATE_SET_DOWN_LEVEL && vol->target.grace &&
	       vol->target.access == CSV_ACCESS_DIRECT && !vol->ready;
}

void csv_volume_check_replayed(struct csv_volume *vol)
{
	if (!vol->owes_replayed || vol->repeating > 0 || vol->resent > 0 ||
	    !csv_volume_replays(vol))
	{
		return;
	}
	vol->owes_replayed = false;
	if (vol->p.replayed_fn != NULL) {
		vol->p.replayed_fn(vol, vol->p.private_data);
	}
}

/*
 * The backend, then the writes it must have. False: not (yet), and what can
 * be done about it is done.
 */
static bool csv_volume_make_backend(struct csv_volume *vol)
{
	uint64_t serial = vol->target_serial;
	bool ready = vol->ready;
	bool outdated;
	int ret;

	vol->busy += 1;
	ret = csv_volume_connect(vol);
	if (vol->connecting != NULL) {
		vol->busy -= 1;
		return false;
	}
	if (ret == 0) {
		vol->generation += 1;
		vol->backend->replaying = true;
		ret = csv_unstable_replay(vol);
		vol->backend->replaying = false;
	}
	vol->busy -= 1;
	/* csvd said something new while this waited */
	outdated = vol->target_serial != serial || vol->ready != ready ||
		   vol->state != CSV_STATE_SET_DOWN_LEVEL;
	if ((outdated || ret != 0) && vol->backend != NULL) {
		csv_volume_drop_backend(vol);
	}
	if (outdated) {
		csv_volume_schedule(vol);
		return false;
	}
	if (ret != 0) {
		csv_volume_arm_retry(vol);
		return false;
	}
	vol->active_epoch = vol->target.epoch;
	return true;
}

/* SetDownLevel -> Active */
static void csv_volume_activate(struct csv_volume *vol)
{
	if (vol->backend == NULL && !csv_volume_make_backend(vol)) {
		return;
	}
	csv_volume_set_state(vol, CSV_STATE_ACTIVE);
	csv_ios_start(vol);
	csv_volume_check_replayed(vol);
}

/* Still SetDownLevel, others wait for our replays and we for theirs. */
static void csv_volume_replay(struct csv_volume *vol)
{
	if (vol->backend == NULL && csv_volume_make_backend(vol)) {
		csv_ios_repeat(vol);
		csv_volume_check_replayed(vol);
	}
}

static void csv_volume_finish_drain(struct csv_volume *vol)
{
	csv_volume_set_state(vol, CSV_STATE_PAUSED);
	csv_volume_drop_backend(vol);
}

void csv_volume_settle(struct csv_volume *vol)
{
	if (vol->busy > 0 || vol->shutdown) {
		return;
	}
	if (vol->outdated) {
		vol->outdated = false;
		TALLOC_FREE(vol->connecting);
	}
	if (vol->teardown) {
		csv_volume_drop_backend(vol);
	}
	if (vol->state == CSV_STATE_DRAINING && vol->inflight == 0) {
		csv_volume_finish_drain(vol);
		return;
	}
	if (vol->state == CSV_STATE_INIT && vol->failed) {
		csv_ios_fail(vol, ENXIO);
		return;
	}
	if (vol->state == CSV_STATE_PAUSED && vol->retry_same) {
		if (vol->retry != NULL) {
			return;
		}
		vol->retry_same = false;
		vol->ready = true;
		csv_volume_set_state(vol, CSV_STATE_SET_DOWN_LEVEL);
	}
	if (vol->state != CSV_STATE_SET_DOWN_LEVEL || vol->retry != NULL) {
		return;
	}
	if (vol->ready) {
		csv_volume_activate(vol);
	} else if (csv_volume_in_grace(vol)) {
		csv_volume_replay(vol);
	}
}

bool csv_volume_runs(const struct csv_volume *vol)
{
	return vol->state == CSV_STATE_ACTIVE && vol->backend != NULL &&
	       !vol->teardown && !vol->shutdown;
}

bool csv_volume_replays(const struct csv_volume *vol)
{
	return csv_volume_runs(vol) ||
	       (csv_volume_in_grace(vol) && vol->backend != NULL &&
		!vol->teardown && !vol->shutdown);
}

/* A synchronous operation that is inside already may end while draining. */
static bool csv_volume_usable(const struct csv_volume *vol, bool repeats)
{
	if (vol->backend == NULL || vol->teardown) {
		return false;
	}
	return (repeats && csv_volume_replays(vol)) ||
	       vol->state == CSV_STATE_ACTIVE ||
	       vol->state == CSV_STATE_DRAINING;
}

/*
 * One turn of a synchronous wait. The event loop does not run, so timers are
 * looked after by hand.
 */
static void csv_volume_wait_turn(struct csv_volume *vol, uint64_t left_ms)
{
	struct pollfd pfd = { .fd = vol->wake_fd, .events = POLLIN };
	uint64_t start = now_ms();
	int timeout = left_ms < CSV_TICK_MS ? (int)left_ms : CSV_TICK_MS;

	if (vol->connecting != NULL) {
		vol->busy += 1;
		csv_remote_turn(vol->connecting, timeout);
		vol->busy -= 1;
	} else {
		poll(&pfd, 1, timeout);
	}
	if (vol->p.wake_fn != NULL) {
		vol->p.wake_fn(vol->p.wake_private);
	}
	vol->retry_waited_ms += now_ms() - start;
	if (vol->retry_waited_ms >= CSV_RETRY_S * 1000) {
		vol->retry_waited_ms = 0;
		TALLOC_FREE(vol->retry);
	}
	vol->counters.waited_ms += now_ms() - start;
}

static int csv_volume_wait_usable(struct csv_volume *vol,
				  bool repeats,
				  uint64_t limit_ms)
{
	uint64_t start = now_ms();

	while (true) {
		uint64_t waited;

		csv_volume_settle(vol);
		if (csv_volume_usable(vol, repeats)) {
			return 0;
		}
		if (vol->shutdown || vol->failed) {
			return ENXIO;
		}
		waited = now_ms() - start;
		if (waited >= limit_ms) {
			return ETIMEDOUT;
		}
		csv_volume_wait_turn(vol, limit_ms - waited);
	}
}

int csv_volume_wait(struct csv_volume *vol, unsigned timeout_ms)
{
	return csv_volume_wait_usable(vol, false, timeout_ms);
}

int csv_volume_enter(struct csv_volume *vol, bool repeats)
{
	uint64_t limit_ms = vol->p.wait_limit_s == 0
				    ? UINT64_MAX
				    : (uint64_t)vol->p.wait_limit_s * 1000;
	int ret = 0;

	if (!csv_volume_usable(vol, repeats)) {
		ret = csv_volume_wait_usable(vol, repeats, limit_ms);
	}
	if (ret == ETIMEDOUT) {
		csv_volume_event(vol, CSV_EVENT_FAILED, NULL);
		ret = ENXIO;
	}
	if (ret == 0) {
		vol->busy += 1;
	}
	return ret;
}

void csv_volume_leave(struct csv_volume *vol)
{
	vol->busy -= 1;
	csv_volume_settle(vol);
}

bool csv_volume_is_trouble(struct csv_volume *vol, int ret)
{
	if (ret == CSV_E_LOST || ret == CSV_E_STALE) {
		return true;
	}
	if (ret != EIO && ret != EROFS && ret != ESHUTDOWN) {
		return false;
	}
	return vol->target.access == CSV_ACCESS_DIRECT &&
	       !csv_backend_alive(vol->backend);
}

void csv_volume_shutdown(struct csv_volume *vol)
{
	vol->shutdown = true;
	csv_ios_fail(vol, ENXIO);
}
