/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose a persistent handle is, behind smbd's cookie in the record of the open
 * (lib/opens/note.h), where `sofs open list` finds it on every node. smbd
 * stores the record anyway: it costs no write.
 */
#include "modules/ca/ca.h"
#include "lib/tsocket/tsocket.h"
#include "lib/opens/note.h"

static void ca_note_client(const struct smbXsrv_client *client,
			   struct csv_note *note)
{
	const struct smbXsrv_connection *xconn = client->connections;
	char *address = NULL;

	if (xconn == NULL) {
		return;
	}
	note->dialect = xconn->smb2.server.dialect;
	address = tsocket_address_inet_addr_string(xconn->remote_address,
						   talloc_tos());
	if (address != NULL) {
		strlcpy(note->client, address, sizeof(note->client));
	}
	TALLOC_FREE(address);
}

void ca_note_add(struct connection_struct *conn,
		 TALLOC_CTX *mem_ctx,
		 DATA_BLOB *cookie)
{
	struct csv_note note = {};
	uint8_t buf[CSV_NOTE_MAX];
	int snum = SNUM(conn);

	ca_note_client(conn->sconn->client, &note);
	strlcpy(note.volume,
		lp_parm_const_string(snum, "csv", "volume", ""),
		sizeof(note.volume));
	strlcpy(note.share, lp_const_servicename(snum), sizeof(note.share));
	if (!data_blob_append(mem_ctx, cookie, buf, csv_note_push(&note, buf)))
	{
		DBG_WARNING("no memory: sofs open list will say less\n");
	}
}

void ca_note_remove(DATA_BLOB *cookie)
{
	struct csv_note note;

	(void)csv_note_pull(
		cookie->data, cookie->length, &note, &cookie->length);
}
