/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The JSON report of a mode: stable lower_snake keys, units in the key.
 */
#include "client.h"
#include "system/filesys.h"

#define REPORT_MAX_ERRORS 100

struct report {
	json_t *json;
	json_t *errors;
	uint32_t num_errors;
};

double msec_between(struct timeval from, struct timeval to)
{
	return timeval_elapsed2(&from, &to) * 1000.0;
}

static int report_destructor(struct report *report)
{
	json_decref(report->json);
	return 0;
}

struct report *report_create(TALLOC_CTX *mem_ctx, const char *mode)
{
	struct report *report = talloc_zero(mem_ctx, struct report);

	if (report == NULL) {
		return NULL;
	}
	report->json = json_object();
	report->errors = json_array();
	json_object_set_new(report->json, "mode", json_string(mode));
	json_object_set_new(report->json, "errors", json_integer(0));
	json_object_set_new(report->json, "error_list", report->errors);
	talloc_set_destructor(report, report_destructor);
	return report;
}

json_t *report_json(struct report *report)
{
	return report->json;
}

void report_set(struct report *report, const char *key, json_t *value)
{
	json_object_set_new(report->json, key, value);
}

void report_error(struct report *report, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = talloc_vasprintf(report, fmt, ap);
	va_end(ap);
	report->num_errors += 1;
	json_object_set_new(report->json,
			    "errors",
			    json_integer(report->num_errors));
	if (report->num_errors <= REPORT_MAX_ERRORS) {
		json_array_append_new(report->errors, json_string(text));
		fprintf(stderr, "smb3client: %s\n", text);
	}
	TALLOC_FREE(text);
}

uint32_t report_errors(const struct report *report)
{
	return report->num_errors;
}

static void set_prefixed(struct report *report,
			 const char *prefix,
			 const char *key,
			 json_t *value)
{
	char *name = talloc_asprintf(report, "%s%s", prefix, key);

	json_object_set_new(report->json, name, value);
	TALLOC_FREE(name);
}

void report_client(struct report *report,
		   const char *prefix,
		   struct smb3_client *client)
{
	const struct smb3_stats *s = &client->stats;

	set_prefixed(report, prefix, "reconnects",
		     json_integer(s->reconnects));
	set_prefixed(report, prefix, "handles_reconnected",
		     json_integer(s->handles_reconnected));
	set_prefixed(report, prefix, "handles_lost",
		     json_integer(s->handles_lost));
	set_prefixed(report, prefix, "replays", json_integer(s->replays));
	set_prefixed(report, prefix, "redirects", json_integer(s->redirects));
	set_prefixed(report, prefix, "moves", json_integer(s->moves));
	set_prefixed(report, prefix, "echoes", json_integer(s->echoes));
	set_prefixed(report, prefix, "longest_echo_ms",
		     json_real(s->longest_echo_ms));
	set_prefixed(report, prefix, "retried_status",
		     json_deep_copy(s->retried_status));
	set_prefixed(report, prefix, "connection_failures",
		     json_deep_copy(s->connection_failures));
	set_prefixed(report, prefix, "links", json_deep_copy(s->links));
}

bool report_write(struct report *report, const char *path)
{
	const size_t flags = JSON_INDENT(2) | JSON_PRESERVE_ORDER;
	char *tmp = NULL;
	bool ok;

	if (path == NULL) {
		json_dumpf(report->json, stdout, flags);
		printf("\n");
		return fflush(stdout) == 0;
	}
	tmp = talloc_asprintf(report, "%s.tmp", path);
	ok = json_dump_file(report->json, tmp, flags) == 0 &&
	     rename(tmp, path) == 0;
	if (!ok) {
		fprintf(stderr, "smb3client: cannot write report %s: %s\n",
			path, strerror(errno));
	}
	TALLOC_FREE(tmp);
	return ok;
}
