// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import TestSupport
import Testing
import VmemmapPopulate

private let page: UInt64 = 0xc000_0000_0200_0000

/// Nodes side by side in one page, the head first; the last one's link is `last`.
private func chain(_ count: Int, last: UInt64 = 0) -> SparseWords {
    var memory = SparseWords()
    for index in 0..<count {
        let address = page + UInt64(index) * 24
        memory.content[address] = index + 1 < count ? address + 24 : last
        memory.content[address + 8] = UInt64(index) << 16
        memory.content[address + 16] = 0xc00c_0000_0000_0000 + UInt64(index) << 16
    }
    return memory
}

private func walk(_ memory: SparseWords, head: UInt64 = page, limit: Int = 1000) -> ListWalk {
    ListWalk(head: head, in: memory, pageByteCount: 65536, limit: limit)
}

struct ListWalkTests {
    @Test func emptyList() {
        #expect(walk(SparseWords(), head: 0) == ListWalk(head: 0, entries: [], end: .terminated, endLink: 0))
    }

    @Test(arguments: [1, 2, 3, 100, 1000])
    func goodList(count: Int) {
        let result = walk(chain(count))
        #expect(result.end == .terminated)
        #expect(result.head == page)
        #expect(result.entries.map(\.node) == (0..<count).map { page + UInt64($0) * 24 })
        #expect(result.entries.last?.phys == UInt64(count - 1) << 16)
        #expect(result.entries.last?.virtAddr == 0xc00c_0000_0000_0000 + UInt64(count - 1) << 16)
    }

    /// Cycles of every length, behind tails of every length: each node once, and the first one that comes again.
    @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 100], [0, 1, 2, 3, 4, 5, 8, 15, 16, 33, 100])
    func cycles(cycleLength: Int, tailLength: Int) {
        let back = page + UInt64(tailLength) * 24
        let result = walk(chain(tailLength + cycleLength, last: back))
        #expect(result.end == .cycle)
        #expect(result.endLink == back)
        #expect(result.entries.map(\.node) == (0..<(tailLength + cycleLength)).map { page + UInt64($0) * 24 })
    }

    @Test func selfLoopAtTheHead() {
        let result = walk(chain(1, last: page))
        #expect(result.end == .cycle)
        #expect(result.endLink == page)
        #expect(result.entries.count == 1)
    }

    /// A cycle that is longer than the limit looks like a list that is too long.
    @Test(arguments: [0, 1, 5, 99])
    func limitInsideALongCycle(limit: Int) {
        let result = walk(chain(100, last: page), limit: limit)
        #expect(result.end == .limitReached)
        #expect(result.entries.count == limit)
    }

    /// The limit comes after the cycle has been closed and before the walk has noticed: it still says cycle.
    @Test(arguments: Array(21...64))
    func limitBehindACycle(limit: Int) {
        let back = page + 17 * 24
        let result = walk(chain(20, last: back), limit: limit)
        #expect(result.end == .cycle)
        #expect(result.endLink == back)
        #expect(result.entries.count == 20)
    }

    @Test func limit() {
        #expect(walk(chain(10), limit: 10).end == .terminated)
        let result = walk(chain(10), limit: 9)
        #expect(result.end == .limitReached)
        #expect(result.entries.count == 9)
    }

    @Test func linkOutsideMemory() {
        let target = page + 0x100_0000
        let result = walk(chain(3, last: target))
        #expect(result.end == .unreadable)
        #expect(result.endLink == target)
        #expect(result.entries.count == 3)
    }

    @Test func nodeThatIsHalfThere() {
        var memory = chain(3)
        memory.content[page + 2 * 24 + 16] = nil
        let result = walk(memory)
        #expect(result.end == .unreadable)
        #expect(result.endLink == page + 2 * 24 + 16)
        #expect(result.entries.count == 2)
    }

    /// Off by a word, by a byte, in the 16 bytes behind a page's last node, at the end of the address space.
    @Test(arguments: [
        page + 8, page + 16, page + 24 * 7 + 8, page + 1, page + 23, page + 65520, page + 65528, page + 65535,
        8, .max, .max - 7, .max - 15,
    ])
    func misplacedNode(link: UInt64) {
        let result = walk(chain(2, last: link))
        #expect(result.end == .misplaced)
        #expect(result.endLink == link)
        #expect(result.entries.count == 2)
        #expect(
            walk(SparseWords(), head: link) == ListWalk(head: link, entries: [], end: .misplaced, endLink: link))
    }

    @Test(arguments: [(65536, 2730), (4096, 170)] as [(UInt64, Int)])
    func placesInAPage(pageByteCount: UInt64, count: Int) {
        let places = (0..<pageByteCount).filter { ListWalk.canHoldNode(page + $0, pageByteCount: pageByteCount) }
        #expect(places == (0..<count).map { UInt64($0) * 24 })
    }
}

struct DamagedListTests {
    /// What a walk with a memory of its own, of unlimited size, finds.
    private func expectedWalk(
        head: UInt64, memory: SparseWords, limit: Int
    ) -> (nodes: [UInt64], end: ListWalk.End, endLink: UInt64) {
        var nodes: [UInt64] = []
        var visited: Set<UInt64> = []
        var link = head
        while link != 0 {
            let inPage = link % 65536
            if inPage % 24 != 0 || inPage > 65536 - 24 { return (nodes, .misplaced, link) }
            if visited.contains(link) { return (nodes, .cycle, link) }
            if nodes.count == limit { return (nodes, .limitReached, link) }
            for offset: UInt64 in [0, 8, 16] where memory.content[link + offset] == nil {
                return (nodes, .unreadable, link + offset)
            }
            nodes.append(link)
            visited.insert(link)
            link = memory.content[link] ?? 0
        }
        return (nodes, .terminated, 0)
    }

    /// Random lists, randomly damaged: the walk ends, within its limit, where the other walk ends.
    @Test func randomDamage() throws {
        for seed: UInt64 in 1...3000 {
            var random = SeededGenerator(seed: seed)
            var places = (0..<Int.random(in: 1...200, using: &random)).map { index in
                page + UInt64(index % 8) * 65536 + UInt64(index / 8) * 24
            }
            places.shuffle(using: &random)
            var memory = SparseWords()
            for (index, place) in places.enumerated() {
                memory.content[place] = index + 1 < places.count ? places[index + 1] : 0
                memory.content[place + 8] = random.next()
                memory.content[place + 16] = random.next()
            }
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let victim = places[Int.random(in: 0..<places.count, using: &random)]
                let other = places[Int.random(in: 0..<places.count, using: &random)]
                switch Int.random(in: 0..<6, using: &random) {
                case 0: memory.content[victim] = random.next()
                case 1: memory.content[victim] = other + 8
                case 2: memory.content[victim] = 0
                case 3: memory.content[victim + 8 * UInt64.random(in: 0...2, using: &random)] = nil
                default: memory.content[victim] = other
                }
            }
            let limit = Int.random(in: 0...250, using: &random)
            let result = walk(memory, head: places[0], limit: limit)
            let expected = expectedWalk(head: places[0], memory: memory, limit: limit)
            try #require(result.entries.count <= limit, "seed \(seed)")
            try #require(result.entries.map(\.node) == expected.nodes, "seed \(seed)")
            // A cycle of exactly as many nodes as the limit allows may be told either way.
            if expected.end == .cycle, expected.nodes.count == limit, result.end == .limitReached { continue }
            try #require(result.end == expected.end, "seed \(seed)")
            try #require(result.endLink == expected.endLink, "seed \(seed)")
        }
    }
}
