/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The share redirect error context, [MS-SMB2] 2.2.2.2.2, and where it leads.
 */
#ifndef _MODULES_CSV_REDIRECT_WIRE_H_
#define _MODULES_CSV_REDIRECT_WIRE_H_

/* More addresses of one node are left out. */
#define CSV_REDIRECT_ADDRESSES_MAX 64

struct csv_redirect_addresses {
	size_t num;
	struct sockaddr_storage list[CSV_REDIRECT_ADDRESSES_MAX];
};

/*
 * The data of the error context: the share's UNC name, and addresses of
 * either family (others are left out). No data: no memory, no name, or no
 * address.
 */
DATA_BLOB csv_redirect_blob(TALLOC_CTX *mem_ctx,
			    const char *unc,
			    const struct csv_redirect_addresses *addresses);

#endif /* _MODULES_CSV_REDIRECT_WIRE_H_ */
