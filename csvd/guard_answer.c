/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The answerer: a process beside the guard that reads the page and tells
 * other nodes what the guard did. It may hang or die without harm: who gets
 * no answer fences.
 */
#include "includes.h"
#include <poll.h>
#include "csvd/guard.h"
#include "csvd/guard_wire.h"
#include "gen_ndr/ndr_csv.h"

#define ANSWER_TIME_MS 2000
#define ANSWER_ROUND_MS 500
#define ANSWER_THREADS 16
#define ANSWER_GUARD_GONE_MS 3000

static struct guard_page *answer_page;
static _Atomic int answer_threads;

static bool answer_secret(void *private_data,
			  uint32_t generation,
			  uint8_t secret[CSV_SECRET_SIZE])
{
	struct guard_secret secrets[2];
	char address[64];
	bool found = false;
	size_t i;

	if (!guard_page_secrets(answer_page, address, secrets)) {
		return false;
	}
	for (i = 0; i < ARRAY_SIZE(secrets); i++) {
		if (generation != 0 && secrets[i].generation == generation) {
			memcpy(secret, secrets[i].secret, CSV_SECRET_SIZE);
			found = true;
		}
	}
	explicit_bzero(secrets, sizeof(secrets));
	return found;
}

/* The state is read again at the end: the guard may be changing the slot. */
static void answer_find(const char *name,
			uint64_t epoch,
			struct csv_guard_answer *a)
{
	static const enum csv_guard_state map[] = {
		[GUARD_FREE] = CSV_GUARD_UNKNOWN,
		[GUARD_HELD] = CSV_GUARD_HELD,
		[GUARD_SHUTTING] = CSV_GUARD_SHUTTING,
		[GUARD_SHUT] = CSV_GUARD_SHUT,
	};
	struct guard_slot *slot = guard_slot_find(answer_page, name);
	uint32_t state, reason;

	if (slot == NULL) {
		return;
	}
	state = slot->state;
	reason = slot->reason;
	a->epoch = slot->epoch;
	atomic_thread_fence(memory_order_acquire);
	if (state < ARRAY_SIZE(map) && state == slot->state &&
	    a->epoch == epoch && strcmp(slot->name, name) == 0)
	{
		const char *text = guard_reason_str(reason);

		a->state = map[state];
		a->reason = (struct csv_bytes){
			.length = strlen(text),
			.data = discard_const_p(uint8_t, text),
		};
	}
}

static int answer_talk(TALLOC_CTX *mem_ctx, struct csv_tls *tls)
{
	uint64_t deadline = guard_now() + ANSWER_TIME_MS;
	struct csv_guard_question q = {};
	struct csv_guard_answer a = {
		.version = CSV_GUARD_VERSION,
		.state = CSV_GUARD_UNKNOWN,
		.node = answer_page->node,
	};
	char *name = NULL;
	int ret;

	ret = guard_wire_handshake(tls, deadline);
	if (ret != 0) {
		return ret;
	}
	ret = guard_wire_recv(
		mem_ctx,
		tls,
		&q,
		(ndr_pull_flags_fn_t)ndr_pull_csv_guard_question,
		deadline);
	if (ret != 0 || q.version != CSV_GUARD_VERSION) {
		return ret != 0 ? ret : EPROTO;
	}
	name = talloc_strndup(mem_ctx, (char *)q.volume.data, q.volume.length);
	if (name == NULL) {
		return ENOMEM;
	}
	answer_find(name, q.epoch, &a);
	return guard_wire_send(
		tls,
		&a,
		(ndr_push_flags_fn_t)ndr_push_csv_guard_answer,
		deadline);
}

static void *answer_thread(void *private_data)
{
	struct csv_tls_server_params params = {
		.node = answer_page->node,
		.secret_fn = answer_secret,
	};
	int fd = (int)(intptr_t)private_data;
	TALLOC_CTX *mem_ctx = talloc_new(NULL);
	struct csv_tls *tls = NULL;

	/* who asked finds out that it failed; Samba's log is not for threads */
	if (csv_tls_server(mem_ctx, fd, &params, &tls) == 0) {
		(void)answer_talk(mem_ctx, tls);
	}
	talloc_free(mem_ctx);
	answer_threads--;
	return NULL;
}

static void answer_accept(int listener)
{
	int fd;

	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd == -1) {
		return;
	}
	if (answer_threads >= ANSWER_THREADS || csv_tcp_setup(fd) != 0) {
		close(fd);
		return;
	}
	answer_threads++;
	if (guard_thread_start(answer_thread, (void *)(intptr_t)fd) != 0) {
		answer_threads--;
		close(fd);
	}
}

/* Listening, or trying to: the address is known when a worker has run. */
static int answer_listen(int listener, bool *said)
{
	struct guard_secret secrets[2];
	char address[64];
	int ret;

	if (listener != -1 ||
	    !guard_page_secrets(answer_page, address, secrets))
	{
		return listener;
	}
	explicit_bzero(secrets, sizeof(secrets));
	ret = csv_tcp_listen(address, answer_page->port, &listener);
	if (ret == 0) {
		return listener;
	}
	if (!*said) {
		*said = true;
		DBG_ERR("the guard cannot answer on %s port %u: %s; trying "
			"again\n",
			address,
			answer_page->port,
			strerror(ret));
	}
	return -1;
}

void guard_answer_run(struct guard_page *page)
{
	pid_t parent = getppid();
	int listener = -1;
	bool said = false;

	guard_process_begin("csvd-answer");
	answer_page = page;
	/* ends with the supervisor and the guard; alone, nobody needs it */
	while (getppid() == parent ||
	       guard_now() < page->alive + ANSWER_GUARD_GONE_MS)
	{
		struct pollfd pfd = {.events = POLLIN};

		listener = answer_listen(listener, &said);
		pfd.fd = listener;
		if (poll(&pfd, 1, ANSWER_ROUND_MS) == 1) {
			answer_accept(listener);
		}
	}
	_exit(0);
}
