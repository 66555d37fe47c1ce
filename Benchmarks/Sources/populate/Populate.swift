// SPDX-License-Identifier: Apache-2.0

import CPopulate
import Glibc
import VmemmapPopulate

/// Populates the memory map of a 4K hash kernel, and beside it writes the same nodes in the same order in C.
///
/// The emulator does more than that loop: it asks for each window whether it is populated, and for a block. Exits with 1
/// when it takes more than three times as long.
@main
struct Populate {
    static let window: UInt64 = 4096
    static let memory: UInt64 = 512 << 30
    static let runCount = 11

    struct Failure: Error {}

    static func main() throws {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        try compareLists(layout)

        let clock = ContinuousClock()
        let entryCount = memory / layout.geometry.describedByteCount
        var swift: [Duration] = []
        var c: [Duration] = []
        for _ in 0..<runCount {
            swift.append(try clock.measure { _ = try VmemmapEmulator(layout: layout, bootMemory: [0..<memory]) })
            c.append(clock.measure { list_free(listInC(layout, entryCount: entryCount)) })
        }
        let medians = (swift: swift.sorted()[runCount / 2], c: c.sorted()[runCount / 2])
        let ratio = medians.swift / medians.c
        print("\(entryCount) entries: emulator \(medians.swift), C \(medians.c), ratio \(ratio)")
        guard ratio <= 3 else {
            print("more than 3")
            exit(1)
        }
    }

    private static func listInC(_ layout: EmulatedLayout, entryCount: UInt64) -> OpaquePointer? {
        list_populate(
            Int(entryCount), Int(layout.geometry.pageByteCount), Int(window), layout.geometry.vmemmapBase, 16 << 20)
    }

    /// Both ways of writing a list write the same one.
    private static func compareLists(_ layout: EmulatedLayout) throws {
        let list = try VmemmapEmulator(layout: layout, bootMemory: [0..<1 << 30]).exit()
        let walk = ListWalk(head: list.state.head, in: list.store, pageByteCount: 4096, limit: 1 << 20)
        let sum = walk.entries.reduce(0) { $0 &+ $1.phys &+ $1.virtAddr }
        guard let other = listInC(layout, entryCount: list.state.liveCount) else { throw Failure() }
        defer { list_free(other) }
        guard walk.end == .terminated, sum == list_sum(other) else { throw Failure() }
    }
}
