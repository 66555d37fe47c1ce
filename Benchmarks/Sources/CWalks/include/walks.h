// SPDX-License-Identifier: Apache-2.0

#ifndef WALKS_H
#define WALKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Guest memory as it is mapped: `size` bytes from physical zero, whose words are in the other byte order when `swapped`.
struct guest_memory {
    const unsigned char *base;
    uint64_t size;
    bool swapped;
};

/// Maps a file of guest memory for reading. False, with errno, when that fails.
bool guest_memory_map(const char *path, uint64_t size, bool swapped, struct guest_memory *memory);

struct list_entry {
    uint64_t node, list, phys, virt_addr;
};

/// Follows a list of `struct vmemmap_backing` from a kernel address on, `limit` nodes at the most. Returns how many there
/// are, and the entries, to be freed; SIZE_MAX when the list leaves memory or has more.
size_t list_walk(const struct guest_memory *memory, uint64_t head, size_t limit, struct list_entry **entries);

struct table_leaf {
    uint64_t entry, virt_addr, phys, size;
};

/// Follows the radix page tables of a 64K kernel over a range of addresses. Returns how many leaves there are, and them, to
/// be freed; SIZE_MAX when a table leaves memory or there are more than `limit`.
size_t table_walk(
    const struct guest_memory *memory, uint64_t root, uint64_t start, uint64_t end, size_t limit,
    struct table_leaf **leaves);

#endif
