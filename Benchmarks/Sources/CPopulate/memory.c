// SPDX-License-Identifier: Apache-2.0

#include "populate.h"

#include <malloc.h>

bool keep_freed_memory(void) { return mallopt(M_MMAP_MAX, 0) && mallopt(M_TRIM_THRESHOLD, -1); }
