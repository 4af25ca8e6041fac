/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an open costs: one file that is there is opened, asking for a persistent
 * handle, and closed, one time after the other, --count times or for --seconds.
 * The first PRICE_WARM_UP times do not count.
 */
#include "client.h"

#define PRICE_WARM_UP 5

struct price {
	struct main_context *ctx;
	struct report *report;
	struct smb3_client *client;
	struct timeval started;
	double *open_ms, *close_ms, *both_ms;
	size_t count;
	size_t persistent;
};

static bool price_note(struct price *p, double open_ms, double close_ms)
{
	size_t n = p->count + 1;

	p->open_ms = talloc_realloc(p, p->open_ms, double, n);
	p->close_ms = talloc_realloc(p, p->close_ms, double, n);
	p->both_ms = talloc_realloc(p, p->both_ms, double, n);
	if (p->open_ms == NULL || p->close_ms == NULL || p->both_ms == NULL) {
		return false;
	}
	p->open_ms[p->count] = open_ms;
	p->close_ms[p->count] = close_ms;
	p->both_ms[p->count] = open_ms + close_ms;
	p->count = n;
	return true;
}

static NTSTATUS price_once(struct price *p, bool counts)
{
	struct smb3_open_params params = {
		.path = p->ctx->path,
		.access_mask = SEC_FILE_READ_DATA | SEC_FILE_WRITE_DATA,
		.share_access = FILE_SHARE_READ | FILE_SHARE_WRITE |
				FILE_SHARE_DELETE,
		.disposition = FILE_OPEN_IF,
		.create_options = FILE_NON_DIRECTORY_FILE,
		.persistent = true,
	};
	struct smb3_handle *handle = NULL;
	struct timeval began = timeval_current();
	double open_ms;
	bool persistent;
	NTSTATUS status;

	status = smb3_open(p->client, &params, &handle);
	if (!NT_STATUS_IS_OK(status)) {
		return status;
	}
	open_ms = timeval_elapsed(&began) * 1000.0;
	persistent = handle->persistent;
	began = timeval_current();
	status = smb3_close(handle);
	if (!NT_STATUS_IS_OK(status) || !counts) {
		return status;
	}
	p->persistent += persistent;
	if (!price_note(p, open_ms, timeval_elapsed(&began) * 1000.0)) {
		return NT_STATUS_NO_MEMORY;
	}
	return NT_STATUS_OK;
}

static bool price_over(const struct price *p)
{
	const struct main_context *ctx = p->ctx;

	return report_errors(p->report) > 0 ||
	       (ctx->count > 0 && p->count >= (size_t)ctx->count) ||
	       (ctx->seconds > 0 &&
		timeval_elapsed(&p->started) >= ctx->seconds);
}

static void price_run(struct price *p)
{
	NTSTATUS status = smb3_client_connect(p->client);
	int warm;

	for (warm = 0; NT_STATUS_IS_OK(status) && warm < PRICE_WARM_UP; warm++) {
		status = price_once(p, false);
	}
	if (!NT_STATUS_IS_OK(status)) {
		report_error(p->report, "first opens: %s", nt_errstr(status));
		return;
	}
	p->started = timeval_current();
	while (!price_over(p)) {
		status = price_once(p, true);
		if (!NT_STATUS_IS_OK(status)) {
			report_error(p->report, "open %zu: %s",
				     p->count, nt_errstr(status));
		}
	}
}

static int price_compare(const double *a, const double *b)
{
	return *a < *b ? -1 : *a > *b;
}

static void price_median(struct price *p, const char *name, double *values)
{
	if (p->count == 0) {
		return;
	}
	TYPESAFE_QSORT(values, p->count, price_compare);
	report_set(p->report, name, json_real(values[p->count / 2]));
}

static void price_report(struct price *p)
{
	double seconds = timeval_elapsed(&p->started);

	report_set(p->report, "opens", json_integer(p->count));
	report_set(p->report, "persistent_opens", json_integer(p->persistent));
	report_set(p->report, "opens_per_second",
		   json_real(seconds > 0 ? p->count / seconds : 0));
	price_median(p, "open_ms_median", p->open_ms);
	price_median(p, "close_ms_median", p->close_ms);
	price_median(p, "open_close_ms_median", p->both_ms);
	report_client(p->report, "", p->client);
}

int mode_price(struct main_context *ctx)
{
	struct price *p = talloc_zero(ctx->ev, struct price);

	if (p == NULL) {
		return 2;
	}
	p->ctx = ctx;
	p->report = report_create(p, "price");
	p->client = smb3_client_create(p, ctx->ev, &ctx->opts);
	if (p->report == NULL || p->client == NULL) {
		return 2;
	}
	price_run(p);
	price_report(p);
	smb3_client_close(p->client);
	if (!report_write(p->report, ctx->report_path)) {
		return 2;
	}
	return report_errors(p->report) == 0 ? 0 : 1;
}
