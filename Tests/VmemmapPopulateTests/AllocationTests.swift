// SPDX-License-Identifier: Apache-2.0

import CAllocationCount
import Testing

@testable import VmemmapPopulate

/// Memory that the list's path takes beside its nodes: none.
@Suite struct AllocationTests {
    /// What a piece of work on this thread asked the C library for.
    private static func allocations(_ work: () throws -> Void) rethrows -> UInt64 {
        let before = allocation_count()
        try work()
        return allocation_count() - before
    }

    @Test func allocationsAreCounted() {
        var memory: [[UInt64]] = []
        #expect(Self.allocations { for size in 1...100 { memory.append(.init(repeating: 0, count: size)) } } >= 100)
        #expect(memory.count == 100)
    }

    /// A million windows with nodes out of pages, then some with freed ones. All nodes come out of one chunk.
    @Test func aMillionPopulatesAllocateNothing() throws {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        let base = layout.geometry.vmemmapBase
        var kernel = EmulatedKernel(pageByteCount: 4096, blockPool: nil, radixStart: .pageAligned)
        kernel.addPresent(0..<8 << 30)
        var list = VmemmapList(store: kernel)
        func populate(_ windows: Range<UInt64>) throws -> UInt64 {
            try Self.allocations {
                try list.vmemmapPopulate(
                    start: base + windows.lowerBound << 12, end: base + windows.upperBound << 12, node: 0,
                    geometry: layout.geometry)
            }
        }
        // The first one takes the chunk.
        _ = try populate(0..<1)
        // Unoptimized code may ask for something once a call.
        let fresh = try populate(1..<1_000_001)
        #expect(fresh < 8)
        for window in (900_001..<1_000_001 as Range<UInt64>).reversed() {
            try list.free(virtAddr: base + window << 12)
        }
        #expect(list.state.freedCount == 100_000)
        let reused = try populate(900_001..<1_000_001)
        #expect(reused < 8)
        #expect(list.state.liveCount == 1_000_001)
        #expect(list.state.freedCount == 0)
    }

    /// With all that the kernel does around the list: what is left is some for each section at the most.
    @Test func noWindowOfAMemoryMapAllocates() throws {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        func allocations(memory: UInt64) throws -> UInt64 {
            try Self.allocations { _ = try VmemmapEmulator(layout: layout, bootMemory: [0..<memory]) }
        }
        let sectionCount: UInt64 = 256
        let count = try allocations(memory: sectionCount << 24)
        #expect(count <= 2 * sectionCount, "\(count) allocations for \(64 * sectionCount) windows")
    }
}
