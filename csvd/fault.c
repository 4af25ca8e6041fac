/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Named fault points, for tests: csv:fault = POINT OPERATION ACTION names one
 * of serve_private.h's, an operation of the wire and what is to happen when a
 * worker gets there for the first time ("kill": this csvd; "wait": the worker,
 * for ever). That it was hit is told by a file, csv:fault file, which also
 * disarms it. Off without the two parameters.
 */
#include "csvd/fault.h"
#include "csvd/serve_private.h"
#include "lib/volume/local.h"

static const char *const fault_points[SERVE_FAULTS] = {
	[SERVE_FAULT_BEFORE_OP] = "before",
	[SERVE_FAULT_BEGUN] = "begun",
	[SERVE_FAULT_MADE] = "made",
	[SERVE_FAULT_AFTER_OP] = "after",
};

static const struct {
	const char *name;
	enum csv_op op;
} fault_ops[] = {
	{"open", CSV_OP_OPEN},		 {"write", CSV_OP_WRITE},
	{"setattr", CSV_OP_SETATTR},	 {"mkdir", CSV_OP_MKDIR},
	{"mknod", CSV_OP_MKNOD},	 {"symlink", CSV_OP_SYMLINK},
	{"link", CSV_OP_LINK},		 {"rename", CSV_OP_RENAME},
	{"unlink", CSV_OP_UNLINK},	 {"setxattr", CSV_OP_SETXATTR},
	{"removexattr", CSV_OP_REMOVEXATTR},
};

/* Written while serve_fault_fn is not set. */
static struct {
	enum serve_fault point;
	enum csv_op op;
	bool dies;
	char file[1024];
} armed;

static void fault_hit(enum serve_fault point, enum csv_op op)
{
	int fd;

	if (point != armed.point || op != armed.op) {
		return;
	}
	/* the worker may still be the user it worked for */
	(void)csv_local_thread_root();
	fd = open(armed.file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd == -1) {
		return; /* it was hit before */
	}
	close(fd);
	if (armed.dies) {
		kill(getpid(), SIGKILL);
	}
	for (;;) {
		pause();
	}
}

static bool fault_parse(const char *text)
{
	char point[16] = "", op[16] = "", action[8] = "";
	size_t i;

	if (sscanf(text, "%15s %15s %7s", point, op, action) != 3) {
		return false;
	}
	armed.dies = strcmp(action, "kill") == 0;
	if (!armed.dies && strcmp(action, "wait") != 0) {
		return false;
	}
	for (i = 0; i < SERVE_FAULTS; i++) {
		if (strcmp(point, fault_points[i]) == 0) {
			break;
		}
	}
	armed.point = i;
	if (i == SERVE_FAULTS) {
		return false;
	}
	for (i = 0; i < ARRAY_SIZE(fault_ops); i++) {
		if (strcmp(op, fault_ops[i].name) == 0) {
			armed.op = fault_ops[i].op;
			return true;
		}
	}
	return false;
}

void csvd_fault_arm(const struct csvd_config *config)
{
	serve_fault_fn = NULL;
	if (config->fault == NULL || config->fault_file == NULL) {
		return;
	}
	if (strlcpy(armed.file, config->fault_file, sizeof(armed.file)) >=
		    sizeof(armed.file) ||
	    !fault_parse(config->fault)) {
		DBG_ERR("csv:fault = %s names no fault point\n",
			config->fault);
		return;
	}
	DBG_WARNING("csv:fault = %s is set: this csvd will fail on purpose\n",
		    config->fault);
	serve_fault_fn = fault_hit;
}
