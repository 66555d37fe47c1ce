// SPDX-License-Identifier: Apache-2.0
//
// The least that can be /init: switches the machine off at once (-DPOWER_OFF), or waits for ever.

#include <sys/reboot.h>
#include <unistd.h>

int main(void) {
#ifdef POWER_OFF
    reboot(RB_POWER_OFF);
#endif
    for (;;) pause();
}
