/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file on an SMB share outside of the cluster, by libsmbclient: no mount,
 * and nothing of it is cached on this side.
 *
 * libsmbclient reads an smb.conf. It gets one of its own: the node's has the
 * registry in it, which is a clustered database, and this must never wait for
 * CTDB.
 */
#include "quorum/third/third.h"
#include <fcntl.h>
#include <sys/stat.h>
#include "libsmb_internal.h"
#include "libsmb/proto.h"
#include "libcli/smb/smb2_constants.h"

struct smb_state {
	SMBCCTX *ctx;
	SMBCFILE *file;
	char *url;
	char user[256], password[256], domain[256];
};

static void smb_auth(SMBCCTX *ctx,
		     const char *server,
		     const char *share,
		     char *domain,
		     int domain_len,
		     char *user,
		     int user_len,
		     char *password,
		     int password_len)
{
	struct smb_state *s = smbc_getOptionUserData(ctx);

	strlcpy(domain, s->domain, domain_len);
	strlcpy(user, s->user, user_len);
	strlcpy(password, s->password, password_len);
}

/* "username = …", "password = …", "domain = …", as for smbclient -A. */
static void smb_auth_line(struct smb_state *s, char *line)
{
	char *value = strchr(line, '=');
	char *name = line;
	size_t n;

	line[strcspn(line, "\r\n")] = '\0';
	if (value == NULL) {
		return;
	}
	*value++ = '\0';
	value += strspn(value, " \t");
	name += strspn(name, " \t");
	n = strcspn(name, " \t");
	name[n] = '\0';
	if (strcmp(name, "username") == 0) {
		strlcpy(s->user, value, sizeof(s->user));
	} else if (strcmp(name, "password") == 0) {
		strlcpy(s->password, value, sizeof(s->password));
	} else if (strcmp(name, "domain") == 0) {
		strlcpy(s->domain, value, sizeof(s->domain));
	}
}

static int smb_auth_file(struct third_place *place, struct smb_state *s)
{
	FILE *file = NULL;
	char *line = NULL;
	size_t size = 0;
	int ret = third_auth_file(place, &file);

	if (ret != 0 || file == NULL) {
		return ret; /* no file: a guest */
	}
	while (getline(&line, &size, file) != -1) {
		smb_auth_line(s, line);
	}
	if (line != NULL) {
		explicit_bzero(line, size);
	}
	free(line);
	fclose(file);
	return 0;
}

/* $HOME/.smb/smb.conf goes before the node's. */
static int smb_own_conf(struct third_place *place)
{
	char *home = talloc_asprintf(place, "%s/witness", place->run_dir);
	char *dir = talloc_asprintf(place, "%s/.smb", home);
	char *path = talloc_asprintf(place, "%s/smb.conf", dir);
	FILE *file = NULL;

	if (path == NULL) {
		return ENOMEM;
	}
	(void)mkdir(home, 0700);
	(void)mkdir(dir, 0700);
	file = fopen(path, "we");
	if (file == NULL) {
		return errno;
	}
	fprintf(file,
		"[global]\n"
		"\tclustering = no\n"
		"\tclient min protocol = SMB2_10\n"
		"\tclient ipc min protocol = SMB2_10\n"
		"\tserver role = standalone server\n"
		"\tprivate dir = %s\n\tlock directory = %s\n"
		"\tstate directory = %s\n\tcache directory = %s\n"
		"\tpid directory = %s\n\tncalrpc dir = %s\n"
		"\tlog file = /dev/null\n",
		home, home, home, home, home, home);
	fclose(file);
	return setenv("HOME", home, 1) == 0 ? 0 : errno;
}

static int smb_context(struct third_place *place, struct smb_state *s)
{
	s->ctx = smbc_new_context();
	if (s->ctx == NULL) {
		return errno;
	}
	smbc_setOptionUserData(s->ctx, s);
	smbc_setFunctionAuthDataWithContext(s->ctx, smb_auth);
	smbc_setOptionNoAutoAnonymousLogin(s->ctx, s->user[0] != '\0');
	/* a share that does not answer in a lease's time is no use */
	smbc_setTimeout(s->ctx,
			place->timeout_ms != 0 ? (int)place->timeout_ms
					       : 10000);
	if (smbc_init_context(s->ctx) == NULL) {
		return errno;
	}
	return 0;
}

static int smb_file(struct third_place *place, struct smb_state *s, int flags)
{
	smbc_open_fn open_fn = smbc_getFunctionOpen(s->ctx);

	s->file = open_fn(s->ctx, s->url, O_RDWR | flags, 0600);
	return s->file != NULL ? 0 : errno;
}

static int smb_open(struct third_place *place, bool create)
{
	struct smb_state *s = talloc_zero(place, struct smb_state);
	int ret;

	if (s == NULL) {
		return ENOMEM;
	}
	place->state = s;
	s->url = talloc_asprintf(s, "smb:%s", place->where);
	ret = s->url != NULL ? smb_auth_file(place, s) : ENOMEM;
	if (ret == 0) {
		ret = smb_own_conf(place);
	}
	if (ret == 0) {
		ret = smb_context(place, s);
	}
	if (ret == 0) {
		ret = smb_file(place, s, create ? O_CREAT : 0);
	}
	return ret;
}

/* After an error the connection is made anew: this process ends, the voter
   starts another. A half-dead one may still have a write under way, and only
   its end, or the server's, settles that. */
static int smb_failed(int error)
{
	fprintf(stderr,
		"csv_quorum third vote: the share does not answer: %s\n",
		strerror(error));
	_exit(1);
}

static int smb_read(struct third_place *place, uint8_t *buf, unsigned blocks)
{
	struct smb_state *s = place->state;
	smbc_lseek_fn seek_fn = smbc_getFunctionLseek(s->ctx);
	smbc_read_fn read_fn = smbc_getFunctionRead(s->ctx);
	size_t len = blocks * QUORUM_SLOT_BLOCK, done = 0;
	ssize_t n;

	memset(buf, 0, len);
	if (seek_fn(s->ctx, s->file, 0, SEEK_SET) == -1) {
		return smb_failed(errno);
	}
	while (done < len) {
		n = read_fn(s->ctx, s->file, buf + done, len - done);
		if (n < 0) {
			return smb_failed(errno);
		}
		if (n == 0) {
			break; /* a new file is empty: all zero */
		}
		done += (size_t)n;
	}
	return 0;
}

static int smb_write(struct third_place *place,
		     unsigned block,
		     const uint8_t *buf)
{
	struct smb_state *s = place->state;
	smbc_lseek_fn seek_fn = smbc_getFunctionLseek(s->ctx);
	smbc_write_fn write_fn = smbc_getFunctionWrite(s->ctx);
	off_t at = (off_t)block * QUORUM_SLOT_BLOCK;

	if (block >= QUORUM_AREA_BLOCKS) {
		return EINVAL;
	}
	if (seek_fn(s->ctx, s->file, at, SEEK_SET) != at ||
	    write_fn(s->ctx, s->file, buf, QUORUM_SLOT_BLOCK) !=
		    QUORUM_SLOT_BLOCK)
	{
		return smb_failed(errno);
	}
	return 0;
}

/* libsmbclient has no name for it, the connection below has. */
static int smb_write_through(struct third_place *place,
			     unsigned block,
			     const uint8_t *buf)
{
	struct smb_state *s = place->state;
	NTSTATUS status;

	if (block >= QUORUM_AREA_BLOCKS) {
		return EINVAL;
	}
	status = cli_writeall(s->file->targetcli,
			      s->file->cli_fd,
			      SMB2_WRITEFLAG_WRITE_THROUGH,
			      buf,
			      (off_t)block * QUORUM_SLOT_BLOCK,
			      QUORUM_SLOT_BLOCK,
			      NULL);
	if (!NT_STATUS_IS_OK(status)) {
		return smb_failed(map_errno_from_nt_status(status));
	}
	return 0;
}

const struct third_place_ops third_smb_ops = {
	.prefix = "smb:",
	.open = smb_open,
	.read = smb_read,
	.write = smb_write,
	.write_through = smb_write_through,
};
