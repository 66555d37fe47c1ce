// SPDX-License-Identifier: Apache-2.0

#include "walks.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t PAGE_OFFSET = 0xc000000000000000;

bool guest_memory_map(const char *path, uint64_t size, bool swapped, struct guest_memory *memory)
{
    int file = open(path, O_RDONLY);
    if (file < 0)
        return false;
    void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    *memory = (struct guest_memory){ base, size, swapped };
    return base != MAP_FAILED;
}

static uint64_t load(const struct guest_memory *memory, uint64_t phys)
{
    return __atomic_load_n((const uint64_t *)(memory->base + phys), __ATOMIC_ACQUIRE);
}

static uint64_t load_ordered(const struct guest_memory *memory, uint64_t phys)
{
    uint64_t word = load(memory, phys);
    return memory->swapped ? __builtin_bswap64(word) : word;
}

/// Makes room for one more: how many there will be is not known.
static bool grow(void **elements, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    *capacity = *capacity ? 2 * *capacity : 16;
    void *grown = realloc(*elements, *capacity * size);
    if (grown)
        *elements = grown;
    return grown;
}

size_t list_walk(const struct guest_memory *memory, uint64_t head, size_t limit, struct list_entry **entries)
{
    size_t count = 0, capacity = 0;
    *entries = NULL;
    for (uint64_t node = head; node;) {
        uint64_t phys = node - PAGE_OFFSET;
        if (count == limit || phys % 8 || phys > memory->size - 24
            || !grow((void **)entries, count, &capacity, sizeof **entries))
            return SIZE_MAX;
        struct list_entry *entry = *entries + count++;
        *entry = (struct list_entry){ node, load_ordered(memory, phys), load_ordered(memory, phys + 8),
                                      load_ordered(memory, phys + 16) };
        node = entry->list;
    }
    return count;
}

struct walk {
    const struct guest_memory *memory;
    struct table_leaf *leaves;
    size_t count, capacity, limit;
};

static bool walk_table(struct walk *walk, uint64_t table, int level, uint64_t start, uint64_t end)
{
    static const unsigned shifts[] = { 39, 30, 21, 16 };
    static const unsigned index_bits[] = { 13, 9, 9, 5 };
    uint64_t size = 1ull << shifts[level];
    for (uint64_t virt = start & -size; virt < end; virt += size) {
        uint64_t entry = table + (virt >> shifts[level] & ((1 << index_bits[level]) - 1)) * 8;
        if (entry % 8 || entry > walk->memory->size - 8)
            return false;
        // Page tables are big-endian whatever the kernel is.
        uint64_t word = __builtin_bswap64(load(walk->memory, entry));
        if (!(word >> 63))
            continue;
        if (word >> 62 & 1) {
            if (walk->count == walk->limit
                || !grow((void **)&walk->leaves, walk->count, &walk->capacity, sizeof *walk->leaves))
                return false;
            walk->leaves[walk->count++] = (struct table_leaf){ entry, virt, word & 0x01fffffffffff000, size };
        } else {
            uint64_t first = virt > start ? virt : start;
            uint64_t last = virt + size < end ? virt + size : end;
            if (level == 3 || !walk_table(walk, word & 0x0fffffffffffff00, level + 1, first, last))
                return false;
        }
    }
    return true;
}

size_t table_walk(
    const struct guest_memory *memory, uint64_t root, uint64_t start, uint64_t end, size_t limit,
    struct table_leaf **leaves)
{
    struct walk walk = { .memory = memory, .limit = limit };
    bool is_whole = walk_table(&walk, root, 0, start, end);
    *leaves = walk.leaves;
    return is_whole ? walk.count : SIZE_MAX;
}
