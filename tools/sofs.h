/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the verbs of sofs share.
 */
#ifndef _SOFS_H_
#define _SOFS_H_

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>
#include <popt.h>

/* Exit codes. */
#define SOFS_OK 0	/* done */
#define SOFS_FAILED 1	/* csvd said no, or it did not happen in time */
#define SOFS_USAGE 2	/* the command line is wrong */
#define SOFS_NO_CSVD 3	/* csvd does not answer */

struct sofs_verb {
	const char *noun;
	const char *verb;
	int (*run)(int argc, const char **argv);
	const char *arguments;
	const char *what;
};

/* argv[0] is the verb. Each returns an exit code. */
int sofs_volume_add(int argc, const char **argv);
int sofs_volume_remove(int argc, const char **argv);
int sofs_volume_list(int argc, const char **argv);
int sofs_volume_state(int argc, const char **argv);
int sofs_volume_move(int argc, const char **argv);
int sofs_volume_confirm_fenced(int argc, const char **argv);
int sofs_volume_test_fence(int argc, const char **argv);
int sofs_node_drain(int argc, const char **argv);
int sofs_node_resume(int argc, const char **argv);
int sofs_node_state(int argc, const char **argv);
int sofs_open_list(int argc, const char **argv);
int sofs_secret_rotate(int argc, const char **argv);

/*
 * One request to csvd; the reference to `in` is taken. Prints what went wrong.
 * SOFS_OK: *out is the answer, to be json_decref()ed.
 */
int sofs_request(json_t *in, json_t **out);
/* The same, of which only success matters. */
int sofs_command(json_t *in);

/* What is known of all nodes; as sofs_request(). */
int sofs_node_fetch(json_t **out);

/*
 * Parses options; what is left over goes to args (at most max, rest NULL).
 * SOFS_USAGE after a message when it is wrong or less than min are left.
 */
int sofs_options(int argc,
		 const char **argv,
		 const struct poptOption *table,
		 const char **args,
		 int min,
		 int max);

/* A table for people: cells of a row one after the other, header first. */
void sofs_table(const char **cells, size_t columns, size_t rows);

int sofs_print_json(json_t *json);

/* A number of milliseconds that only grows. */
long long sofs_now_ms(void);
void sofs_sleep_ms(unsigned ms);

#endif /* _SOFS_H_ */
