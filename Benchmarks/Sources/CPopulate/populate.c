// SPDX-License-Identifier: Apache-2.0

#include "populate.h"

#include <stdlib.h>
#include <sys/mman.h>

struct node {
    struct node *list;
    uint64_t phys;
    uint64_t virt_addr;
};

struct list {
    struct node *head;
    size_t chunk_count;
    char *chunks[];
};

enum { CHUNK = 32 << 20, HUGE_PAGE = 2 << 20 };

struct list *list_populate(size_t count, size_t page, size_t window, uint64_t virt, uint64_t phys)
{
    size_t per_page = page / sizeof(struct node);
    size_t pages = (count + per_page - 1) / per_page;
    size_t chunk_count = (pages * page + CHUNK - 1) / CHUNK;
    struct list *list = calloc(1, sizeof *list + chunk_count * sizeof list->chunks[0]);
    if (!list)
        return NULL;
    list->chunk_count = chunk_count;

    for (size_t index = 0; index < count;) {
        size_t offset = index / per_page * page;
        char **chunk = &list->chunks[offset / CHUNK];
        if (!*chunk) {
            *chunk = aligned_alloc(HUGE_PAGE, CHUNK);
            if (!*chunk) {
                list_free(list);
                return NULL;
            }
            if (offset > 0)
                madvise(*chunk, CHUNK, MADV_HUGEPAGE);
        }
        struct node *node = (struct node *)(*chunk + offset % CHUNK);
        for (size_t left = per_page; left > 0 && index < count; left--, index++, node++) {
            node->phys = phys + index * window;
            node->virt_addr = virt + index * window;
            node->list = list->head;
            list->head = node;
        }
    }
    return list;
}

uint64_t list_sum(const struct list *list)
{
    uint64_t sum = 0;
    for (const struct node *node = list->head; node; node = node->list)
        sum += node->phys + node->virt_addr;
    return sum;
}

void list_free(struct list *list)
{
    for (size_t index = 0; index < list->chunk_count; index++)
        free(list->chunks[index]);
    free(list);
}
