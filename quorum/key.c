/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The voters' key. It cannot come from a clustered database: CTDB opens none
 * before it has the cluster lock, and the lock needs the voters.
 */
#include "quorum/quorum.h"
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sys/stat.h>

#define KEY_FILE_MAX 1024
#define KEY_WORD "csvq1"

static bool key_hex(const char *hex, uint8_t secret[CSV_SECRET_SIZE])
{
	gnutls_datum_t in = {.data = discard_const_p(unsigned char, hex),
			     .size = CSV_SECRET_SIZE * 2};
	size_t size = CSV_SECRET_SIZE;

	return strlen(hex) == CSV_SECRET_SIZE * 2 &&
	       gnutls_hex_decode(&in, secret, &size) == 0 &&
	       size == CSV_SECRET_SIZE;
}

/* The text of the file. 0 or errno. */
static int key_load(const char *path, char text[KEY_FILE_MAX + 1])
{
	struct stat st = {};
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int ret = 0;

	if (fd == -1) {
		return errno;
	}
	if (fstat(fd, &st) != 0) {
		ret = errno;
	} else if (!S_ISREG(st.st_mode) || st.st_uid != 0 ||
		   (st.st_mode & 077) != 0) {
		ret = EPERM; /* others could read it, or put theirs there */
	} else {
		n = read(fd, text, KEY_FILE_MAX);
		ret = n == -1 ? errno : 0;
	}
	close(fd);
	if (ret == 0) {
		text[n] = '\0';
	}
	return ret;
}

int quorum_key_read(const char *path,
		    uint32_t *generation,
		    uint8_t secret[CSV_SECRET_SIZE])
{
	char text[KEY_FILE_MAX + 1];
	char hex[CSV_SECRET_SIZE * 2 + 2];
	char *line = NULL, *save = NULL;
	unsigned found = 0;
	int ret = key_load(path, text);

	if (ret != 0) {
		return ret;
	}
	ret = ENOKEY;
	for (line = strtok_r(text, "\n", &save); line != NULL && ret == ENOKEY;
	     line = strtok_r(NULL, "\n", &save))
	{
		if (sscanf(line, KEY_WORD " %u %65s", &found, hex) == 2 &&
		    found != 0 &&
		    (*generation == 0 || *generation == found) &&
		    key_hex(hex, secret))
		{
			*generation = found;
			ret = 0;
		}
	}
	gnutls_memset(text, 0, sizeof(text));
	gnutls_memset(hex, 0, sizeof(hex));
	return ret;
}

int quorum_key_make(const char *path)
{
	uint8_t secret[CSV_SECRET_SIZE];
	int fd, ret = 0;
	size_t i;

	if (gnutls_rnd(GNUTLS_RND_KEY, secret, sizeof(secret)) != 0) {
		return EIO;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		return errno;
	}
	if (dprintf(fd, "%s 1 ", KEY_WORD) < 0) {
		ret = errno;
	}
	for (i = 0; i < sizeof(secret) && ret == 0; i++) {
		ret = dprintf(fd, "%02x", secret[i]) < 0 ? errno : 0;
	}
	gnutls_memset(secret, 0, sizeof(secret));
	if (ret == 0 && (dprintf(fd, "\n") < 0 || fsync(fd) != 0)) {
		ret = errno;
	}
	close(fd);
	if (ret != 0) {
		(void)unlink(path);
	}
	return ret;
}
