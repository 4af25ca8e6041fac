/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files deleted while open: by whom, seen by whom, and for how long. */

#include <errno.h>
#include <string.h>
#include "conformance_private.h"

static int unlink_err(struct conf *t, const char *name)
{
	return t->b->ops->unlink(t->dir, &conf_root, name, 0);
}

static int open_fh(struct csv_backend *b,
		   TALLOC_CTX *mem,
		   const struct csv_fhandle *fh,
		   uint32_t how,
		   struct csv_file **f)
{
	return b->ops->open_fh(b, mem, fh, how, f, NULL);
}

/* The file is really gone: nobody can open it, nothing is left to sweep. */
static void gone(struct conf *t, const struct csv_fhandle *fh)
{
	struct csv_file *f = NULL;
	unsigned removed = 0;

	fails(open_fh(t->b, t, fh, CSV_O_READ, &f), ESTALE);
	if (t->c->sweep != NULL) {
		ok(t->c->sweep(t->c->private_data, &removed));
		assert_int_equal(removed, 0);
	}
}

/*
 * A close takes effect before whatever this backend does next by name; other
 * backends see it then.
 */
static void settle(struct csv_backend *b)
{
	struct csv_stat st;

	ok(b->ops->statat(b->ops->root(b), &conf_root, "", 0, &st, NULL));
}

static void unlinked_while_open(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL, *again = NULL;
	struct csv_fhandle fh;
	struct csv_stat st;
	size_t n = 0;

	conf_file(t, "f", "content");
	fh = conf_fh(t, "f");
	f = conf_open(t, "f", CSV_O_READ | CSV_O_WRITE);
	ok(unlink_err(t, "f"));
	fails(unlink_err(t, "f"), ENOENT);
	conf_expect(f, "content");
	ok(t->b->ops->pwrite(f, "C", 1, 0, CSV_F_STABLE, &n));
	ok(t->b->ops->fstat(f, &st));
	assert_int_equal(st.nlink, 0);
	/* its handle still means it, its name does not */
	ok(open_fh(t->b, t, &fh, CSV_O_READ, &again));
	conf_expect(again, "Content");
	conf_file(t, "f", "another");
	talloc_free(f);
	conf_expect(again, "Content");
	talloc_free(again);
	gone(t, &fh);
	f = conf_open(t, "f", CSV_O_READ);
	conf_expect(f, "another");
	talloc_free(f);
}

static void unlinked_with_another_backend(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_backend *other = conf_backend(t);
	struct csv_file *f = NULL, *again = NULL;
	struct csv_fhandle fh;

	conf_file(t, "f", "content");
	fh = conf_fh(t, "f");
	ok(open_fh(other, t, &fh, CSV_O_READ, &f));
	ok(unlink_err(t, "f"));
	conf_expect(f, "content");
	ok(open_fh(t->b, t, &fh, CSV_O_READ, &again));
	talloc_free(f);
	settle(other);
	conf_expect(again, "content");
	talloc_free(again);
	gone(t, &fh);
	/* the other way round: closed by who did not delete it */
	conf_file(t, "f", "second");
	fh = conf_fh(t, "f");
	f = conf_open(t, "f", CSV_O_WRITE);
	ok(open_fh(other, t, &fh, CSV_O_READ, &again));
	ok(unlink_err(t, "f"));
	talloc_free(f);
	conf_expect(again, "second");
	ok(open_fh(t->b, t, &fh, CSV_O_READ, &f));
	talloc_free(f);
	talloc_free(again);
	settle(other);
	gone(t, &fh);
	talloc_free(other);
}

static void replaced_while_open(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_backend *other = conf_backend(t);
	struct csv_file *f = NULL, *again = NULL;
	struct csv_fhandle fh;
	struct csv_stat st;

	conf_file(t, "old", "old");
	conf_file(t, "new", "new");
	fh = conf_fh(t, "old");
	ok(open_fh(other, t, &fh, CSV_O_READ, &f));
	ok(t->b->ops->rename(t->dir,
			     "new",
			     t->dir,
			     "old",
			     &conf_root,
			     CSV_F_STABLE));
	conf_expect(f, "old");
	ok(open_fh(t->b, t, &fh, CSV_O_READ, &again));
	ok(t->b->ops->fstat(again, &st));
	assert_int_equal(st.nlink, 0);
	talloc_free(again);
	talloc_free(f);
	settle(other);
	gone(t, &fh);
	f = conf_open(t, "old", CSV_O_READ);
	conf_expect(f, "new");
	/* onto itself nothing is lost */
	ok(t->b->ops->rename(t->dir, "old", t->dir, "old", &conf_root, 0));
	talloc_free(f);
	f = conf_open(t, "old", CSV_O_READ);
	conf_expect(f, "new");
	talloc_free(f);
	talloc_free(other);
}

static void not_open_is_gone_at_once(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_fhandle fh, fh2;

	conf_file(t, "a", "a");
	conf_file(t, "b", "b");
	fh = conf_fh(t, "a");
	fh2 = conf_fh(t, "b");
	ok(t->b->ops->rename(t->dir, "b", t->dir, "a", &conf_root, 0));
	gone(t, &fh);
	ok(unlink_err(t, "a"));
	gone(t, &fh2);
}

static void other_links_keep_it(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL;
	struct csv_fhandle fh;
	struct csv_stat st;

	conf_file(t, "a", "linked");
	ok(t->b->ops->link(t->dir, "a", t->dir, "b", &conf_root, 0));
	fh = conf_fh(t, "a");
	f = conf_open(t, "a", CSV_O_READ);
	ok(unlink_err(t, "a"));
	ok(t->b->ops->fstat(f, &st));
	assert_int_equal(st.nlink, 1);
	ok(unlink_err(t, "b"));
	conf_expect(f, "linked");
	ok(t->b->ops->fstat(f, &st));
	assert_int_equal(st.nlink, 0);
	/* comes back with a new name */
	ok(t->b->ops->link(f, "", t->dir, "c", &conf_root, 0));
	talloc_free(f);
	f = conf_open(t, "c", CSV_O_READ);
	conf_expect(f, "linked");
	talloc_free(f);
	assert_int_equal(conf_stat(t, "c").nlink, 1);
	ok(unlink_err(t, "c"));
	gone(t, &fh);
}

static void path_handles_count(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL, *again = NULL;
	struct csv_fhandle fh;

	conf_file(t, "f", "content");
	fh = conf_fh(t, "f");
	f = conf_open(t, "f", CSV_O_PATH);
	ok(unlink_err(t, "f"));
	ok(open_fh(t->b, t, &fh, CSV_O_READ, &again));
	conf_expect(again, "content");
	talloc_free(again);
	talloc_free(f);
	gone(t, &fh);
}

static void kept_across_a_move(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *f = NULL, *replaced = NULL;
	struct csv_fhandle fh, fh2;
	struct csv_stat st;

	conf_file(t, "f", "content");
	conf_file(t, "r", "replaced");
	conf_file(t, "n", "new");
	fh = conf_fh(t, "f");
	fh2 = conf_fh(t, "r");
	f = conf_open(t, "f", CSV_O_READ);
	replaced = conf_open(t, "r", CSV_O_READ | CSV_O_WRITE);
	ok(unlink_err(t, "f"));
	ok(t->b->ops->rename(t->dir, "n", t->dir, "r", &conf_root, 0));
	/* drained: the virtual handles live on */
	f->keep = true;
	replaced->keep = true;
	talloc_free(f);
	talloc_free(replaced);
	conf_move(t);
	ok(t->b->ops->open_fh(t->b, t, &fh, CSV_O_READ, &f, &st));
	assert_int_equal(st.nlink, 0);
	conf_expect(f, "content");
	ok(open_fh(t->b, t, &fh2, CSV_O_READ | CSV_O_WRITE, &replaced));
	conf_expect(replaced, "replaced");
	talloc_free(f);
	talloc_free(replaced);
	gone(t, &fh);
	gone(t, &fh2);
}

static void swept_when_nobody_came_back(void **state)
{
	struct conf *t = conf_get(state);
	struct csv_file *a = NULL, *b = NULL;
	struct csv_fhandle fh_a, fh_b;
	unsigned removed = 0;

	if (t->c->sweep == NULL) {
		skip();
	}
	conf_file(t, "a", "a");
	conf_file(t, "b", "b");
	fh_a = conf_fh(t, "a");
	fh_b = conf_fh(t, "b");
	a = conf_open(t, "a", CSV_O_READ);
	b = conf_open(t, "b", CSV_O_READ);
	ok(unlink_err(t, "a"));
	ok(unlink_err(t, "b"));
	a->keep = true;
	b->keep = true;
	talloc_free(a);
	talloc_free(b);
	conf_move(t);
	ok(open_fh(t->b, t, &fh_a, CSV_O_READ, &a));
	ok(t->c->sweep(t->c->private_data, &removed));
	assert_int_equal(removed, 1);
	conf_expect(a, "a");
	fails(open_fh(t->b, t, &fh_b, CSV_O_READ, &b), ESTALE);
	talloc_free(a);
	gone(t, &fh_a);
}

/* Who may not delete leaves no trace in the hidden directory. */
static void refused_deletion_hides_nothing(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_cred user = {.uid = 20001, .gid = 20001};
	struct csv_file *f = NULL;
	struct csv_fhandle fh;

	if (!t->c->identity) {
		skip();
	}
	conf_file(t, "f", "content");
	conf_mkdir(t, "d", 0777);
	fh = conf_fh(t, "f");
	f = conf_open(t, "f", CSV_O_READ);
	fails(t->b->ops->unlink(t->dir, &user, "f", 0), EACCES);
	ok(t->b->ops->mkdir(t->dir, &user, "d/x", 0755, 0));
	fails(t->b->ops->rename(t->dir, "d/x", t->dir, "f", &user, 0),
	      EACCES);
	assert_int_equal(conf_stat(t, "f").nlink, 1);
	talloc_free(f);
	ok(unlink_err(t, "f"));
	gone(t, &fh);
}

/* A user deletes what others have open, in a directory that is not his. */
static void users_delete_open_files(void **state)
{
	struct conf *t = conf_get(state);
	const struct csv_cred user = {.uid = 20001, .gid = 20001};
	struct csv_file *f = NULL, *again = NULL;
	struct csv_fhandle fh;

	if (!t->c->identity) {
		skip();
	}
	conf_mkdir(t, "d", 0777);
	conf_file(t, "d/f", "content");
	conf_chmod(t, "d/f", 0600);
	fh = conf_fh(t, "d/f");
	f = conf_open(t, "d/f", CSV_O_READ);
	ok(t->b->ops->unlink(t->dir, &user, "d/f", 0));
	ok(open_fh(t->b, t, &fh, CSV_O_READ, &again));
	conf_expect(again, "content");
	talloc_free(again);
	talloc_free(f);
	gone(t, &fh);
}

const struct CMUnitTest conf_open_tests[] = {
	CONF_TEST(unlinked_while_open),
	CONF_TEST(unlinked_with_another_backend),
	CONF_TEST(replaced_while_open),
	CONF_TEST(not_open_is_gone_at_once),
	CONF_TEST(other_links_keep_it),
	CONF_TEST(path_handles_count),
	CONF_TEST(kept_across_a_move),
	CONF_TEST(swept_when_nobody_came_back),
	CONF_TEST(refused_deletion_hides_nothing),
	CONF_TEST(users_delete_open_files),
};
const size_t conf_num_open_tests =
	sizeof(conf_open_tests) / sizeof(conf_open_tests[0]);
