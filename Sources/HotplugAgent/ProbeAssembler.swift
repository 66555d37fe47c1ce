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

    /// A request for a block.
    struct Allocation: Equatable {
        /// How much was asked for, 0 where that is not told: on a kernel with a list it is always a vmemmap page.
        let byteCount: UInt64
        /// The altmap that it was asked of, 0 for other memory.
        let altmap: UInt64
        /// The block's kernel address, 0 when there was none.
        var pointer: UInt64 = 0
    }

    /// When it was called.
    let microseconds: UInt64
    /// The effective address of the first `struct page`.
    let start: UInt64
    /// The effective address behind the last one.
    let end: UInt64
    /// The NUMA node.
    let node: UInt64
    /// The memory that carries its own memory map; 0 for none.
    let altmap: UInt64
    /// What it asked for, in order.
    fileprivate(set) var allocations: [Allocation] = []
    /// The mappings that it made, in order.
    fileprivate(set) var mappings: [Mapping] = []
    /// What it returned: 0, or an error as a positive number.
    fileprivate(set) var errno: UInt64 = 0

    /// The blocks that were never mapped: the kernel gave them back because it had no list entry.
    var unusedBlocks: [UInt64] {
        // Nearly always each block is the next mapping's.
        var next = 0
        return allocations.map { $0.pointer }.filter { block in
            guard block != 0 else { return false }
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

    /// `request` is one that was not answered yet.
    private var calls: [(task: UInt64, call: PopulateCall, request: PopulateCall.Allocation?)] = []

    /// Whether calls are under way.
    var hasOpenCalls: Bool { !calls.isEmpty }

    /// Forgets the calls that are under way.
    mutating func reset() {
        calls.removeAll()
    }

    /// Takes a hit that is a part of a call.
    mutating func take(_ event: ProbeEvent, task: UInt64, microseconds: UInt64) -> Outcome {
        let index = calls.firstIndex { $0.task == task }
        if case .populate(let start, let end, let node, let altmap) = event {
            let call = PopulateCall(microseconds: microseconds, start: start, end: end, node: node, altmap: altmap)
            guard let index else {
                calls.append((task, call, nil))
                return .pending
            }
            calls[index] = (task, call, nil)
            return .unmatched
        }
        guard let index else { return .unmatched }
        switch event {
        case .allocate(let byteCount, let altmap):
            let isUnanswered = calls[index].request != nil
            calls[index].request = PopulateCall.Allocation(byteCount: byteCount, altmap: altmap)
            if isUnanswered { return .unmatched }
        case .allocated(let pointer):
            var allocation = calls[index].request ?? PopulateCall.Allocation(byteCount: 0, altmap: 0)
            allocation.pointer = pointer
            calls[index].call.allocations.append(allocation)
            calls[index].request = nil
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
