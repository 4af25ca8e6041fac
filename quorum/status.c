/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csv_quorum_helper --status: whom each voter votes for.
 */
#include "quorum/quorum.h"
#include <inttypes.h>
#include <jansson.h>

#define STATUS_LIMIT_MS 1000 /* of each voter */

/* One message and its answer, within the time limit. 0 or errno. */
static int status_ask(struct quorum_link *link,
		      const struct quorum_message *m,
		      struct quorum_message *answer)
{
	uint64_t end = quorum_now() + STATUS_LIMIT_MS;
	bool sent = false;
	int ret = link->ready ? 0 : EAGAIN;

	for (;;) {
		uint64_t now = quorum_now();
		struct pollfd pfd = {.fd = link->t->fd,
				     .events = link->events};

		if (ret == 0 && !sent) {
			ret = quorum_link_send(link, m);
			sent = true;
		}
		if (ret == 0) {
			ret = quorum_link_recv(link, answer);
			if (ret == 0) {
				return 0;
			}
		}
		if (ret != EAGAIN) {
			return ret;
		}
		if (now >= end || poll(&pfd, 1, (int)(end - now)) <= 0) {
			return ETIMEDOUT;
		}
		ret = quorum_link_step(link);
	}
}

/* What the third vote noted for csvd; nothing where that is not told. */
static void status_notes(const struct quorum_config *config,
			 struct quorum_link *link,
			 json_t *j)
{
	struct quorum_message m = {.type = QUORUM_NOTE,
				   .target = QUORUM_TARGET_THIRD,
				   .serial = 2,
				   .node = config->node,
				   .instance = 1ULL << config->node,
				   .who.node = QUORUM_NO_NODE};
	struct quorum_message answer = {};

	if (status_ask(link, &m, &answer) != 0 ||
	    answer.verdict != QUORUM_TOLD)
	{
		return;
	}
	json_object_set_new(j, "noted", json_integer(answer.number));
	if (answer.who.node != QUORUM_NO_NODE) {
		json_object_set_new(j,
				    "noted_by_others",
				    json_integer(answer.who.instance));
		json_object_set_new(j,
				    "noted_by",
				    json_integer(answer.who.node));
	}
}

static json_t *status_voter(const struct quorum_config *config,
			    uint32_t node,
			    enum quorum_target target)
{
	struct quorum_message m = {.type = QUORUM_ASK,
				   .target = target,
				   .serial = 1,
				   .node = config->node,
				   .who.node = QUORUM_NO_NODE};
	struct quorum_message answer = {};
	struct quorum_link *link = NULL;
	json_t *j = json_object();
	int ret = ECONNREFUSED;

	if (target == QUORUM_TARGET_VOTER) {
		json_object_set_new(j, "node", json_integer(node));
	} else {
		json_object_set_new(j, "third", json_string(config->third));
	}
	link = node == config->node ? quorum_link_local(NULL, config)
				    : quorum_link_node(NULL, config, node);
	if (link != NULL) {
		ret = status_ask(link, &m, &answer);
	}
	if (ret == 0 && target == QUORUM_TARGET_THIRD) {
		status_notes(config, link, j);
	}
	talloc_free(link);
	if (ret == 0 && answer.verdict != QUORUM_TOLD) {
		ret = EIO;
	}
	json_object_set_new(j, "answers", json_boolean(ret == 0));
	if (ret != 0) {
		json_object_set_new(j, "error", json_string(strerror(ret)));
	} else if (answer.who.node != QUORUM_NO_NODE) {
		json_object_set_new(j,
				    "votes_for",
				    json_integer(answer.who.node));
		json_object_set_new(
			j,
			"holder",
			json_boolean(answer.who.phase == QUORUM_HOLDER));
		json_object_set_new(j,
				    "renewed_ms_ago",
				    json_integer(answer.who.age_ms));
	} else {
		json_object_set_new(j, "votes_for", json_null());
	}
	return j;
}

int quorum_status(const struct quorum_config *config)
{
	json_t *all = json_object(), *voters = json_array(), *v = NULL;
	unsigned total = 0, answering = 0;
	size_t at;
	uint32_t i;

	for (i = 0; i < config->num_nodes; i++) {
		if (config->address[i] != NULL) {
			json_array_append_new(
				voters,
				status_voter(config, i, QUORUM_TARGET_VOTER));
		}
	}
	if (config->third != NULL) {
		json_array_append_new(voters,
				      status_voter(config,
						   config->node,
						   QUORUM_TARGET_THIRD));
	}
	json_array_foreach(voters, at, v) {
		total++;
		answering += json_is_true(json_object_get(v, "answers"));
	}
	json_object_set_new(all, "needed", json_integer(total / 2 + 1));
	json_object_set_new(all, "voters", voters);
	json_dumpf(all, stdout, JSON_INDENT(1));
	printf("\n");
	json_decref(all);
	return answering > total / 2 ? 0 : 1;
}
