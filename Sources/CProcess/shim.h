// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/pidfd.h>
#include <sys/prctl.h>

// Makes this process the parent of every descendant whose own parent has exited. Returns 0, or -1 and errno.
static inline int cprocess_become_child_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}
