// SPDX-License-Identifier: Apache-2.0

import CPopulate
import VmemmapPopulate

/// How the time for a memory map grows from 6 TiB to 60 TiB of a 4K hash kernel, in the emulator, and beside it in a C loop
/// that writes the same nodes.
///
/// Measured on memory that the process has already: what fresh memory costs depends on where it comes from, and the host of
/// a virtual machine may have to back it first, which makes ten times the memory wait for far more than ten times as long.
/// Exits with 1 when ten times the memory takes more than 11 times as long.
@main
struct Growth {
    static let window: UInt64 = 4096
    static let roundCount = 5

    struct Failure: Error {}

    /// What each kind took for one size of memory, one element a round.
    struct Times {
        var emulator: [Duration] = []
        var c: [Duration] = []
    }

    static func main() throws {
        guard keep_freed_memory() else { throw Failure() }
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        var small = Times()
        var large = Times()
        try measure(60 << 40, layout, into: &large)
        large = Times()
        for _ in 0..<roundCount {
            try measure(6 << 40, layout, into: &small)
            try measure(60 << 40, layout, into: &large)
        }
        let ratio = growth(small.emulator, large.emulator, name: "emulator")
        _ = growth(small.c, large.c, name: "C")
        guard ratio <= 11 else { throw Failure() }
    }

    private static func measure(_ memory: UInt64, _ layout: EmulatedLayout, into times: inout Times) throws {
        let clock = ContinuousClock()
        let entryCount = memory / layout.geometry.describedByteCount
        times.emulator.append(
            try clock.measure {
                let emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<memory])
                guard emulator.list.state.liveCount == entryCount else { throw Failure() }
            })
        times.c.append(
            try clock.measure {
                let list = list_populate(Int(entryCount), 4096, Int(window), layout.geometry.vmemmapBase, 16 << 20)
                guard let list else { throw Failure() }
                list_free(list)
            })
    }

    /// The larger memory's time over the smaller one's, after printing what it rests on: the quickest rounds, since what
    /// else a machine does only adds to a time, and more to a longer one.
    private static func growth(_ small: [Duration], _ large: [Duration], name: String) -> Double {
        guard let small = small.min(), let large = large.min() else { return .infinity }
        print("\(name): 6 TiB \(small), 60 TiB \(large), ratio \(large / small)")
        return large / small
    }
}
