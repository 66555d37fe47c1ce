// SPDX-License-Identifier: Apache-2.0
//
// The guest program's system calls, and what the embedded Swift runtime needs from a C library beyond what glibc has.
// No logic. Only 64-bit integers and pointers cross between Swift and this file (see LinuxSystem.swift).

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

void qh_agent_main(void);
void qh_load(uint64_t byte_count);
void qh_self_test(void);

static int64_t result(int64_t value) { return value < 0 ? -errno : value; }

int64_t qh_open(const char *path, int64_t mode) {
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK, O_RDONLY | O_NONBLOCK};
    if (mode < 0 || mode > 3) return -EINVAL;
    return result(open(path, flags[mode] | O_CLOEXEC | O_NOCTTY));
}

void qh_close(int64_t descriptor) { close((int)descriptor); }

int64_t qh_read(int64_t descriptor, void *buffer, int64_t byte_count) {
    int64_t count;
    do count = read((int)descriptor, buffer, (size_t)byte_count);
    while (count < 0 && errno == EINTR);
    return result(count);
}

int64_t qh_pread(int64_t descriptor, void *buffer, int64_t byte_count, int64_t offset) {
    int64_t count;
    do count = pread((int)descriptor, buffer, (size_t)byte_count, offset);
    while (count < 0 && errno == EINTR);
    return result(count);
}

// A non-blocking terminal takes a long line in pieces: wait until it takes the next one.
int64_t qh_write(int64_t descriptor, const void *buffer, int64_t byte_count) {
    int64_t written = 0;
    while (written < byte_count) {
        ssize_t count = write((int)descriptor, (const char *)buffer + written, (size_t)(byte_count - written));
        if (count >= 0) {
            written += count;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return -errno;
        struct pollfd item = {.fd = (int)descriptor, .events = POLLOUT};
        if (poll(&item, 1, 1000) <= 0) return -EAGAIN;
    }
    return written;
}

void qh_make_raw(int64_t descriptor) {
    struct termios settings;
    if (tcgetattr((int)descriptor, &settings) != 0) return;
    cfmakeraw(&settings);
    tcsetattr((int)descriptor, TCSANOW, &settings);
}

// How many of the descriptors are ready: readable, failed or hung up.
int64_t qh_wait(const int64_t *descriptors, int64_t count, int64_t milliseconds) {
    struct pollfd items[8];
    if (count > 8) count = 8;
    for (int64_t index = 0; index < count; index++)
        items[index] = (struct pollfd){.fd = (int)descriptors[index], .events = POLLIN};
    return result(poll(items, (nfds_t)count, (int)milliseconds));
}

int64_t qh_make_folder(const char *path) {
    return mkdir(path, 0755) != 0 && errno != EEXIST ? -errno : 0;
}

void qh_remove_folder(const char *path) { rmdir(path); }

// Names separated by NUL bytes. Those that do not fit are left out.
int64_t qh_names(const char *path, void *buffer, int64_t byte_count) {
    DIR *folder = opendir(path);
    if (folder == NULL) return -errno;
    int64_t used = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int64_t length = (int64_t)strlen(entry->d_name) + 1;
        if (entry->d_name[0] == '.' || used + length > byte_count) continue;
        memcpy((char *)buffer + used, entry->d_name, (size_t)length);
        used += length;
    }
    closedir(folder);
    return used;
}

void *qh_map(int64_t descriptor, uint64_t *byte_count) {
    struct stat status;
    if (fstat((int)descriptor, &status) != 0 || status.st_size <= 0) return NULL;
    *byte_count = (uint64_t)status.st_size;
    void *base = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)descriptor, 0);
    return base == MAP_FAILED ? NULL : base;
}

int64_t qh_mount(const char *type, const char *target) {
    mkdir(target, 0755);
    return result(mount(type, target, type, 0, NULL));
}

uint64_t qh_microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void qh_power_off(void) {
    sync();
    reboot(RB_POWER_OFF);
}

void qh_restart(void) {
    sync();
    reboot(RB_AUTOBOOT);
}

uint64_t qh_page_size(void) { return (uint64_t)sysconf(_SC_PAGESIZE); }

// sysfs takes a whole write or none of it.
int64_t qh_put(const char *path, const void *buffer, int64_t byte_count) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) return -errno;
    int64_t count = write(descriptor, buffer, (size_t)byte_count);
    int64_t status = count < 0 ? -errno : count < byte_count ? -EIO : 0;
    close(descriptor);
    return status;
}

int64_t qh_take(const char *path, void *buffer, int64_t byte_count, int64_t offset) {
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) return -errno;
    int64_t count = result(pread(descriptor, buffer, (size_t)byte_count, offset));
    if (count == -ESPIPE) {
        // Some of debugfs can only be read from the start (no_llseek): what comes before the offset is read and dropped.
        while (offset > 0) {
            count = qh_read(descriptor, buffer, offset < byte_count ? offset : byte_count);
            if (count <= 0) break;
            offset -= count;
        }
        if (offset == 0) count = qh_read(descriptor, buffer, byte_count);
    }
    close(descriptor);
    return count;
}

// Starts the program that the first of the arguments names, which end with a NUL byte each. Returns its process, or -errno;
// its output and error streams are read at ends[0] and ends[1], which do not wait. What cannot be executed ends with 127.
int64_t qh_start(const char *arguments, int64_t argument_bytes, int64_t *ends) {
    char *vector[16] = {NULL};
    int count = 0;
    for (int64_t at = 0; at < argument_bytes && count < 15; at += (int64_t)strlen(arguments + at) + 1)
        vector[count++] = (char *)arguments + at;
    int pipes[2][2];
    if (pipe2(pipes[0], O_CLOEXEC) != 0) return -errno;
    if (pipe2(pipes[1], O_CLOEXEC) != 0) {
        int64_t status = -errno;
        close(pipes[0][0]);
        close(pipes[0][1]);
        return status;
    }
    pid_t child = fork();
    int64_t status = child < 0 ? -errno : child;
    if (child == 0) {
        // Its own children go with it.
        setsid();
        dup2(pipes[0][1], 1);
        dup2(pipes[1][1], 2);
        static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
        execve(vector[0], vector, environment);
        _exit(127);
    }
    for (int index = 0; index < 2; index++) {
        close(pipes[index][1]);
        if (child < 0) close(pipes[index][0]);
        else fcntl(pipes[index][0], F_SETFL, O_NONBLOCK);
        ends[index] = pipes[index][0];
    }
    return status;
}

// How a process has ended: the status of its exit, or 256 and the signal's number; -EAGAIN while it runs, unless the end is
// waited for.
int64_t qh_end(int64_t child, int64_t may_wait) {
    int state = 0;
    pid_t found;
    do found = waitpid((pid_t)child, &state, may_wait ? 0 : WNOHANG);
    while (found < 0 && errno == EINTR);
    if (found < 0) return -errno;
    if (found == 0) return -EAGAIN;
    return WIFSIGNALED(state) ? 256 + WTERMSIG(state) : WEXITSTATUS(state);
}

void qh_kill(int64_t child) {
    // Before its setsid it is no group's leader.
    kill((pid_t)-child, SIGKILL);
    kill((pid_t)child, SIGKILL);
}

// The buffer of a perf event that counts nothing: pages that the kernel has allocated for itself (rb_alloc), so that it
// cannot move them, and that this process sees. A page for the event's own words comes first.
static int64_t perf_event(void) {
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof attributes, .config = PERF_COUNT_SW_DUMMY};
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

// The ring of a packet socket that receives nothing (alloc_pg_vec, net/packet/af_packet.c): likewise, a page more than is asked for.
static int64_t packet_socket(uint64_t byte_count) {
    uint32_t page = (uint32_t)qh_page_size(), count = (uint32_t)(byte_count / page) + 1;
    struct tpacket_req ring = {.tp_block_size = page, .tp_block_nr = count, .tp_frame_size = page, .tp_frame_nr = count};
    int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || setsockopt(descriptor, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0) return descriptor;
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

// Memory that the kernel cannot move, behind a first page: 0 for that of a perf event, 1 for that of a packet socket. Returns the
// descriptor.
int64_t qh_allocate(uint64_t byte_count, uint64_t source, uint64_t *address) {
    int64_t descriptor = source == 0 ? perf_event() : packet_socket(byte_count);
    if (descriptor < 0) return -errno;
    uint64_t page = qh_page_size();
    uint8_t *base = mmap(NULL, page + byte_count, PROT_READ, MAP_SHARED, (int)descriptor, 0);
    if (base == MAP_FAILED) {
        int64_t status = -errno;
        close((int)descriptor);
        return status;
    }
    // Mapped as they are touched.
    for (uint64_t offset = page; offset < page + byte_count; offset += page) (void)*(volatile uint8_t *)(base + offset);
    *address = (uint64_t)(uintptr_t)(base + page);
    return descriptor;
}

void qh_free(int64_t descriptor, uint64_t address, uint64_t byte_count) {
    uint64_t page = qh_page_size();
    munmap((void *)(uintptr_t)(address - page), page + byte_count);
    close((int)descriptor);
}

// Memory of this process alone; the kernel promises none by it.
int64_t qh_map_memory(uint64_t byte_count, uint64_t *address) {
    void *base = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return -errno;
    *address = (uint64_t)(uintptr_t)base;
    return 0;
}

// No two pages have the same content.
void qh_fill(uint64_t address, uint64_t byte_count) {
    uint64_t page = qh_page_size();
    for (uint64_t offset = 0; offset < byte_count; offset += page)
        *(volatile uint64_t *)(uintptr_t)(address + offset) = address + offset;
}

void qh_discard(uint64_t address, uint64_t byte_count) {
    madvise((void *)(uintptr_t)address, byte_count, MADV_DONTNEED);
}

void qh_lower_priority(void) { setpriority(PRIO_PROCESS, 0, 19); }

// Each buffer is a descriptor, and the soft limit of 1024 would end at 4 GiB of them.
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// Whoever is not PID 1 is no guest's agent, and mounts and switches off nothing: a load, which the agent starts, or nobody.
int main(int count, char **arguments) {
    if (getpid() == 1) {
        raise_descriptor_limit();
        qh_agent_main();
    } else if (count == 3 && strcmp(arguments[1], "load") == 0) {
        qh_load(strtoull(arguments[2], NULL, 10));
    } else {
        qh_self_test();
    }
    return 0;
}
