/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's parameters.
 */
#include "csvd/config.h"
#include "csv_build.h"

static unsigned config_number(const char *option,
			      unsigned low,
			      unsigned high,
			      unsigned value)
{
	int found = lp_parm_int(GLOBAL_SECTION_SNUM, "csv", option, value);

	if (found < (int)low || found > (int)high) {
		DBG_ERR("csv:%s = %d is not between %u and %u, using %u\n",
			option,
			found,
			low,
			high,
			value);
		return value;
	}
	return found;
}

static const char *config_string(TALLOC_CTX *mem_ctx,
				 const char *option,
				 const char *value)
{
	const char *found = lp_parm_const_string(GLOBAL_SECTION_SNUM,
						 "csv",
						 option,
						 value);

	return found != NULL ? talloc_strdup(mem_ctx, found) : NULL;
}

struct csvd_config *csvd_config_load(TALLOC_CTX *mem_ctx)
{
	struct csvd_config *c = talloc_zero(mem_ctx, struct csvd_config);

	if (c == NULL) {
		return NULL;
	}
	c->address = config_string(c, "address", NULL);
	if (c->address != NULL && !is_ipaddress(c->address)) {
		DBG_ERR("csv:address = %s is no numeric address, using the "
			"address that CTDB uses\n",
			c->address);
		c->address = NULL;
	}
	c->port = config_number("port", 1, 65535, 4450);
	c->plain = lp_parm_bool(GLOBAL_SECTION_SNUM, "csv", "plain", false);
	c->socket_path = config_string(c, "socket", CSV_CONTROL_SOCKET);
	c->fence_dir = config_string(c, "fence agent dir", "/usr/sbin");
	c->ocf_root = config_string(c, "ocf root", "/usr/lib/ocf");
	c->ocf_functions = config_string(c,
					 "ocf functions",
					 CSV_SAMBA_PREFIX "/share/sofs/ocf");
	c->fence_s = config_number("fence timeout", 1, 600, 60);
	c->monitor_s = config_number("monitor interval", 1, 3600, 10);
	c->keepalive_ms = config_number("keepalive", 500, 60000, 2000);
	c->self_fence_s = config_number("self fence timeout", 5, 3600, 30);
	c->guard_port = config_number("guard port", 1, 65535, 4452);
	c->guard_csvd_ms =
		config_number("guard csvd timeout", 1000, 60000, 3000);
	c->guard_ctdbd_ms =
		config_number("guard ctdbd timeout", 1000, 60000, 3000);
	c->watchdog = config_string(c, "watchdog", NULL);
	c->watchdog_s = config_number("watchdog timeout", 1, 600, 10);
	c->wait_s = config_number("take over wait", 0, 3600, 0);
	c->spread_s = config_number("spread interval", 0, 86400, 0);
	c->fault = config_string(c, "fault", NULL);
	c->fault_file = config_string(c, "fault file", NULL);
	return c;
}
