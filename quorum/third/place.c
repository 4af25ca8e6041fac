/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of places, and making an area.
 */
#include "quorum/third/third.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sys/stat.h>

static const struct third_place_ops *const kinds[] = {
	&third_disk_ops, &third_file_ops, &third_smb_ops, &third_azure_ops};

char *third_option(const struct third_place *place, const char *name)
{
	const char *p = place->options;
	size_t len = strlen(name);

	while (*p == ',') {
		size_t n = strcspn(p + 1, ",");

		if (n > len && strncmp(p + 1, name, len) == 0 &&
		    p[1 + len] == '=')
		{
			return talloc_strndup(NULL,
					      p + 2 + len,
					      n - len - 1);
		}
		p += 1 + n;
	}
	return NULL;
}

int third_auth_file(const struct third_place *place, FILE **file)
{
	char *path = third_option(place, "auth");
	struct stat st = {};
	int ret = 0;

	*file = NULL;
	if (path == NULL) {
		return 0;
	}
	*file = fopen(path, "re");
	if (*file == NULL || fstat(fileno(*file), &st) != 0) {
		ret = errno;
	} else if (st.st_uid != 0 || (st.st_mode & 077) != 0) {
		ret = EPERM;
	}
	if (ret != 0) {
		fprintf(stderr,
			"csv_quorum third vote: %s: %s\n",
			path,
			ret == EPERM ? "must be root's, mode 0600"
				     : strerror(ret));
		if (*file != NULL) {
			fclose(*file);
			*file = NULL;
		}
	}
	talloc_free(path);
	return ret;
}

static bool place_uuid(struct third_place *place)
{
	char *hex = third_option(place, "uuid");
	gnutls_datum_t in = {.data = (unsigned char *)hex,
			     .size = hex != NULL ? strlen(hex) : 0};
	size_t size = sizeof(place->uuid);
	bool ok;

	if (hex == NULL) {
		return true;
	}
	ok = in.size == sizeof(place->uuid) * 2 &&
	     gnutls_hex_decode(&in, place->uuid, &size) == 0;
	place->has_uuid = ok;
	talloc_free(hex);
	return ok;
}

struct third_place *third_place_parse(TALLOC_CTX *mem_ctx,
				      const char *name,
				      const char *run_dir)
{
	struct third_place *place = talloc_zero(mem_ctx, struct third_place);
	const char *comma = name + strcspn(name, ",");
	size_t i;

	if (place == NULL) {
		return NULL;
	}
	place->run_dir = run_dir;
	place->options = comma;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i]->prefix);

		if (strncmp(name, kinds[i]->prefix, n) == 0) {
			place->ops = kinds[i];
			place->where = talloc_strndup(place,
						      name + n,
						      comma - name - n);
		}
	}
	if (place->where == NULL || place->where[0] == '\0' ||
	    !place_uuid(place))
	{
		fprintf(stderr,
			"csv_quorum_third: %s: a place is disk:DEVICE,uuid=…, "
			"file:PATH,uuid=…, smb://SERVER/SHARE/PATH,uuid=… or "
			"azure:URL,auth=FILE,uuid=…\n",
			name);
		TALLOC_FREE(place);
	}
	return place;
}

/* Nothing, or an area of ours, may be there; anything else is kept. */
static int place_may_init(struct third_place *place)
{
	static uint8_t buf[QUORUM_AREA_BLOCKS * QUORUM_SLOT_BLOCK]
		__attribute__((aligned(QUORUM_SLOT_BLOCK)));
	uint8_t uuid[QUORUM_SLOT_UUID];
	size_t i;
	int ret;

	ret = place->ops->read(place, buf, QUORUM_AREA_BLOCKS);
	if (ret != 0) {
		return ret;
	}
	ret = quorum_area_pull(buf, uuid);
	if (ret != ENODATA) {
		return ret; /* ours: it may be made anew */
	}
	for (i = 0; i < sizeof(buf); i++) {
		if (buf[i] != 0) {
			return EILSEQ;
		}
	}
	return 0;
}

static int place_write_all(struct third_place *place)
{
	static uint8_t block[QUORUM_SLOT_BLOCK]
		__attribute__((aligned(QUORUM_SLOT_BLOCK)));
	struct quorum_slot slot = {};
	int ret = 0;
	unsigned i;

	for (i = 0; i < QUORUM_MAX_NODES && ret == 0; i++) {
		slot.node = i;
		quorum_slot_push(&slot, place->uuid, block);
		ret = place->ops->write(place, i + 1, block);
	}
	if (ret == 0) {
		quorum_area_push(place->uuid, block);
		ret = place->ops->write(place, 0, block);
	}
	return ret;
}

int third_init(struct third_place *place, const char *name)
{
	size_t i;
	int ret;

	ret = place->ops->open(place, true);
	if (ret == 0) {
		ret = place_may_init(place);
	}
	if (ret == 0 &&
	    gnutls_rnd(GNUTLS_RND_NONCE, place->uuid, sizeof(place->uuid)) != 0)
	{
		ret = EIO;
	}
	if (ret == 0) {
		ret = place_write_all(place);
	}
	if (ret != 0) {
		fprintf(stderr,
			"csv_quorum_helper: %s: %s\n",
			name,
			ret == EILSEQ ? "something else is there; wipe it "
					"first if it is not needed"
				      : strerror(ret));
		return 1;
	}
	printf("--third %.*s", (int)strcspn(name, ","), name);
	if (place->options[0] != '\0') {
		printf("%s", place->options);
	}
	printf(",uuid=");
	for (i = 0; i < sizeof(place->uuid); i++) {
		printf("%02x", place->uuid[i]);
	}
	printf("\n");
	return 0;
}
