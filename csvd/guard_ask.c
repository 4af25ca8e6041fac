/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asking the guard of a volume's last owner, on a thread, since connecting
 * and shaking hands block. Thread and request share a block with two
 * references; who comes last frees it.
 */
#include "csvd/guard_ask.h"
#include <sys/eventfd.h>
#include "csvd/guard.h"
#include "csvd/guard_wire.h"
#include "csvd/members.h"
#include "csvd/publish.h"
#include "csvd/secret.h"
#include "ctdb/include/ctdb_protocol.h"
#include "gen_ndr/ndr_csv.h"

/* A node that is dead does not refuse: it costs this much of the gap. */
#define ASK_CONNECT_MS 400
#define ASK_ANSWER_MS 1500
#define ASK_AGAIN_MS 100 /* it is about to shut down */
#define ASK_ALIVE_MS 500 /* only its csvd is silent */
#define ASK_LATER_MS 2000
/* Its guard has decided by then, whatever happened to it. */
#define ASK_PATIENCE_MS 6000

struct ask_job {
	_Atomic int references;
	int done_fd;
	char address[64];
	uint16_t port;
	uint8_t psk[CSV_PSK_SIZE];
	char identity[CSV_PSK_IDENTITY_MAX];
	char name[GUARD_NAME_MAX];
	uint64_t epoch;
	uint32_t node;
	/* the result */
	int error;
	uint32_t state;
	char reason[128];
};

struct csvd_ask {
	struct csvd_volume *v;
	uint64_t epoch, first, last;
	uint64_t began; /* the first question since the owner died */
	uint32_t node;
	bool hopeful; /* a useful answer may come */
	bool told;    /* the others know that it may: csvd_guard_hopes() */
	struct ask_job *job;
	struct tevent_fd *fde;
};

static void ask_put(struct ask_job *job)
{
	if (--job->references == 0) {
		explicit_bzero(job->psk, sizeof(job->psk));
		close(job->done_fd);
		free(job);
	}
}

static int ask_talk(struct ask_job *job,
		    TALLOC_CTX *mem_ctx,
		    struct csv_tls *tls)
{
	uint64_t deadline = guard_now() + ASK_ANSWER_MS;
	struct csv_guard_question q = {
		.version = CSV_GUARD_VERSION,
		.epoch = job->epoch,
		.volume = csvd_bytes(job->name),
	};
	struct csv_guard_answer a = {};
	int ret;

	ret = guard_wire_handshake(tls, deadline);
	if (ret == 0) {
		ret = guard_wire_send(
			tls,
			&q,
			(ndr_push_flags_fn_t)ndr_push_csv_guard_question,
			deadline);
	}
	if (ret == 0) {
		ret = guard_wire_recv(
			mem_ctx,
			tls,
			&a,
			(ndr_pull_flags_fn_t)ndr_pull_csv_guard_answer,
			deadline);
	}
	if (ret != 0) {
		return ret;
	}
	if (a.version != CSV_GUARD_VERSION || a.node != job->node) {
		return EPROTO;
	}
	/* another epoch's state proves nothing */
	job->state = a.epoch == job->epoch ? a.state : CSV_GUARD_UNKNOWN;
	snprintf(job->reason,
		 sizeof(job->reason),
		 "%.*s",
		 (int)a.reason.length,
		 (const char *)a.reason.data);
	return 0;
}

static int ask_connect(struct ask_job *job, TALLOC_CTX *mem_ctx)
{
	struct csv_tls *tls = NULL;
	int fd = -1;
	int ret;

	ret = csv_tcp_begin(job->address, job->port, &fd);
	if (ret != 0) {
		return ret;
	}
	ret = csv_tcp_connected(fd, ASK_CONNECT_MS);
	if (ret != 0) {
		close(fd);
	} else {
		ret = csv_tls_client(mem_ctx,
				     fd,
				     job->identity,
				     job->psk,
				     false,
				     &tls);
	}
	return ret == 0 ? ask_talk(job, mem_ctx, tls) : ret;
}

static void *ask_thread(void *private_data)
{
	struct ask_job *job = private_data;
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	uint64_t one = 1;

	job->error = ask_connect(job, mem_ctx);
	talloc_free(mem_ctx);
	(void)!write(job->done_fd, &one, sizeof(one));
	ask_put(job);
	return NULL;
}

static void ask_look_again(struct tevent_context *ev,
			   struct tevent_timer *te,
			   struct timeval now,
			   void *private_data)
{
	struct csvd_ask *ask = private_data;

	csvd_evaluate_soon(ask->v->csvd);
}

static void ask_proven(struct csvd_ask *ask)
{
	struct csvd_volume *v = ask->v;

	DBG_NOTICE("volume %s: the guard of node %" PRIu32 " has shut it down, "
		   "epoch %" PRIu64 " (%s); asked for %" PRIu64 " ms\n",
		   v->name,
		   ask->node,
		   ask->epoch,
		   ask->job->reason,
		   guard_now() - ask->first);
	v->proven_epoch = ask->epoch;
	csvd_publish_node(v->csvd, false);
}

/* CTDB reaches that node: it is banned or stopped, but not gone. */
static bool ask_connected(const struct csvd_ask *ask)
{
	const struct csvd_member *m =
		csvd_member_find(ask->v->csvd, ask->node);

	return m != NULL && (m->flags & NODE_FLAGS_DISCONNECTED) == 0;
}

/* No answer yet: of a node that is only busy one may still come. */
static bool ask_may_answer(const struct csvd_ask *ask,
			   const struct ask_job *job)
{
	if (job->error != 0) {
		return ask_connected(ask);
	}
	return job->state == CSV_GUARD_HELD || job->state == CSV_GUARD_SHUTTING;
}

static void ask_done(struct tevent_context *ev,
		     struct tevent_fd *fde,
		     uint16_t flags,
		     void *private_data)
{
	struct csvd_ask *ask = private_data;
	struct ask_job *job = ask->job;
	struct tevent_timer *te = NULL;

	TALLOC_FREE(ask->fde);
	ask->hopeful = ask_may_answer(ask, job);
	if (job->error == 0 && job->state == CSV_GUARD_SHUT) {
		ask_proven(ask);
	} else {
		DBG_INFO("volume %s: the guard of node %" PRIu32 " says %s%u\n",
			 ask->v->name,
			 ask->node,
			 job->error != 0 ? strerror(job->error) : "state ",
			 job->state);
	}
	ask->job = NULL;
	ask_put(job);
	te = tevent_add_timer(ev,
			      ask,
			      timeval_current_ofs(0, ASK_AGAIN_MS * 1000),
			      ask_look_again,
			      ask);
	if (te == NULL) {
		smb_panic("no memory");
	}
	csvd_evaluate_soon(ask->v->csvd);
}

static int ask_destructor(struct csvd_ask *ask)
{
	TALLOC_FREE(ask->fde);
	if (ask->job != NULL) {
		ask_put(ask->job);
	}
	return 0;
}

/* Where that guard is, as its csvd told or as our own configuration says. */
static int ask_address(struct csvd_ask *ask, struct ask_job *job)
{
	struct csvd_context *csvd = ask->v->csvd;
	const struct csvd_member *m = csvd_member_find(csvd, ask->node);

	if (m == NULL) {
		return ENXIO;
	}
	job->port = csvd->config->guard_port;
	strlcpy(job->address, m->address, sizeof(job->address));
	if (m->info != NULL && m->info->guard_port != 0 &&
	    m->info->address.length < sizeof(job->address))
	{
		job->port = m->info->guard_port;
		snprintf(job->address,
			 sizeof(job->address),
			 "%.*s",
			 (int)m->info->address.length,
			 (const char *)m->info->address.data);
	}
	return csvd_secret_psk(csvd, ask->node, job->psk, job->identity);
}

static int ask_start(struct csvd_ask *ask)
{
	struct ask_job *job = calloc(1, sizeof(*job));
	int ret;

	if (job == NULL) {
		return ENOMEM;
	}
	job->references = 2;
	job->epoch = ask->epoch;
	job->node = ask->node;
	job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	strlcpy(job->name, ask->v->name, sizeof(job->name));
	ret = job->done_fd == -1 ? errno : ask_address(ask, job);
	if (ret == 0) {
		ret = guard_thread_start(ask_thread, job);
	}
	if (ret != 0) {
		job->references = 1;
		ask_put(job);
		return ret;
	}
	ask->job = job;
	ask->last = guard_now();
	ask->fde = tevent_add_fd(ask->v->csvd->ev,
				 ask,
				 job->done_fd,
				 TEVENT_FD_READ,
				 ask_done,
				 ask);
	return ask->fde != NULL ? 0 : ENOMEM;
}

static struct csvd_ask *ask_get(struct csvd_volume *v)
{
	if (v->ask != NULL && v->ask->epoch == v->rec->epoch &&
	    v->ask->node == v->rec->owner)
	{
		return v->ask;
	}
	TALLOC_FREE(v->ask);
	v->ask = talloc_zero(v, struct csvd_ask);
	if (v->ask != NULL) {
		v->ask->v = v;
		v->ask->epoch = v->rec->epoch;
		v->ask->node = v->rec->owner;
		v->ask->first = guard_now();
		v->ask->hopeful = true;
		talloc_set_destructor(v->ask, ask_destructor);
	}
	return v->ask;
}

/*
 * All nodes count from the moment in which the owner died, not from when it
 * was their turn to ask; but each has the time for one question.
 */
static bool ask_patient(const struct csvd_ask *ask, uint64_t now)
{
	const struct csvd_member *m =
		csvd_member_find(ask->v->csvd, ask->node);
	uint64_t died = m != NULL && m->died != 0 ? m->died : ask->first;

	return now < died + ASK_PATIENCE_MS ||
	       now < ask->began + ASK_CONNECT_MS + ASK_ANSWER_MS;
}

bool csvd_guard_hopes(const struct csvd_volume *v)
{
	const struct csvd_ask *ask = v->ask;

	return ask != NULL && v->rec != NULL && ask->epoch == v->rec->epoch &&
	       ask->node == v->rec->owner && ask->hopeful &&
	       ask->last != 0 && csvd_member_dead(v->csvd, ask->node) &&
	       ask_patient(ask, guard_now()) && ask_connected(ask);
}

/* What was answered before the owner died says nothing. */
static void ask_begin_again(struct csvd_ask *ask)
{
	const struct csvd_member *m =
		csvd_member_find(ask->v->csvd, ask->node);

	if (ask->began == 0 || (m != NULL && m->died > ask->began)) {
		ask->began = guard_now();
		ask->hopeful = true;
	}
}

bool csvd_guard_ask(struct csvd_volume *v)
{
	struct csvd_ask *ask = ask_get(v);
	bool dead = csvd_member_dead(v->csvd, v->rec->owner);
	uint64_t now = guard_now();
	uint64_t pause = ASK_LATER_MS;
	bool patient, hopes;

	if (ask == NULL) {
		return false;
	}
	if (dead) {
		ask_begin_again(ask);
	}
	patient = !dead || ask_patient(ask, now);
	if (ask->hopeful && patient) {
		pause = dead ? ASK_AGAIN_MS : ASK_ALIVE_MS;
	}
	if (ask->job == NULL && now >= ask->last + pause &&
	    ask_start(ask) != 0)
	{
		ask->hopeful = false;
	}
	hopes = csvd_guard_hopes(v);
	if (hopes != ask->told) {
		ask->told = hopes;
		csvd_publish_node(v->csvd, false);
	}
	return ask->hopeful && patient;
}
