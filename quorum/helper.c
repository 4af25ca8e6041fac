/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The candidate, CTDB's cluster mutex helper: one byte on the standard output
 * says how it went ('0' held, '1' contention, '3' error), and the end of the
 * process that the lock is lost. CTDB runs it to take the lock, and on every
 * node at the end of every recovery to see that it cannot be taken: that must
 * be quick, so the own node's voter is asked first whether a holder lives.
 */
#include "quorum/quorum.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#define HELPER_LOCAL_MS 300    /* for the own voter to say who holds it */
#define HELPER_ANSWER_MS 700   /* then the connection is made anew */
#define HELPER_RETRY_MS 100
#define HELPER_ROUND_MS 1500   /* without a majority: make room for others */
#define HELPER_GIVE_UP_MS 20000

struct helper_peer {
	struct quorum_link *link;
	uint32_t node;
	enum quorum_target target;
	bool waiting; /* for an answer */
	uint64_t serial;
	uint64_t sent;
	uint64_t began; /* the link */
	uint64_t next;	/* nothing is to be done before */
};

struct helper {
	const struct quorum_config *config;
	struct quorum_tally tally;
	struct helper_peer peers[QUORUM_MAX_VOTES];
	enum quorum_phase phase;
	uint64_t started;
	uint64_t round;	  /* since when it asks for votes */
	uint64_t pause;	  /* asks for none before */
	uint64_t serial;
	int sigfd;
	bool done;
	char said; /* 0: nothing yet */
};

static void helper_say(struct helper *h, char status)
{
	if (h->said != 0) {
		return;
	}
	h->said = status;
	if (write(STDOUT_FILENO, &status, 1) != 1) {
		h->done = true; /* nobody waits for it */
	}
	if (status != '0') {
		h->done = true;
	}
}

static uint32_t helper_random(uint32_t below)
{
	uint32_t number = 0;

	(void)gnutls_rnd(GNUTLS_RND_NONCE, &number, sizeof(number));
	return number % below;
}

static void helper_close(struct helper *h, struct helper_peer *p)
{
	TALLOC_FREE(p->link);
	p->waiting = false;
	p->next = quorum_now() + HELPER_RETRY_MS;
}

static void helper_open(struct helper *h, struct helper_peer *p)
{
	p->began = quorum_now();
	if (p->node == h->config->node) {
		p->link = quorum_link_local(h, h->config);
	} else {
		p->link = quorum_link_node(h, h->config, p->node);
	}
	if (p->link == NULL) {
		helper_close(h, p);
	}
}

static void helper_send(struct helper *h,
			struct helper_peer *p,
			enum quorum_type type)
{
	struct quorum_message m = {
		.type = type,
		.target = p->target,
		.serial = ++h->serial,
		.node = h->tally.node,
		.instance = h->tally.instance,
		.phase = h->phase,
		.lease_ms = h->config->lease_ms,
		.who.node = QUORUM_NO_NODE,
	};

	p->sent = quorum_now();
	p->serial = m.serial;
	p->waiting = true;
	if (quorum_link_send(p->link, &m) != 0) {
		helper_close(h, p);
	}
}

/* Give back what is ours, without waiting. */
static void helper_release(struct helper *h)
{
	unsigned i;

	for (i = 0; i < h->tally.num; i++) {
		struct helper_peer *p = &h->peers[i];

		if (p->link != NULL && p->link->ready &&
		    (p->waiting || h->tally.votes[i].until != 0))
		{
			/* an answer on its way is not this one's */
			helper_send(h, p, QUORUM_RELEASE);
		}
	}
	quorum_tally_drop(&h->tally);
}

static void helper_pause(struct helper *h, uint64_t now)
{
	helper_release(h);
	h->pause = now + HELPER_RETRY_MS + helper_random(2 * HELPER_RETRY_MS);
	h->round = h->pause;
}

/* When to ask this voter again. */
static uint64_t helper_next(struct helper *h,
			    const struct quorum_message *answer,
			    uint64_t now)
{
	if (answer->verdict == QUORUM_GRANTED) {
		return now + quorum_renew_ms(h->config->lease_ms);
	}
	/* as soon as somebody else's lease is over; not in step with others */
	return now + MIN(answer->who.left_ms + 5,
			 HELPER_RETRY_MS / 2 + helper_random(HELPER_RETRY_MS));
}

static void helper_answer(struct helper *h,
			  unsigned i,
			  const struct quorum_message *answer)
{
	struct helper_peer *p = &h->peers[i];
	uint64_t now = quorum_now();

	if (answer->serial != p->serial || !p->waiting) {
		return; /* what was asked before a release */
	}
	p->waiting = false;
	if (answer->type == (QUORUM_RELEASE | QUORUM_ANSWER)) {
		p->next = now;
		return;
	}
	quorum_tally_answer(&h->tally, i, p->sent, now, answer);
	p->next = helper_next(h, answer, now);
}

static void helper_peer_ready(struct helper *h, unsigned i)
{
	struct helper_peer *p = &h->peers[i];
	struct quorum_message answer;
	int ret = quorum_link_step(p->link);

	while (ret == 0) {
		ret = quorum_link_recv(p->link, &answer);
		if (ret == 0) {
			helper_answer(h, i, &answer);
		}
	}
	if (ret != EAGAIN) {
		helper_close(h, p);
	}
}

/* What is due with this voter; returns when to look again. */
static uint64_t helper_peer_due(struct helper *h, unsigned i, uint64_t now)
{
	struct helper_peer *p = &h->peers[i];
	bool ask = h->phase == QUORUM_NONE;

	if (p->link != NULL && (p->waiting || !p->link->ready)) {
		uint64_t since = p->waiting ? p->sent : p->began;

		if (now < since + HELPER_ANSWER_MS) {
			return since + HELPER_ANSWER_MS;
		}
		helper_close(h, p);
		p->next = now;
	}
	if (ask && p->node != h->config->node) {
		return now + HELPER_LOCAL_MS;
	}
	if (now < MAX(p->next, h->pause)) {
		return MAX(p->next, h->pause);
	}
	if (p->link == NULL) {
		helper_open(h, p);
	}
	if (p->link != NULL && p->link->ready) {
		helper_send(h, p, ask ? QUORUM_ASK : QUORUM_VOTE);
	}
	return now + HELPER_RETRY_MS;
}

static void helper_won(struct helper *h, uint64_t now)
{
	unsigned i;

	h->phase = QUORUM_HOLDER;
	/* let everybody know, at once */
	for (i = 0; i < h->tally.num; i++) {
		h->peers[i].next = now;
	}
	helper_say(h, '0');
	quorum_stay_in_memory();
}

static void helper_judge_candidate(struct helper *h, uint64_t now)
{
	if (quorum_tally_contention(&h->tally, now) ||
	    now >= h->started + HELPER_GIVE_UP_MS)
	{
		helper_release(h);
		helper_say(h, '1');
		return;
	}
	if (h->phase == QUORUM_NONE) {
		if (h->tally.votes[0].seen != 0 ||
		    now >= h->started + HELPER_LOCAL_MS)
		{
			h->phase = QUORUM_CANDIDATE;
			h->round = now;
		}
		return;
	}
	if (quorum_tally_until(&h->tally) > now) {
		helper_won(h, now);
	} else if (now >= h->pause && (quorum_tally_yield(&h->tally, now) ||
				       now >= h->round + HELPER_ROUND_MS))
	{
		helper_pause(h, now);
	}
}

static void helper_judge(struct helper *h, uint64_t now)
{
	uint64_t until;

	if (h->phase != QUORUM_HOLDER) {
		helper_judge_candidate(h, now);
		return;
	}
	until = quorum_tally_until(&h->tally);
	if (now < until) {
		return;
	}
	fprintf(stderr,
		"csv_quorum_helper: no majority of %u votes any more, the "
		"cluster lock is lost\n",
		h->tally.num);
	helper_release(h);
	h->done = true;
}

static void helper_turn(struct helper *h)
{
	struct pollfd pfd[QUORUM_MAX_VOTES + 2];
	unsigned num = h->tally.num, i;
	uint64_t now = quorum_now();
	uint64_t next = now + 1000;

	for (i = 0; i < num; i++) {
		next = MIN(next, helper_peer_due(h, i, now));
	}
	for (i = 0; i < num; i++) {
		const struct quorum_link *link = h->peers[i].link;

		pfd[i] = (struct pollfd){
			.fd = link != NULL ? link->t->fd : -1,
			.events = link != NULL ? link->events : 0};
	}
	if (h->phase == QUORUM_HOLDER) {
		next = MIN(next, quorum_tally_until(&h->tally));
	}
	pfd[num] = (struct pollfd){.fd = h->sigfd, .events = POLLIN};
	/* the pipe to CTDB: closed when it wants the lock no more, or died */
	pfd[num + 1] = (struct pollfd){.fd = STDOUT_FILENO};
	(void)poll(pfd, num + 2, next > now ? (int)(next - now) : 0);
	for (i = 0; i < num; i++) {
		if (pfd[i].revents != 0 && h->peers[i].link != NULL) {
			helper_peer_ready(h, i);
		}
	}
	if (pfd[num].revents != 0 || pfd[num + 1].revents != 0) {
		helper_release(h);
		h->done = true;
		return;
	}
	helper_judge(h, quorum_now());
}

static void helper_peers(struct helper *h)
{
	const struct quorum_config *config = h->config;
	unsigned n = 0, i;
	uint64_t instance = 0;

	h->peers[n++].node = config->node;
	for (i = 0; i < config->num_nodes; i++) {
		if (i != config->node && config->address[i] != NULL) {
			h->peers[n++].node = i;
		}
	}
	if (config->third != NULL) {
		h->peers[n].target = QUORUM_TARGET_THIRD;
		h->peers[n++].node = config->node;
	}
	(void)gnutls_rnd(GNUTLS_RND_NONCE, &instance, sizeof(instance));
	quorum_tally_init(&h->tally,
			  config->node,
			  instance,
			  config->lease_ms,
			  n);
}

static int helper_signals(struct helper *h, pid_t parent)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	h->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->sigfd == -1) {
		return errno;
	}
	/* CTDB's process may go without closing the pipe for us to see */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	return getppid() == parent ? 0 : ESRCH;
}

/* Without it nobody but the own voter answers, and nobody says why. */
static bool helper_has_key(const struct quorum_config *config)
{
	uint8_t secret[CSV_SECRET_SIZE];
	uint32_t generation = 0;
	int ret;

	if (config->num_voters == 1) {
		return true;
	}
	ret = quorum_key_read(config->key_file, &generation, secret);
	gnutls_memset(secret, 0, sizeof(secret));
	if (ret != 0) {
		fprintf(stderr,
			"csv_quorum_helper: %s: %s\n",
			config->key_file,
			ret == EPERM ? "must be root's, mode 0600"
				     : strerror(ret));
	}
	return ret == 0;
}

int quorum_hold(const struct quorum_config *config)
{
	struct helper *h = talloc_zero(NULL, struct helper);
	pid_t parent = getppid();

	if (h == NULL) {
		return 1;
	}
	h->config = config;
	h->started = quorum_now();
	helper_peers(h);
	if (parent == 1 || !helper_has_key(config) ||
	    helper_signals(h, parent) != 0)
	{
		helper_say(h, '3');
		return 1;
	}
	quorum_realtime();
	while (!h->done) {
		helper_turn(h);
	}
	return h->said == '0' ? 0 : 1;
}
