/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sites of a stretch cluster. `csv:sites` in [global] names the nodes of each
 * one: "berlin:0,1 paris:2,3". A node in no site belongs to none.
 */
#ifndef _LIB_SITE_SITE_H_
#define _LIB_SITE_SITE_H_

#include <stdbool.h>
#include <stdint.h>

/*
 * Does `csv:site affinity` of this share keep a client of the node `here`
 * there, although the owner is another node? snum: a loaded service.
 */
bool csv_site_keeps(int snum, uint32_t here, uint32_t owner);

#endif /* _LIB_SITE_SITE_H_ */
