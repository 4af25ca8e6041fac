/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The modules use what Samba keeps to itself, which no number of an interface
 * stands for: they load into the release that they were built with.
 */
#ifndef _MODULES_VERSION_H_
#define _MODULES_VERSION_H_

#include "includes.h"
#include "csv_build.h"
#include "lib/util/samba_modules.h"

/* What samba_init_module() returns if it is not OK; logged. */
static inline NTSTATUS csv_samba_is_ours(void)
{
	const char *version = samba_version_string();

	if (strcmp(version, CSV_SAMBA_VERSION) != 0) {
		DBG_ERR("built for Samba %s, this is %s, refusing to load\n",
			CSV_SAMBA_VERSION,
			version);
		return NT_STATUS_REVISION_MISMATCH;
	}
	return NT_STATUS_OK;
}

#endif /* _MODULES_VERSION_H_ */
