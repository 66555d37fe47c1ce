// SPDX-License-Identifier: Apache-2.0

#ifndef POPULATE_H
#define POPULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A list and the memory of its nodes.
struct list;

/// Links `count` nodes, one for each window from `virt` on, backed by blocks of `window` bytes from `phys` on. Nodes come
/// out of pages of `page` bytes, and these out of chunks. NULL when there is no memory.
struct list *list_populate(size_t count, size_t page, size_t window, uint64_t virt, uint64_t phys);

/// The sum of all addresses that a list holds.
uint64_t list_sum(const struct list *list);

/// Gives a list's memory back.
void list_free(struct list *list);

/// Lets the program keep what it frees, however much it is. False when the C library does not do it.
bool keep_freed_memory(void);

#endif
