// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import TestSupport
import Testing

@testable import VmemmapPopulate

/// One step of a random sequence.
private enum Step: Equatable {
    /// Populates a window; nothing when it is on the list, as the kernel skips populated windows.
    case populate(UInt64)
    /// Frees a window, whether or not it is on the list.
    case free(UInt64)
    /// The next request for a page fails.
    case failNextPage

    init(random: UInt64) {
        switch random % 16 {
        case 0: self = .failNextPage
        case 1...9: self = .populate((random >> 8) % 14)
        default: self = .free((random >> 8) % 14)
        }
    }
}

/// The list beside a plain model of it: what it holds in order, and which nodes are free.
private struct Expectation {
    var physOf: [UInt64: UInt64] = [:]
    /// Newest first.
    var windows: [UInt64] = []
    /// Last freed first.
    var freed: [UInt64] = []
    var handedOut: UInt64 = 0
    var peak = 0
    var isPageFailing = false
}

struct ListPropertyTests {
    /// Five nodes to a page and eight bytes left over: page borders come often.
    private static let pageByteCount: UInt64 = 128
    private static let nodesPerPage = 5

    /// Replays a sequence, in a list that searches and in one that looks up; the first thing that is wrong, or nil.
    private static func violation(_ steps: [Step]) -> String? {
        violation(steps, isIndexed: false) ?? violation(steps, isIndexed: true).map { "indexed, " + $0 }
    }

    private static func violation(_ steps: [Step], isIndexed: Bool) -> String? {
        var list = VmemmapList(
            store: EmulatedKernel(pageByteCount: pageByteCount, blockPool: nil, radixStart: .pageAligned),
            isIndexed: isIndexed)
        var expected = Expectation()
        for (index, step) in steps.enumerated() {
            let problem = apply(step, number: UInt64(index), to: &list, &expected) ?? check(list, expected)
            if let problem { return "step \(index + 1), \(step): \(problem)" }
        }
        return nil
    }

    private static func apply(
        _ step: Step, number: UInt64, to list: inout VmemmapList<EmulatedKernel>, _ expected: inout Expectation
    ) -> String? {
        switch step {
        case .failNextPage:
            list.store.failingRequest = list.store.requestCount + 1
            expected.isPageFailing = true
        case .populate(let window):
            guard expected.physOf[window] == nil else { return nil }
            return populate(window, phys: (number + 1) << 16, &list, &expected)
        case .free(let window):
            let nodeBefore = node(of: window, in: list)
            guard let phys = try? list.free(virtAddr: window) else { return "the free failed" }
            guard phys == expected.physOf.removeValue(forKey: window) ?? 0 else { return "freed \(phys)" }
            if let position = expected.windows.firstIndex(of: window) {
                expected.windows.remove(at: position)
                expected.freed.insert(nodeBefore, at: 0)
            }
        }
        return nil
    }

    private static func populate(
        _ window: UInt64, phys: UInt64, _ list: inout VmemmapList<EmulatedKernel>, _ expected: inout Expectation
    ) -> String? {
        let wantsPage = expected.freed.isEmpty && expected.handedOut % UInt64(nodesPerPage) == 0
        let before = list.state
        do throws(PopulateError) {
            let node = try list.populate(phys: phys, virtAddr: window)
            if wantsPage && expected.isPageFailing { return "a node came out of no page" }
            if let top = expected.freed.first {
                guard node == top else { return "the last freed node was not used first" }
                expected.freed.removeFirst()
            } else {
                let page = expected.handedOut / UInt64(nodesPerPage)
                let place = LinearMap.base + page * pageByteCount + expected.handedOut % UInt64(nodesPerPage) * 24
                guard node == place else { return "fresh nodes do not ascend" }
                expected.handedOut += 1
            }
            expected.windows.insert(window, at: 0)
            expected.physOf[window] = phys
            expected.peak = max(expected.peak, expected.windows.count)
            return nil
        } catch {
            guard error == .outOfMemory, wantsPage, expected.isPageFailing else { return "failed: \(error)" }
            expected.isPageFailing = false
            return list.state == before ? nil : "a failed populate changed the list"
        }
    }

    private static func node(of window: UInt64, in list: borrowing VmemmapList<EmulatedKernel>) -> UInt64 {
        var node = list.state.head
        while node != 0, (try? list.store.word(at: node + 16)) != window {
            node = (try? list.store.word(at: node)) ?? 0
        }
        return node
    }

    private static func check(_ list: borrowing VmemmapList<EmulatedKernel>, _ expected: Expectation) -> String? {
        do {
            // As many links as there are windows, all different, then NULL: no cycle, and no node twice.
            var node = list.state.head
            for window in expected.windows {
                guard node != 0 else { return "the list ends early" }
                guard ListWalk.canHoldNode(node, pageByteCount: pageByteCount) else { return "a node is misplaced" }
                let backing = try VmemmapBacking(at: node, in: list.store)
                guard backing.virtAddr == window else { return "the order is wrong" }
                guard backing.phys == expected.physOf[window] else { return "the block is wrong" }
                node = backing.list
            }
            guard node == 0 else { return "the list does not end in NULL" }
            node = list.state.next
            for freed in expected.freed {
                guard node == freed else { return "the stack of freed nodes is wrong" }
                node = try list.store.word(at: node)
            }
        } catch {
            return "\(error)"
        }
        let state = list.state
        guard state.liveCount == UInt64(expected.windows.count), state.freedCount == UInt64(expected.freed.count) else {
            return "the counts are wrong"
        }
        let pages = list.store.nodePageCount
        guard pages * UInt64(nodesPerPage) == state.liveCount + state.freedCount + state.nodesLeft else {
            return "nodes are lost"
        }
        guard pages <= (expected.peak + nodesPerPage - 1) / nodesPerPage else { return "too many pages" }
        return nil
    }

    /// The shortest sequence that still fails, leaving out one step after the other.
    private static func shrunk(_ steps: [Step]) -> [Step] {
        var smallest = steps
        var index = 0
        while index < smallest.count {
            var shorter = smallest
            shorter.remove(at: index)
            if violation(shorter) != nil {
                smallest = shorter
                index = 0
            } else {
                index += 1
            }
        }
        return smallest
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 6, 7] as [UInt64])
    func randomSequences(part: UInt64) {
        for seed in part * 12_500..<(part + 1) * 12_500 {
            var random = SeededGenerator(seed: seed)
            // Short ones to reach many first steps, and long ones to reach several pages.
            let length = seed % 25 == 0 ? 64 : 2 + random.next() % 14
            let steps = (0..<length).map { _ in Step(random: random.next()) }
            if violation(steps) != nil {
                let smallest = Self.shrunk(steps)
                Issue.record("seed \(seed): \(smallest): \(violation(smallest) ?? "")")
                return
            }
        }
    }

    private func violation(_ steps: [Step]) -> String? { Self.violation(steps) }
}
