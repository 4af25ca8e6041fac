/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the parts of the conformance suite. */
#ifndef _TEST_UNIT_CONFORMANCE_PRIVATE_H_
#define _TEST_UNIT_CONFORMANCE_PRIVATE_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "conformance.h"

/* Made for each test: a backend and a directory for it alone. */
struct conf {
	const struct conformance *c;
	TALLOC_CTX *mem;
	struct tevent_context *ev;
	struct csv_backend *b;
	struct csv_file *root;
	struct csv_file *dir; /* CSV_O_PATH, mode 0755, root's */
	char dir_name[32];
};

extern const struct csv_cred conf_root;

#define ok(expr) assert_int_equal((expr), 0)
#define fails(expr, err) assert_int_equal((expr), (err))

/* cmocka's state to ours. */
struct conf *conf_get(void **state);
int conf_setup(void **state);
int conf_teardown(void **state);

/* Another backend on the same volume. */
struct csv_backend *conf_backend(struct conf *t);
/* Frees the test's files and backend, moves the volume, makes them anew. */
void conf_move(struct conf *t);

struct csv_file *conf_open(struct conf *t, const char *name, uint32_t how);
/* Creates for reading and writing with this content; closed again. */
void conf_file(struct conf *t, const char *name, const char *content);
void conf_mkdir(struct conf *t, const char *name, uint32_t mode);
void conf_write(struct csv_file *f, const char *content);
void conf_expect(struct csv_file *f, const char *content);
struct csv_stat conf_stat(struct conf *t, const char *name);
void conf_chmod(struct conf *t, const char *name, uint32_t mode);
void conf_chown(struct conf *t, const char *name, uint32_t uid, uint32_t gid);
struct csv_fhandle conf_fh(struct conf *t, const char *name);

#define CONF_TEST(f) cmocka_unit_test_setup_teardown(f, conf_setup, conf_teardown)

/* The parts; put together by conformance_run(). */
extern const struct CMUnitTest conf_name_tests[];
extern const size_t conf_num_name_tests;
extern const struct CMUnitTest conf_attr_tests[];
extern const size_t conf_num_attr_tests;
extern const struct CMUnitTest conf_data_tests[];
extern const size_t conf_num_data_tests;
extern const struct CMUnitTest conf_dir_tests[];
extern const size_t conf_num_dir_tests;
extern const struct CMUnitTest conf_open_tests[];
extern const size_t conf_num_open_tests;
extern const struct CMUnitTest conf_user_tests[];
extern const size_t conf_num_user_tests;

#endif /* _TEST_UNIT_CONFORMANCE_PRIVATE_H_ */
