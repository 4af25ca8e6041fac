/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See tcons.h. The answers are two objects, one after the other: sessions with
 * their channels' addresses, tree connects with their session. smbstatus gives
 * both at once only together with all open files.
 */
#include "witness/tcons.h"
#include <jansson.h>
#include "lib/util/dlinklist.h"
#include "lib/util_file.h"

#define TCONS_AGAIN_MS 10000
#define TCONS_PAUSE_MS 1000
/* $0: smbstatus; it is killed after 10 s. */
#define TCONS_ASK \
	"timeout 10 \"$0\" \"$1\" --json --processes && " \
	"timeout 10 \"$0\" \"$1\" --json --shares"
#define TCONS_MAX ((size_t)64 * 1024 * 1024)

struct tcons_client {
	struct tcons_client *prev, *next;
	struct sockaddr_storage address;
	const char **shares;
};

struct witness_tcons {
	struct tcons_client *clients;
	TALLOC_CTX *answer; /* of which they are children */
	uint64_t asked;	    /* the answer that is here */
	uint64_t asking;    /* the last one, whether it has come or not */
	bool runs;
};

int witness_tcons_start(struct witness_context *w)
{
	w->tcons = talloc_zero(w, struct witness_tcons);
	return w->tcons != NULL ? 0 : ENOMEM;
}

uint64_t witness_tcons_asked(const struct witness_context *w)
{
	return w->tcons->asked;
}

bool witness_tcons_address(const char *text, struct sockaddr_storage *ss)
{
	const char *start = NULL;
	const char *end = NULL;
	char address[INET6_ADDRSTRLEN + 32];
	size_t length;

	if (text == NULL || (strncmp(text, "ipv4:", 5) != 0 &&
			     strncmp(text, "ipv6:", 5) != 0))
	{
		return false;
	}
	start = text + 5;
	end = strrchr(start, ':');
	length = end != NULL ? (size_t)(end - start) : 0;
	if (length == 0 || length >= sizeof(address)) {
		return false;
	}
	memcpy(address, start, length);
	address[length] = '\0';
	return interpret_string_addr(ss, address, AI_NUMERICHOST);
}

static struct tcons_client *tcons_find(struct tcons_client *list,
				       const struct sockaddr_storage *address)
{
	struct tcons_client *c = NULL;

	for (c = list; c != NULL; c = c->next) {
		if (sockaddr_equal((const struct sockaddr *)&c->address,
				   (const struct sockaddr *)address))
		{
			break;
		}
	}
	return c;
}

static bool tcons_has(const struct tcons_client *c, const char *share)
{
	size_t i;

	for (i = 0; i < talloc_array_length(c->shares); i++) {
		if (strequal(c->shares[i], share)) {
			return true;
		}
	}
	return false;
}

/* This client uses this share. false: no memory. */
static bool tcons_add(TALLOC_CTX *answer,
		      struct tcons_client **list,
		      const struct sockaddr_storage *address,
		      const char *share)
{
	struct tcons_client *c = tcons_find(*list, address);
	const char **shares = NULL;
	size_t num;

	if (c == NULL) {
		c = talloc_zero(answer, struct tcons_client);
		if (c == NULL) {
			return false;
		}
		c->address = *address;
		DLIST_ADD(*list, c);
	}
	if (tcons_has(c, share)) {
		return true;
	}
	num = talloc_array_length(c->shares);
	shares = talloc_realloc(c, c->shares, const char *, num + 1);
	if (shares == NULL) {
		return false;
	}
	c->shares = shares;
	shares[num] = talloc_strdup(c, share);
	return shares[num] != NULL;
}

/* One tree connect: its session's channels say whose it is. */
static bool tcons_tcon(TALLOC_CTX *answer,
		       struct tcons_client **list,
		       json_t *sessions,
		       json_t *tcon)
{
	const char *share = json_string_value(json_object_get(tcon, "service"));
	const char *id = json_string_value(json_object_get(tcon, "session_id"));
	json_t *channels = NULL;
	json_t *channel = NULL;
	const char *name = NULL;
	bool ok = true;

	if (share == NULL || id == NULL || strequal(share, "IPC$")) {
		return true;
	}
	channels = json_object_get(json_object_get(sessions, id), "channels");
	json_object_foreach(channels, name, channel) {
		struct sockaddr_storage ss = {};
		const char *remote = json_string_value(
			json_object_get(channel, "remote_address"));

		if (witness_tcons_address(remote, &ss)) {
			ok = ok && tcons_add(answer, list, &ss, share);
		}
	}
	return ok;
}

/* The next one; NULL: there is none. */
static json_t *tcons_object(const uint8_t **text, size_t *left)
{
	json_error_t error = {};
	json_t *object = json_loadb((const char *)*text,
				    *left,
				    JSON_DISABLE_EOF_CHECK,
				    &error);

	if (object == NULL) {
		DBG_WARNING("smbstatus: %s\n", error.text);
		return NULL;
	}
	*text += error.position;
	*left -= (size_t)error.position;
	return object;
}

/* false: it is no answer, or there is no memory. */
static bool tcons_read(TALLOC_CTX *answer,
		       struct tcons_client **list,
		       const uint8_t *text)
{
	size_t left = talloc_get_size(text) - 1; /* a zero follows */
	json_t *first = tcons_object(&text, &left);
	json_t *second = tcons_object(&text, &left);
	json_t *sessions = json_object_get(first, "sessions");
	json_t *tcons = json_object_get(second, "tcons");
	json_t *tcon = NULL;
	const char *id = NULL;
	bool ok = json_is_object(sessions) && json_is_object(tcons);

	json_object_foreach(tcons, id, tcon) {
		ok = ok && tcons_tcon(answer, list, sessions, tcon);
	}
	json_decref(first);
	json_decref(second);
	return ok;
}

static void tcons_answered(struct tevent_req *req)
{
	struct witness_context *w = tevent_req_callback_data(
		req, struct witness_context);
	struct witness_tcons *t = w->tcons;
	TALLOC_CTX *answer = talloc_new(t);
	struct tcons_client *list = NULL;
	uint8_t *text = NULL;
	int ret = file_ploadv_recv(req, answer, &text);

	TALLOC_FREE(req);
	t->runs = false;
	if (answer == NULL || ret != 0 || text == NULL ||
	    !tcons_read(answer, &list, text))
	{
		DBG_WARNING("no list of tree connects, keeping the last\n");
		talloc_free(answer);
		return;
	}
	talloc_free(text);
	talloc_free(t->answer);
	t->answer = answer;
	t->clients = list;
	t->asked = t->asking;
	witness_soon(w);
}

static void tcons_ask(struct witness_context *w)
{
	TALLOC_CTX *frame = talloc_stackframe();
	struct witness_tcons *t = w->tcons;
	struct tevent_req *req = NULL;
	char *argv[] = {
		talloc_strdup(frame, "/bin/sh"),
		talloc_strdup(frame, "-c"),
		talloc_strdup(frame, TCONS_ASK),
		talloc_asprintf(frame, "%s/smbstatus", get_dyn_BINDIR()),
		talloc_asprintf(frame, "--configfile=%s",
				get_dyn_CONFIGFILE()),
		NULL,
	};

	t->asking = witness_now();
	req = file_ploadv_send(t, w->ev, argv, TCONS_MAX);
	if (req != NULL) {
		t->runs = true;
		tevent_req_set_callback(req, tcons_answered, w);
	}
	TALLOC_FREE(frame);
}

void witness_tcons_want(struct witness_context *w, uint64_t since)
{
	const struct witness_tcons *t = w->tcons;
	uint64_t now = witness_now();

	if (t->runs) {
		return;
	}
	if (t->asking == 0 || now >= t->asking + TCONS_AGAIN_MS ||
	    (since >= t->asking && now >= t->asking + TCONS_PAUSE_MS))
	{
		tcons_ask(w);
	}
}

const char *const *witness_tcons_of(const struct witness_context *w,
				    const struct sockaddr_storage *client,
				    size_t *num)
{
	const struct tcons_client *c = tcons_find(w->tcons->clients, client);

	*num = c != NULL ? talloc_array_length(c->shares) : 0;
	return c != NULL ? c->shares : NULL;
}
