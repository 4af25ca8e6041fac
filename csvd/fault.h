/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Faults on purpose, for tests.
 */
#ifndef _CSVD_FAULT_H_
#define _CSVD_FAULT_H_

#include "csvd/context.h"

/* As the configuration says. */
void csvd_fault_arm(const struct csvd_config *config);

#endif /* _CSVD_FAULT_H_ */
