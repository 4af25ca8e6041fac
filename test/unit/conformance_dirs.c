/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listings, small and of 100,000 entries that come and go. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "conformance_private.h"

#define NUM_FILES 100000
/* one in this many comes or goes during the listing */
#define ONE_IN 10
#define CHANGES 6 /* in each step */

static void make(struct conf *t, struct csv_file *d, const char *name)
{
	ok(t->b->ops->mknod(d, &conf_root, name, S_IFREG | 0644, 0, 0));
}

static void everything_is_listed(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	struct csv_stat st;
	unsigned i, dots = 0;

	conf_file(t, "file", "12345");
	conf_mkdir(t, "dir", 0711);
	ok(t->b->ops->symlink(t->dir, &conf_root, "link", "none", 0));
	d = conf_open(t, ".", CSV_O_READ | CSV_O_DIRECTORY);
	ok(t->b->ops->readdir(d, t->mem, &conf_root, 0, 65536, NULL, &list));
	assert_true(list->eof);
	assert_int_equal(list->num, 5);
	for (i = 0; i < list->num; i++) {
		const struct csv_dirent *e = &list->entries[i];

		assert_int_equal(e->name_len, strlen(e->name));
		assert_true(e->has_stat);
		if (e->name[0] == '.') {
			dots++;
			continue;
		}
		st = conf_stat(t, e->name);
		assert_int_equal(st.ino, e->st.ino);
		assert_int_equal(st.mode, e->st.mode);
		assert_int_equal(st.size, e->st.size);
	}
	assert_int_equal(dots, 2);
	/* nothing comes after the last */
	i = list->num - 1;
	{
		uint64_t cookie = list->entries[i].cookie;

		talloc_free(list);
		ok(t->b->ops->readdir(d,
				      t,
				      &conf_root,
				      cookie,
				      4096,
				      NULL,
				      &list));
	}
	assert_int_equal(list->num, 0);
	assert_true(list->eof);
	talloc_free(list);
	talloc_free(d);
}

static void the_root_shows_no_more_than_itself(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_dirlist *list = NULL;
	struct csv_stat root;
	bool found = false;
	unsigned i;

	ok(t->b->ops->fstat(t->root, &root));
	/* an O_PATH handle will do for listing */
	ok(t->b->ops->readdir(t->root,
			      t,
			      &conf_root,
			      0,
			      1 << 20,
			      NULL,
			      &list));
	for (i = 0; i < list->num; i++) {
		const struct csv_dirent *e = &list->entries[i];

		assert_string_not_equal(e->name, CSV_HIDDEN_DIR);
		if (strcmp(e->name, "..") == 0) {
			assert_int_equal(e->st.ino, root.ino);
		}
		found = found || strcmp(e->name, t->dir_name) == 0;
	}
	assert_true(found);
	talloc_free(list);
}

static void listing_needs_the_right(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_cred user = {.uid = 20001, .gid = 20001};
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	unsigned i;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0711);
	make(t, t->dir, "d/x");
	d = conf_open(t, "d", CSV_O_PATH);
	fails(t->b->ops->readdir(d, t, &user, 0, 4096, NULL, &list), EACCES);
	talloc_free(d);
	/* may read but not search: names without attributes */
	conf_chmod(t, "d", 0744);
	d = conf_open(t, "d", CSV_O_READ | CSV_O_DIRECTORY);
	ok(t->b->ops->readdir(d, t, &user, 0, 4096, NULL, &list));
	assert_int_equal(list->num, 3);
	for (i = 0; i < list->num; i++) {
		if (list->entries[i].name[0] == 'x') {
			assert_false(list->entries[i].has_stat);
		}
	}
	talloc_free(list);
	talloc_free(d);
	/* opened once, listed for ever */
	conf_chmod(t, "d", 0);
	d = conf_open(t, "d", CSV_O_READ | CSV_O_DIRECTORY);
	ok(t->b->ops->readdir(d, t, &user, 0, 4096, NULL, &list));
	assert_int_equal(list->num, 3);
	talloc_free(list);
	talloc_free(d);
	fails(t->b->ops->readdir(t->dir,
				 t,
				 &conf_root,
				 UINT64_MAX,
				 99,
				 NULL,
				 &list),
	      EINVAL);
}

static void only_directories_are_listed(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_dirlist *list = NULL;
	struct csv_file *f = NULL;

	conf_file(t, "file", "x");
	f = conf_open(t, "file", CSV_O_READ);
	fails(t->b->ops->readdir(f, t, &conf_root, 0, 99, NULL, &list),
	      ENOTDIR);
	talloc_free(f);
	f = conf_open(t, "file", CSV_O_PATH);
	fails(t->b->ops->readdir(f, t, &conf_root, 0, 99, NULL, &list),
	      ENOTDIR);
	talloc_free(f);
}

static const struct csv_want wanted = {
	.num = 3,
	.xattrs = {"user.one", "user.none", "user.big"},
};

static void set_xattr(struct conf *t,
		      const char *file,
		      const char *name,
		      size_t size)
{
	struct csv_file *f = conf_open(t, file, CSV_O_READ | CSV_O_WRITE);
	char *value = talloc_zero_array(t->mem, char, size);

	memset(value, 'v', size);
	ok(t->b->ops->setxattr(f, &conf_root, name, value, size, 0));
	talloc_free(value);
	talloc_free(f);
}

/* The extra of one entry of "d", as this user lists it; NULL: none. */
static const struct csv_extra *listed(struct conf *t,
				      const struct csv_cred *cred,
				      const char *name)
{
	const struct csv_extra *extra = NULL;
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	bool found = false;
	unsigned i;

	d = conf_open(t, "d", CSV_O_READ | CSV_O_DIRECTORY);
	ok(t->b->ops->readdir(d, t->mem, cred, 0, 65536, &wanted, &list));
	for (i = 0; i < list->num; i++) {
		if (strcmp(list->entries[i].name, name) == 0) {
			extra = list->entries[i].extra;
			found = true;
		}
	}
	talloc_free(d);
	assert_true(found);
	return extra;
}

static bool names_have(const struct csv_extra *x, const char *name)
{
	return memmem(x->names, x->names_length, name, strlen(name) + 1) !=
	       NULL;
}

static void listing_brings_what_was_wanted(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_extra *x = NULL;
	struct csv_fhandle fh;

	conf_mkdir(t, "d", 0755);
	conf_file(t, "d/file", "12345");
	set_xattr(t, "d/file", "user.one", 5);
	set_xattr(t, "d/file", "user.big", CSV_MAX_WANTED_VALUE + 1);
	set_xattr(t, "d/file", "user.other", 5);
	ok(t->b->ops->symlink(t->dir, &conf_root, "d/link", "file", 0));
	x = listed(t, &conf_root, "file");
	assert_non_null(x);
	fh = conf_fh(t, "d/file");
	assert_int_equal(fh.type, x->fh.type);
	assert_int_equal(fh.length, x->fh.length);
	assert_memory_equal(fh.data, x->fh.data, fh.length);
	assert_true(names_have(x, "user.one") && names_have(x, "user.big"));
	assert_true(names_have(x, "user.other"));
	assert_true(x->values[0].present);
	assert_int_equal(x->values[0].length, 5);
	assert_memory_equal(x->values[0].data, "vvvvv", 5);
	assert_false(x->values[1].present || names_have(x, "user.none"));
	assert_false(x->values[2].present);
	/* the link itself, not what it leads to */
	x = listed(t, &conf_root, "link");
	assert_non_null(x);
	fh = conf_fh(t, "d/link");
	assert_memory_equal(fh.data, x->fh.data, fh.length);
	assert_false(names_have(x, "user.one"));
	assert_null(listed(t, &conf_root, "."));
	assert_null(listed(t, &conf_root, ".."));
}

static void listing_brings_no_more_than_the_user_may_see(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_cred user = {.uid = 20001, .gid = 20001};
	const struct csv_extra *x = NULL;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0755);
	conf_file(t, "d/file", "12345");
	set_xattr(t, "d/file", "user.one", 5);
	conf_chmod(t, "d/file", 0600);
	x = listed(t, &user, "file");
	assert_non_null(x);
	assert_true(names_have(x, "user.one"));
	assert_false(x->values[0].present);
	conf_chmod(t, "d/file", 0604);
	assert_true(listed(t, &user, "file")->values[0].present);
	/* may read the directory but not search it: opens nothing there */
	conf_chmod(t, "d", 0744);
	assert_null(listed(t, &user, "file"));
}

static unsigned like(struct conf *t, const char *name, uint32_t max_bytes)
{
	const struct csv_want want = {.like = name};
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	unsigned count = 0;
	uint64_t cookie = 0;
	bool more = true;
	unsigned i;

	d = conf_open(t, "d", CSV_O_PATH);
	while (more) {
		ok(t->b->ops->readdir(d,
				      t->mem,
				      &conf_root,
				      cookie,
				      max_bytes,
				      &want,
				      &list));
		for (i = 0; i < list->num; i++) {
			assert_false(list->entries[i].has_stat);
			cookie = list->entries[i].cookie;
			count++;
		}
		more = !list->eof && list->num != 0;
		talloc_free(list);
	}
	talloc_free(d);
	return count;
}

/* A name in any case: found among many, or not, in one piece or several. */
static void listing_finds_what_is_alike(void **state)
{
	struct conf *t = conf_get(state);
	char name[32];
	unsigned i;

	conf_mkdir(t, "d", 0755);
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "d/Some-%04u", i);
		make(t, t->dir, name);
	}
	assert_int_equal(like(t, "sOME-1234", 65536), 1);
	assert_int_equal(like(t, "Some-1234", 1), 1);
	assert_int_equal(like(t, "some-12345", 65536), 0);
	assert_int_equal(like(t, "some-123", 65536), 0);
	assert_int_equal(like(t, "s", 65536), 0);
	assert_int_equal(like(t, "[ome-1234", 65536), 0);
	make(t, t->dir, "d/SOME-1234");
	/* beyond ASCII: whoever asks has to compare */
	make(t, t->dir, "d/\xc3\xa4");
	make(t, t->dir, "d/Some-1234\xc3\xa4");
	assert_int_equal(like(t, "some-1234", 65536), 4);
	assert_int_equal(like(t, "some-1234", 1), 4);
	assert_int_equal(like(t, "none", 65536), 2);
}

/* Too many names to bring: that entry is asked for as ever. */
static void listing_brings_no_endless_names(void **state)
{
	struct conf *t = conf_get(state);
	char name[128];
	unsigned i;

	conf_mkdir(t, "d", 0755);
	conf_file(t, "d/file", "12345");
	for (i = 0; i < 1 + CSV_MAX_WANTED_NAMES / 100; i++) {
		snprintf(name, sizeof(name), "user.%0100u", i);
		set_xattr(t, "d/file", name, 1);
	}
	assert_null(listed(t, &conf_root, "file"));
}

/* A listing in pieces of any size gives all, once, in one order. */
static void pieces_make_the_whole(void **state)
{
	struct conf *t = conf_get(state);
	const uint32_t sizes[] = {1, 1000, 5000, 100000};
	struct csv_dirlist *list = NULL;
	struct csv_file *d = NULL;
	unsigned i, j, count;
	bool seen[300];
	char name[256];

	conf_mkdir(t, "d", 0755);
	for (i = 0; i < 300; i++) {
		/* long names too */
		snprintf(name, sizeof(name), "d/%0*u", i % 2 ? 4 : 250, i);
		make(t, t->dir, name);
	}
	d = conf_open(t, "d", CSV_O_READ | CSV_O_DIRECTORY);
	for (i = 0; i < 4; i++) {
		uint64_t cookie = 0;
		bool eof = false;

		memset(seen, 0, sizeof(seen));
		for (count = 0; !eof; count++) {
			ok(t->b->ops->readdir(d,
					      t,
					      &conf_root,
					      cookie,
					      sizes[i],
					      NULL,
					      &list));
			assert_true(list->num > 0 || list->eof);
			for (j = 0; j < list->num; j++) {
				unsigned nr = (unsigned)atoi(
					list->entries[j].name);

				cookie = list->entries[j].cookie;
				if (list->entries[j].name[0] == '.') {
					continue;
				}
				assert_false(seen[nr]);
				seen[nr] = true;
			}
			eof = list->eof;
			talloc_free(list);
			assert_true(count < 1000);
		}
		for (j = 0; j < 300; j++) {
			assert_true(seen[j]);
		}
	}
	talloc_free(d);
}

struct big {
	struct conf *t;
	struct csv_file *d;
	uint8_t *seen;
	uint64_t cookie;
	bool eof;
	unsigned removed, added;
};

static void name_of(char *name, size_t size, const char *kind, unsigned nr)
{
	snprintf(name, size, "%s%06u", kind, nr);
}

static void big_fill(struct big *g)
{
	const char *path = g->t->c->path;
	char file[PATH_MAX + 128];
	char name[32];
	unsigned i;

	for (i = 0; i < NUM_FILES; i++) {
		name_of(name, sizeof(name), i % ONE_IN ? "stay" : "goes", i);
		if (path == NULL) {
			make(g->t, g->d, name);
			continue;
		}
		snprintf(file, sizeof(file), "%s/%s/big/%s", path,
			 g->t->dir_name, name);
		ok(mknod(file, S_IFREG | 0644, 0));
	}
}

/* One step: read a piece, note it. */
static void big_step(struct big *g, uint32_t max_bytes)
{
	struct csv_dirlist *list = NULL;
	unsigned i, nr;

	ok(g->t->b->ops->readdir(g->d,
				 g->t,
				 &conf_root,
				 g->cookie,
				 max_bytes,
				 NULL,
				 &list));
	for (i = 0; i < list->num; i++) {
		const struct csv_dirent *e = &list->entries[i];

		g->cookie = e->cookie;
		if (e->name[0] != '.') {
			nr = (unsigned)atoi(e->name + 4);
			if (strncmp(e->name, "come", 4) == 0) {
				nr += NUM_FILES;
			}
			assert_true(nr < 2 * NUM_FILES);
			assert_int_equal(g->seen[nr], 0);
			g->seen[nr] = 1;
		}
	}
	g->eof = list->eof;
	talloc_free(list);
}

/* Some more go, some more come, all over the directory. */
static void big_change(struct big *g)
{
	char name[32];
	unsigned i, nr;

	for (i = 0; i < CHANGES && g->removed < NUM_FILES / ONE_IN; i++) {
		/* 7919 is prime to the number of them */
		nr = g->removed++ * 7919 % (NUM_FILES / ONE_IN) * ONE_IN;
		name_of(name, sizeof(name), "goes", nr);
		ok(g->t->b->ops->unlink(g->d, &conf_root, name, 0));
		name_of(name, sizeof(name), "come", g->added++);
		make(g->t, g->d, name);
	}
}

static void big_open(struct big *g)
{
	g->d = conf_open(g->t, "big", CSV_O_READ | CSV_O_DIRECTORY);
}

static void hundred_thousand_entries(void **state)
{
	struct conf *t = conf_get(state);
	struct big g = {.t = t};
	unsigned i, steps = 0;

	g.seen = talloc_zero_array(t, uint8_t, 2 * NUM_FILES);
	conf_mkdir(t, "big", 0755);
	big_open(&g);
	big_fill(&g);
	talloc_free(g.d);
	big_open(&g);
	while (!g.eof) {
		big_step(&g, 65536);
		big_change(&g);
		steps++;
		/* another descriptor, later another owner, go on with it */
		if (steps % 50 == 0 && !g.eof) {
			talloc_free(g.d);
			if (steps == 100) {
				conf_move(t);
			}
			big_open(&g);
		}
	}
	talloc_free(g.d);
	assert_true(steps > 100);
	assert_true(g.removed > 1000);
	for (i = 0; i < NUM_FILES; i++) {
		assert_true(i % ONE_IN == 0 || g.seen[i] == 1);
	}
	talloc_free(g.seen);
}

const struct CMUnitTest conf_dir_tests[] = {
	CONF_TEST(everything_is_listed),
	CONF_TEST(the_root_shows_no_more_than_itself),
	CONF_TEST(listing_needs_the_right),
	CONF_TEST(only_directories_are_listed),
	CONF_TEST(listing_brings_what_was_wanted),
	CONF_TEST(listing_brings_no_more_than_the_user_may_see),
	CONF_TEST(listing_brings_no_endless_names),
	CONF_TEST(listing_finds_what_is_alike),
	CONF_TEST(pieces_make_the_whole),
	CONF_TEST(hundred_thousand_entries),
};
const size_t conf_num_dir_tests =
	sizeof(conf_dir_tests) / sizeof(conf_dir_tests[0]);
