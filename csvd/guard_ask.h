/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asking the guard of a volume's last owner. "Shut down, epoch N" is proof
 * like a fence agent's success, and sets v->proven_epoch.
 */
#ifndef _CSVD_GUARD_ASK_H_
#define _CSVD_GUARD_ASK_H_

#include "csvd/context.h"

/*
 * Ask about v->rec's epoch, unless a question is on its way or was answered
 * just now. True: a useful answer may still come; false: there is no reason
 * to wait for one (no guard reached, or it says nothing about this epoch, or
 * it had enough time). Cheap, to be called at every look.
 */
bool csvd_guard_ask(struct csvd_volume *v);

/*
 * A question about v->rec's epoch may still be answered, by a node that CTDB
 * reaches from here: one that does not reach it leaves it to this one.
 */
bool csvd_guard_hopes(const struct csvd_volume *v);

#endif /* _CSVD_GUARD_ASK_H_ */
