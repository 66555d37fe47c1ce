// SPDX-License-Identifier: Apache-2.0

#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/// How often the calling thread has asked the C library for memory so far.
uint64_t allocation_count(void);

#endif
