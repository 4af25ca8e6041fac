/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The third vote's notes: one question at a time, on a connection of its own.
 *
 * An answer holds as long as the same nodes are in view: who is out of view
 * cannot note more than its database has while a greater note of ours stands.
 */
#include "csvd/note.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "csvd/guard.h"
#include "csvd/quorum.h"
#include "csvd/record.h"
#include "lib/quorum/message.h"
#include "lib/quorum/slots.h"

#define NOTE_AHEAD 4 /* a taking's two commits, its failures, its end */
#define NOTE_LIMIT_MS 10000 /* a place that hangs */
#define NOTE_AGAIN_MS 1000  /* after a "no" */
#define NOTE_SETTLE_COMMITS 8 /* in one csvd_note_settle() */

struct csvd_note {
	struct csvd_context *csvd;
	char *socket_path; /* NULL: there is no third vote */

	/* the question */
	int fd; /* -1: none is on its way */
	struct tevent_fd *fde;
	struct tevent_timer *limit;
	struct quorum_message asked;

	/* the answer to it; of nothing if in_view is 0 */
	uint64_t in_view; /* it was asked with */
	bool known;	  /* the third vote told what is noted */
	bool allowed;	  /* nobody else noted more than we had */
	uint64_t noted;	  /* by this node; only if allowed */
	uint64_t others;  /* the highest of the others, and whose */
	uint32_t who;
	uint64_t again; /* guard_now(): not to be asked before */
	char why[256];

	uint64_t settled; /* with these nodes in view nothing was ahead */
};

/* The value of --name in a command line; NULL: it has none. */
static char *note_option(TALLOC_CTX *mem_ctx, const char *line, const char *name)
{
	char **words = str_list_make_v3(mem_ctx, line, " \t");
	size_t length = strlen(name), i;
	const char *value = NULL;
	char *result = NULL;

	for (i = 0; words != NULL && words[i] != NULL; i++) {
		if (strncmp(words[i], name, length) != 0) {
			continue;
		}
		if (words[i][length] == '=') {
			value = words[i] + length + 1;
		} else if (words[i][length] == '\0') {
			value = words[i + 1];
		}
	}
	if (value != NULL) {
		result = talloc_strdup(mem_ctx, value);
	}
	talloc_free(words);
	return result;
}

int csvd_note_start(struct csvd_context *csvd, const char *lock)
{
	struct csvd_note *n = talloc_zero(csvd, struct csvd_note);
	char *third = NULL, *dir = NULL;

	if (n == NULL) {
		return ENOMEM;
	}
	n->csvd = csvd;
	n->fd = -1;
	third = note_option(n, lock, "--third");
	dir = note_option(n, lock, "--run-dir");
	if (third != NULL) {
		n->socket_path = talloc_asprintf(n,
						 "%s/quorum.sock",
						 dir != NULL ? dir
							     : "/run/csvd");
		if (n->socket_path == NULL) {
			talloc_free(n);
			return ENOMEM;
		}
	}
	talloc_free(third);
	talloc_free(dir);
	csvd->note = n;
	return 0;
}

static void note_why(struct csvd_note *n, const char *fmt, ...)
	PRINTF_ATTRIBUTE(2, 3);

static void note_why(struct csvd_note *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(n->why, sizeof(n->why), fmt, ap);
	va_end(ap);
}

/* No question is on its way any more; look again at what waited for it. */
static void note_end(struct csvd_note *n)
{
	TALLOC_FREE(n->fde);
	TALLOC_FREE(n->limit);
	if (n->fd != -1) {
		close(n->fd);
		n->fd = -1;
	}
	csvd_evaluate_soon(n->csvd);
}

static void note_failed(struct csvd_note *n, int error)
{
	note_why(n, "the third vote cannot be asked: %s", strerror(error));
	note_end(n);
}

/* Why the third vote did not note it. */
static void note_refused(struct csvd_note *n, const struct quorum_message *a)
{
	switch (a->verdict) {
	case QUORUM_HELD:
		if (a->who.phase != QUORUM_NONE) {
			note_why(n,
				 "the third vote is node %" PRIu32 "'s",
				 a->who.node);
		}
		break;
	case QUORUM_QUIET:
		note_why(n, "no node in view has the third vote");
		break;
	case QUORUM_GRANTED:
	case QUORUM_TOLD:
		break;
	default:
		note_why(n, "the third vote cannot be reached: its log says "
			    "why");
		break;
	}
}

static void note_newer(struct csvd_note *n, const struct quorum_message *a)
{
	if (a->who.instance == QUORUM_NOTE_BROKEN) {
		note_why(n,
			 "what node %" PRIu32 " noted with the third vote is "
			 "damaged: node %" PRIu32 " has to come back",
			 a->who.node,
			 a->who.node);
		return;
	}
	note_why(n,
		 "node %" PRIu32 " may have a newer database (change %" PRIu64
		 " is noted with the third vote, here it is at %" PRIu64
		 "): waiting for node %" PRIu32,
		 a->who.node,
		 a->who.instance,
		 n->asked.who.instance,
		 a->who.node);
}

static void note_answer(struct csvd_note *n, const struct quorum_message *a)
{
	n->known = a->verdict != QUORUM_REFUSED &&
		   (a->verdict != QUORUM_HELD || a->who.phase == QUORUM_NONE);
	n->in_view = n->asked.instance;
	n->others = n->known ? a->who.instance : 0;
	n->who = a->who.node;
	n->allowed = (a->verdict == QUORUM_GRANTED ||
		      a->verdict == QUORUM_TOLD) &&
		     n->others <= n->asked.who.instance;
	n->noted = a->verdict == QUORUM_GRANTED ? a->number : 0;
	if (n->allowed) {
		n->again = 0;
		n->why[0] = '\0';
	} else if (n->known && n->others > n->asked.who.instance) {
		note_newer(n, a);
	} else {
		note_refused(n, a);
	}
}

static void note_readable(struct tevent_context *ev,
			  struct tevent_fd *fde,
			  uint16_t flags,
			  void *private_data)
{
	struct csvd_note *n = private_data;
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	struct quorum_message a;
	ssize_t got = recv(n->fd, buf, sizeof(buf), 0);

	if (got == -1 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got != sizeof(buf)) {
		/* a voter of an earlier version hangs up */
		note_failed(n, got == -1 ? errno : ECONNRESET);
		return;
	}
	if (quorum_message_pull(buf, &a) != 0 ||
	    a.type != (QUORUM_NOTE | QUORUM_ANSWER) ||
	    a.serial != n->asked.serial)
	{
		note_failed(n, EPROTO);
		return;
	}
	note_answer(n, &a);
	note_end(n);
}

static void note_limit(struct tevent_context *ev,
		       struct tevent_timer *te,
		       struct timeval now,
		       void *private_data)
{
	struct csvd_note *n = private_data;

	n->limit = NULL;
	note_failed(n, ETIMEDOUT);
}

static int note_connect(struct csvd_note *n)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlcpy(sun.sun_path, n->socket_path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path))
	{
		return ENAMETOOLONG;
	}
	n->fd = socket(AF_UNIX,
		       SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0);
	if (n->fd == -1 ||
	    connect(n->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
	{
		return errno;
	}
	return 0;
}

static int note_send(struct csvd_note *n)
{
	uint8_t buf[QUORUM_MESSAGE_SIZE];
	int ret = note_connect(n);

	if (ret != 0) {
		return ret;
	}
	quorum_message_push(&n->asked, buf);
	if (send(n->fd, buf, sizeof(buf), MSG_NOSIGNAL) != sizeof(buf)) {
		return errno;
	}
	n->fde = tevent_add_fd(n->csvd->ev,
			       n,
			       n->fd,
			       TEVENT_FD_READ,
			       note_readable,
			       n);
	n->limit = tevent_add_timer(
		n->csvd->ev,
		n,
		tevent_timeval_current_ofs(NOTE_LIMIT_MS / 1000, 0),
		note_limit,
		n);
	return n->fde != NULL && n->limit != NULL ? 0 : ENOMEM;
}

/* number 0: only tell. ENOLCK: not now, see n->why. */
static int note_ask(struct csvd_note *n,
		    uint64_t in_view,
		    uint64_t sequence,
		    uint64_t number)
{
	int ret;

	if (n->fd != -1) {
		return EINPROGRESS;
	}
	if (guard_now() < n->again) {
		return ENOLCK;
	}
	n->again = guard_now() + NOTE_AGAIN_MS;
	n->in_view = 0;
	n->known = false;
	n->allowed = false;
	n->asked = (struct quorum_message){
		.type = QUORUM_NOTE,
		.target = QUORUM_TARGET_THIRD,
		.serial = n->asked.serial + 1,
		.node = n->csvd->node,
		.instance = in_view,
		.who = {.node = QUORUM_NO_NODE, .instance = sequence},
		.number = number,
	};
	ret = note_send(n);
	if (ret != 0) {
		note_failed(n, ret);
		return ENOLCK;
	}
	return EINPROGRESS;
}

int csvd_note_ready(struct csvd_context *csvd,
		    uint64_t sequence,
		    unsigned commits)
{
	struct csvd_note *n = csvd->note;
	uint64_t in_view = 0, number = 0;

	if (!csvd_quorum_half(csvd, &in_view)) {
		return 0;
	}
	if (n == NULL || n->socket_path == NULL) {
		return ENOLCK;
	}
	if (n->in_view == in_view && n->allowed && n->others <= sequence &&
	    (commits == 0 || n->noted >= sequence + commits))
	{
		return 0;
	}
	if (commits != 0) {
		number = sequence + MAX(commits, NOTE_AHEAD);
	}
	return note_ask(n, in_view, sequence, number);
}

const char *csvd_note_why(struct csvd_context *csvd)
{
	const struct csvd_note *n = csvd->note;

	if (n == NULL || n->socket_path == NULL) {
		return "half of the nodes are not in view, and CTDB's cluster "
		       "lock has no third vote (csv_quorum_helper --third)";
	}
	/* a "no" holds while it is asked again */
	return n->why[0] == '\0' ? "asking the third vote" : n->why;
}

/*
 * A note of a node in view is ahead of the database: it meant to write, and
 * did not, or noted more than it wrote.
 */
static void note_catch_up(struct csvd_note *n, uint64_t sequence)
{
	unsigned i;
	int ret = 0;

	for (i = 0; i < NOTE_SETTLE_COMMITS && ret == 0 && sequence < n->others;
	     i++)
	{
		ret = csvd_record_touch(n->csvd);
		if (ret == 0) {
			ret = csvd_record_sequence(n->csvd, &sequence);
		}
	}
	if (ret == 0) {
		csvd_evaluate_soon(n->csvd);
	}
}

void csvd_note_settle(struct csvd_context *csvd)
{
	struct csvd_note *n = csvd->note;
	uint64_t in_view = 0, sequence = 0;

	if (n == NULL || n->socket_path == NULL || n->fd != -1) {
		return;
	}
	if (csvd_quorum_half(csvd, &in_view)) {
		n->settled = 0;
		return;
	}
	if (in_view == n->settled || !csvd_quorum_in_view(csvd) ||
	    csvd_record_sequence(csvd, &sequence) != 0)
	{
		return;
	}
	if (n->in_view != ~in_view || !n->known) {
		/* those in view are out of view of all others */
		(void)note_ask(n, ~in_view, sequence, 0);
	} else if (n->others == QUORUM_NOTE_BROKEN && n->who == csvd->node) {
		(void)note_ask(n, in_view, sequence, sequence + 1);
	} else if (n->others == QUORUM_NOTE_BROKEN) {
		n->known = false; /* it will be mended there */
	} else if (n->others > sequence) {
		note_catch_up(n, sequence);
	} else {
		n->settled = in_view;
	}
}
