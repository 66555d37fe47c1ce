// SPDX-License-Identifier: Apache-2.0
//
// A guest's /init that behaves badly, in the way that `misbehave=MODE` on the kernel's command line says. It speaks the
// control channel's protocol as far as its mode goes: tests hold the harness against it.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

// A hello that the harness accepts from a 6.1 kernel with 64 KiB pages; the blanks are where VMCOREINFO's note stands and
// the size of the shared region.
#define HELLO                                                                                               \
    "0 hello protocol=0x1 page=0x10000 mmu=0x1 vmemmap-base=0xc00c000000000000 vmemmap-shift=0x10 "         \
    "vmcoreinfo=%s source=0x2 tried=dynamic-debug region=%s\n"
// One that it does not accept: it ends the wait for a good one.
#define NO_HELLO "0 hello protocol=0x2\n"
#define SYNCED "events=0x0 head=0x0 live=0x0 losses=0x0 heals=0x0"

static int channel = -1;
static char line[4096];

static void say(const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t count = write(channel, text, length);
        if (count <= 0) return;
        text += count;
        length -= (size_t)count;
    }
}

static void hang(void) {
    for (;;) pause();
}

// Waits for the next line and gives back its identifier, 0 when there is none.
static unsigned long next_line(void) {
    size_t length = 0;
    while (length < sizeof line - 1) {
        if (read(channel, line + length, 1) != 1) return 0;
        if (line[length] == '\n') break;
        length++;
    }
    line[length] = 0;
    return strtoul(line, NULL, 10);
}

static void answer(unsigned long identifier, const char *rest) {
    char text[256];
    snprintf(text, sizeof text, "%lu %s\n", identifier, rest);
    say(text);
}

// Waits for the next request. That the log be read, which follows every step, has nothing to do here.
static unsigned long request(void) {
    for (;;) {
        unsigned long identifier = next_line();
        if (strstr(line, " drain") == NULL) return identifier;
        answer(identifier, "ok events=0x0");
    }
}

// The value of WORD= on the kernel's command line.
static void word(const char *name, char *value, size_t capacity) {
    static char all[4096];
    int file = open("/proc/cmdline", O_RDONLY);
    ssize_t count = read(file, all, sizeof all - 1);
    close(file);
    all[count > 0 ? count : 0] = 0;
    value[0] = 0;
    for (char *item = strtok(all, " \n"); item != NULL; item = strtok(NULL, " \n"))
        if (strncmp(item, name, strlen(name)) == 0) snprintf(value, capacity, "%s", item + strlen(name));
}

static void say_hello(void) {
    char region[64], vmcoreinfo[64] = "0x0", hello[512];
    word("region=", region, sizeof region);
    FILE *location = fopen("/sys/kernel/vmcoreinfo", "r");
    if (location != NULL) {
        if (fscanf(location, "%63s", vmcoreinfo) != 1) strcpy(vmcoreinfo, "0x0");
        fclose(location);
    }
    snprintf(hello, sizeof hello, HELLO, vmcoreinfo, region);
    say(hello);
}

int main(void) {
    char mode[64];
    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mkdir("/sys", 0755);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    word("misbehave=", mode, sizeof mode);
    int console = open("/dev/console", O_WRONLY);
    dprintf(console, "this guest misbehaves: %s\n", mode);
    channel = open("/dev/hvc1", O_RDWR | O_NOCTTY);
    struct termios settings;
    if (tcgetattr(channel, &settings) == 0) {
        cfmakeraw(&settings);
        tcsetattr(channel, TCSANOW, &settings);
    }

    // Before a hello, or instead of it.
    if (strcmp(mode, "garbage") == 0) {
        say("\x01\xff\xfe not a line\n\x80\x80\n" NO_HELLO);
        hang();
    }
    if (strcmp(mode, "overlong") == 0) {
        for (int count = 0; count < 100; count++) say("0 hello page=0x1000000000000000000000000000000000000 ");
        say("\n" NO_HELLO);
        hang();
    }
    if (strcmp(mode, "chatter") == 0)
        for (;;) say("0 trouble for=nothing\n");
    if (strcmp(mode, "noise") == 0)
        for (;;) say("\x02\xff endless, and never a line");
    if (strcmp(mode, "no-page") == 0) {
        say("0 hello protocol=0x1 mmu=0x1\n");
        hang();
    }
    if (strcmp(mode, "odd-page") == 0) {
        say("0 hello protocol=0x1 page=0xffffffffffffffff mmu=0x1 vmemmap-base=0xffffffffffffffff "
            "vmemmap-shift=0xffffffffffffffff vmcoreinfo=0xffffffffffffffff source=0x2 tried=dynamic-debug "
            "region=0xffffffffffffffff\n");
        hang();
    }
    if (strcmp(mode, "odd-mmu") == 0) {
        say("0 hello protocol=0x1 page=0x10000 mmu=0x7 vmemmap-base=0x0 vmemmap-shift=0x0 vmcoreinfo=0x0 "
            "source=0x2 region=0x0\n");
        hang();
    }
    if (strcmp(mode, "protocol") == 0) {
        say(NO_HELLO);
        hang();
    }
    if (strcmp(mode, "trouble") == 0) {
        say("0 trouble missing=everything\n");
        hang();
    }
    if (strcmp(mode, "silent") == 0) hang();

    say_hello();
    if (strcmp(mode, "prints") == 0) {
        // Beside a program that answers everything.
        if (fork() == 0)
            for (unsigned long number = 0;; number++) dprintf(console, "this guest prints line %lu\n", number);
        strcpy(mode, "lies");
    }
    if (strcmp(mode, "deaf") == 0) {
        request();
        hang();
    }
    if (strcmp(mode, "again") == 0) {
        request();
        say_hello();
        hang();
    }
    if (strcmp(mode, "late-chatter") == 0) {
        request();
        for (;;) say("0 trouble for=nothing\n");
    }
    if (strcmp(mode, "unasked") == 0) {
        unsigned long identifier = request();
        answer(identifier + 7, "ok");
        answer(0xffffffffffffffff, "ok");
        say("0 trouble unreadable-line=0x3\n");
        say_hello();
        hang();
    }
    if (strcmp(mode, "refuses") == 0) {
        answer(request(), "error reason=no-mood");
        hang();
    }
    if (strcmp(mode, "half") == 0) {
        answer(request(), "ok " SYNCED);
        request();
        hang();
    }
    if (strcmp(mode, "lies") == 0) {
        // Everything is well, it says, and has written nothing.
        for (;;) {
            unsigned long identifier = request();
            answer(identifier, "ok events=0xffffffffffffffff head=0xffffffffffffffff live=0xffffffffffffffff");
            if (strstr(line, "poweroff") != NULL) reboot(RB_POWER_OFF);
        }
    }
    if (strcmp(mode, "exits") == 0) {
        request();
        return 1;
    }
    if (strcmp(mode, "panics") == 0) {
        request();
        int trigger = open("/proc/sysrq-trigger", O_WRONLY);
        dprintf(trigger, "c");
        hang();
    }
    if (strcmp(mode, "reboots") == 0) {
        request();
        reboot(RB_AUTOBOOT);
    }
    request();
    reboot(RB_POWER_OFF);
    return 0;
}
