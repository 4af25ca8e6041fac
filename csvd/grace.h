/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replay with grace, at the owner: how long a volume that was taken from an
 * owner that died is open for replays only.
 */
#ifndef _CSVD_GRACE_H_
#define _CSVD_GRACE_H_

#include "csvd/context.h"

#define CSVD_GRACE_MS 2000

/* For csv_serve_start_grace(); 0: nothing was lost, all are welcome. */
unsigned csvd_grace_begin(struct csvd_volume *v);
/* Is it over? Idempotent. */
void csvd_grace_check(struct csvd_volume *v);

#endif /* _CSVD_GRACE_H_ */
