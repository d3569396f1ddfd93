// SPDX-License-Identifier: Apache-2.0
// The smallest init: says that it is there and powers the machine off. boot_icount.py's guest has
// nothing else, so that what is counted is the VMM and the kernel.
#include <sys/reboot.h>
#include <unistd.h>

int main() {
    constexpr char text[] = "init is up\n";
    const bool said = write(STDOUT_FILENO, text, sizeof text - 1) == sizeof text - 1;
    reboot(RB_POWER_OFF);
    return said ? 0 : 1;  // only if it could not be powered off: the kernel panics then
}
