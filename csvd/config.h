/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * csvd's parameters, from the [global] section of smb.conf (csvd(8)).
 */
#ifndef _CSVD_CONFIG_H_
#define _CSVD_CONFIG_H_

#include "csvd/context.h"

/*
 * The loaded smb.conf's values; a value that makes no sense is replaced by
 * its default with one log line. NULL: no memory.
 */
struct csvd_config *csvd_config_load(TALLOC_CTX *mem_ctx);

#endif /* _CSVD_CONFIG_H_ */
