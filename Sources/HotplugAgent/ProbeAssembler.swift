// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A call of `vmemmap_populate` from its entry to its return, with everything that it got.
struct PopulateCall: Equatable {
    /// A block's mapping, told before the MMU is.
    struct Mapping: Equatable {
        let virtAddr: UInt64
        let byteCount: UInt64
        let phys: UInt64
        let microseconds: UInt64
    }

    /// When it was called.
    let microseconds: UInt64
    /// The effective address of the first `struct page`.
    let start: UInt64
    /// The effective address behind the last one.
    let end: UInt64
    /// The NUMA node.
    let node: UInt64
    /// The kernel addresses of the blocks that it was given, in order; without those that failed.
    fileprivate(set) var blocks: [UInt64] = []
    /// The mappings that it made, in order.
    fileprivate(set) var mappings: [Mapping] = []
    /// What it returned: 0, or an error as a positive number.
    fileprivate(set) var errno: UInt64 = 0

    /// The blocks that were never mapped: the kernel gave them back for want of a list entry.
    var unusedBlocks: [UInt64] {
        // Nearly always each block is the next mapping's.
        var next = 0
        return blocks.filter { block in
            guard next < mappings.count, LinearMap.physical(block)?.rawValue == mappings[next].phys else { return true }
            next += 1
            return false
        }
    }
}

/// Puts the hits of several probes together to calls, task by task: calls on several processors interleave in a trace.
struct ProbeAssembler {
    /// What a hit led to.
    enum Outcome: Equatable {
        /// Nothing yet.
        case pending
        /// A call has returned.
        case populated(PopulateCall)
        /// It belongs to no call, or its call has not returned and there is another one: hits are missing.
        case unmatched
    }

    private var calls: [(task: UInt64, call: PopulateCall)] = []

    /// Whether calls are under way.
    var hasOpenCalls: Bool { !calls.isEmpty }

    /// Forgets the calls that are under way.
    mutating func reset() {
        calls.removeAll()
    }

    /// Takes a hit that is a part of a call.
    mutating func take(_ event: ProbeEvent, task: UInt64, microseconds: UInt64) -> Outcome {
        let index = calls.firstIndex { $0.task == task }
        if case .populate(let start, let end, let node, _) = event {
            let call = PopulateCall(microseconds: microseconds, start: start, end: end, node: node)
            guard let index else {
                calls.append((task, call))
                return .pending
            }
            calls[index].call = call
            return .unmatched
        }
        guard let index else { return .unmatched }
        switch event {
        case .allocated(let pointer):
            if pointer != 0 { calls[index].call.blocks.append(pointer) }
        case .map(let virtAddr, let byteCount, let phys):
            calls[index].call.mappings.append(
                .init(virtAddr: virtAddr, byteCount: byteCount, phys: phys, microseconds: microseconds))
        case .populated(let errno):
            calls[index].call.errno = errno
            return .populated(calls.remove(at: index).call)
        default: break
        }
        return .pending
    }
}
