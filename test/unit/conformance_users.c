/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Eight users at once, 100,000 path operations: no file with a wrong owner,
 * none reached without right.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "conformance_private.h"

#define NUM_USERS 8
#define NUM_OPS 12500
#define FIRST_ID 20001
#define TEAM 30000 /* group of the users with even numbers */
#define EVERYBODY 30001

struct user {
	struct conf *t;
	struct csv_backend *b;
	struct csv_file *dir;
	TALLOC_CTX *mem;
	unsigned nr;
	uint32_t groups[2];
	struct csv_cred cred;
	unsigned seed;
	unsigned ops;
	char wrong[160]; /* the first thing that was */
	pthread_t thread;
};

static void check(struct user *u, const char *what, int got, int want)
{
	u->ops++;
	if (got != want && u->wrong[0] == '\0') {
		snprintf(u->wrong,
			 sizeof(u->wrong),
			 "user %u, %s: %d, not %d",
			 u->nr,
			 what,
			 got,
			 want);
	}
}

static int user_open(struct user *u,
		     const char *name,
		     uint32_t how,
		     struct csv_stat *st)
{
	struct csv_file *f = NULL;
	int ret;

	ret = u->b->ops->open(u->b,
			      u->mem,
			      &u->cred,
			      u->dir,
			      name,
			      how,
			      0666,
			      &f,
			      st,
			      NULL);
	talloc_free(f);
	return ret;
}

/* In the user's own directory: create, rename, delete. */
static void work_at_home(struct user *u)
{
	struct csv_stat st = {};
	char a[48], b[48];

	snprintf(a, sizeof(a), "home%u/a%u", u->nr, u->seed % 64);
	snprintf(b, sizeof(b), "home%u/b%u", u->nr, u->seed % 64);
	check(u,
	      "create at home",
	      user_open(u, a, CSV_O_WRITE | CSV_O_CREAT, &st),
	      0);
	check(u, "owner at home", (int)st.uid, (int)u->cred.uid);
	check(u, "group at home", (int)st.gid, (int)u->cred.gid);
	check(u,
	      "mode at home",
	      (int)(st.mode & 0777),
	      (int)(0666 & ~u->cred.umask));
	check(u,
	      "rename at home",
	      u->b->ops->rename(u->dir, a, u->dir, b, &u->cred, 0),
	      0);
	check(u,
	      "unlink at home",
	      u->b->ops->unlink(u->dir, &u->cred, b, 0),
	      0);
}

/* In the home of another one: nothing may work. */
static void try_elsewhere(struct user *u)
{
	unsigned other = (u->nr + 1 + u->seed % (NUM_USERS - 1)) % NUM_USERS;
	struct csv_setattr a = {.mask = CSV_ATTR_MODE, .mode = 0777};
	struct csv_stat st;
	char name[48];

	snprintf(name, sizeof(name), "home%u/private", other);
	check(u, "open elsewhere", user_open(u, name, CSV_O_READ, &st), EACCES);
	check(u,
	      "stat elsewhere",
	      u->b->ops->statat(u->dir, &u->cred, name, 0, &st, NULL),
	      EACCES);
	check(u,
	      "unlink elsewhere",
	      u->b->ops->unlink(u->dir, &u->cred, name, 0),
	      EACCES);
	snprintf(name, sizeof(name), "home%u/mine%u", other, u->nr);
	check(u,
	      "mkdir elsewhere",
	      u->b->ops->mkdir(u->dir, &u->cred, name, 0777, 0),
	      EACCES);
	snprintf(name, sizeof(name), "home%u", other);
	check(u,
	      "chmod elsewhere",
	      u->b->ops->setattr(u->dir, &u->cred, name, &a, 0),
	      EPERM);
}

/* Where only the team may; its files are the team's. */
static void work_in_team(struct user *u)
{
	bool member = u->nr % 2 == 0;
	struct csv_stat st = {};
	char name[48];
	int ret;

	snprintf(name, sizeof(name), "team/u%u-%u", u->nr, u->seed % 16);
	ret = user_open(u, name, CSV_O_WRITE | CSV_O_CREAT, &st);
	check(u, "create in team", ret, member ? 0 : EACCES);
	if (ret == 0) {
		check(u, "owner in team", (int)st.uid, (int)u->cred.uid);
		check(u, "group in team", (int)st.gid, TEAM);
	}
}

/* Everybody writes here, and deletes only what is his. */
static void work_in_public(struct user *u)
{
	unsigned other = (u->nr + 1 + u->seed % (NUM_USERS - 1)) % NUM_USERS;
	struct csv_stat st = {};
	char name[48];

	snprintf(name, sizeof(name), "public/u%u", u->nr);
	check(u,
	      "mkdir in public",
	      u->b->ops->mkdir(u->dir, &u->cred, name, 0700, 0),
	      0);
	check(u,
	      "stat in public",
	      u->b->ops->statat(u->dir, &u->cred, name, 0, &st, NULL),
	      0);
	check(u, "owner in public", (int)st.uid, (int)u->cred.uid);
	check(u,
	      "rmdir in public",
	      u->b->ops->unlink(u->dir, &u->cred, name, CSV_F_RMDIR),
	      0);
	snprintf(name, sizeof(name), "public/keep%u", other);
	check(u,
	      "unlink in public",
	      u->b->ops->unlink(u->dir, &u->cred, name, 0),
	      EPERM);
	check(u, "open in public", user_open(u, name, CSV_O_READ, &st), 0);
	check(u,
	      "write in public",
	      user_open(u, name, CSV_O_WRITE, &st),
	      EACCES);
}

static void *user_run(void *arg)
{
	struct user *u = arg;

	while (u->ops < NUM_OPS) {
		u->seed = u->seed * 1103515245 + 12345;
		work_at_home(u);
		try_elsewhere(u);
		work_in_team(u);
		work_in_public(u);
	}
	return NULL;
}

static void user_init(struct user *u, struct conf *t, unsigned nr)
{
	char name[32];

	*u = (struct user){
		.t = t,
		.nr = nr,
		.seed = nr + 1,
		.mem = talloc_new(NULL),
		.groups = {nr % 2 == 0 ? TEAM : EVERYBODY, EVERYBODY},
		.cred = {
			.uid = FIRST_ID + nr,
			.gid = FIRST_ID + nr,
			.umask = nr % 2 == 0 ? 002 : 022,
			.num_groups = 2,
		},
	};
	u->cred.groups = u->groups;
	snprintf(name, sizeof(name), "home%u", nr);
	conf_mkdir(t, name, 0700);
	conf_chown(t, name, u->cred.uid, u->cred.gid);
	snprintf(name, sizeof(name), "home%u/private", nr);
	conf_file(t, name, "secret");
	conf_chmod(t, name, 0666);
	snprintf(name, sizeof(name), "public/keep%u", nr);
	conf_file(t, name, "public");
	conf_chown(t, name, u->cred.uid, u->cred.gid);
	conf_chmod(t, name, 0644);

	u->b = t->c->shared ? t->b : conf_backend(t);
	ok(u->b->ops->open(u->b,
			   u->mem,
			   &conf_root,
			   u->b->ops->root(u->b),
			   t->dir_name,
			   CSV_O_PATH | CSV_O_DIRECTORY,
			   0,
			   &u->dir,
			   NULL,
			   NULL));
}

/* Every file in a home belongs to its user, every one in the team's too. */
static void check_owners(struct conf *t, const char *name, uint32_t gid)
{
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	unsigned i, nr;

	d = conf_open(t, name, CSV_O_READ | CSV_O_DIRECTORY);
	ok(t->b->ops->readdir(d, t, &conf_root, 0, 1 << 22, NULL, &list));
	assert_true(list->eof);
	for (i = 0; i < list->num; i++) {
		const struct csv_dirent *e = &list->entries[i];

		if (e->name[0] != 'u') {
			continue;
		}
		nr = (unsigned)atoi(e->name + 1);
		assert_int_equal(e->st.uid, FIRST_ID + nr);
		assert_int_equal(e->st.gid, gid);
		assert_int_equal(nr % 2, 0);
	}
	talloc_free(list);
	talloc_free(d);
}

static void eight_users_in_parallel(void **state)
{
	struct conf *t = conf_get(state);
	struct user users[NUM_USERS];
	unsigned i, total = 0;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "team", 0770);
	conf_chown(t, "team", 0, TEAM);
	conf_chmod(t, "team", 02770);
	conf_mkdir(t, "public", 01777);
	for (i = 0; i < NUM_USERS; i++) {
		user_init(&users[i], t, i);
	}
	for (i = 0; i < NUM_USERS; i++) {
		ok(pthread_create(&users[i].thread, NULL, user_run, &users[i]));
	}
	for (i = 0; i < NUM_USERS; i++) {
		ok(pthread_join(users[i].thread, NULL));
	}
	for (i = 0; i < NUM_USERS; i++) {
		assert_string_equal(users[i].wrong, "");
		total += users[i].ops;
		talloc_free(users[i].mem);
		if (users[i].b != t->b) {
			talloc_free(users[i].b);
		}
	}
	assert_true(total >= NUM_USERS * NUM_OPS);
	check_owners(t, "team", TEAM);
}

/* A thread serves one user after the other. */
static void users_take_turns_in_one_thread(void **state)
{
	struct conf *t = conf_get(state);
	uint32_t groups[1000];
	struct csv_cred cred = {.groups = groups, .umask = 022};
	struct csv_file *f = NULL;
	struct csv_stat st;
	unsigned i;
	int ret;

	if (!t->c->identity) {
		skip();
	}
	for (i = 0; i < 1000; i++) {
		groups[i] = 40000 + i;
	}
	conf_mkdir(t, "d", 0070);
	conf_chown(t, "d", 0, 40999);
	for (i = 0; i < 100; i++) {
		/* the last of many groups is the one that counts */
		cred.uid = cred.gid = FIRST_ID + i % 3;
		cred.num_groups = i % 2 ? 1000 : 999;
		ret = t->b->ops->open(t->b,
				      t,
				      &cred,
				      t->dir,
				      "d/f",
				      CSV_O_WRITE | CSV_O_CREAT | CSV_O_EXCL,
				      0644,
				      &f,
				      &st,
				      NULL);
		assert_int_equal(ret, i % 2 ? 0 : EACCES);
		if (ret == 0) {
			assert_int_equal(st.uid, cred.uid);
			talloc_free(f);
			ok(t->b->ops->unlink(t->dir, &cred, "d/f", 0));
		}
	}
}

const struct CMUnitTest conf_user_tests[] = {
	CONF_TEST(users_take_turns_in_one_thread),
	CONF_TEST(eight_users_in_parallel),
};
const size_t conf_num_user_tests =
	sizeof(conf_user_tests) / sizeof(conf_user_tests[0]);
