// SPDX-License-Identifier: Apache-2.0

import CPopulate
import Glibc
import VmemmapPopulate

/// How the time for a memory map grows from 6 TiB to 60 TiB of a 4K hash kernel.
///
/// Measured on memory that the process has already: what fresh memory costs depends on where it comes from, and the host of
/// a virtual machine may have to back it first, which makes ten times the memory wait for far more than ten times as long.
/// Both are timed in steps of 64 GiB, and the quickest round counts for each step: what else a machine does only adds to a
/// time, and a quiet moment is as likely for one step as for another, however many there are.
/// Exits with 1 when ten times the memory takes more than 11 times as long.
@main
struct Growth {
    static let small: UInt64 = 6 << 40
    static let large: UInt64 = 60 << 40
    static let roundCount = 9
    static let limit = 11.0

    struct Failure: Error {}

    static func main() throws {
        guard keep_freed_memory() else { throw Failure() }
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        // This one takes the memory that all others find in hand.
        _ = try emulate(large, layout)
        var smallRounds: [[Duration]] = []
        var largeRounds: [[Duration]] = []
        for _ in 0..<roundCount {
            smallRounds.append(try emulate(small, layout))
            largeRounds.append(try emulate(large, layout))
        }
        let times = (small: quickest(smallRounds), large: quickest(largeRounds))
        let ratio = times.large / times.small
        print("6 TiB \(times.small), 60 TiB \(times.large), ratio \(ratio)")
        print("median round: 6 TiB \(median(smallRounds)), 60 TiB \(median(largeRounds))")
        guard ratio <= limit else {
            print("more than \(limit)")
            exit(1)
        }
    }

    /// The time of each step. The last one's holds the end of it all too: the memory is given back.
    private static func emulate(_ memory: UInt64, _ layout: EmulatedLayout) throws -> [Duration] {
        let clock = ContinuousClock()
        var marks = [clock.now]
        func populate() throws {
            let emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<memory]) { done in
                if done < memory { marks.append(clock.now) }
            }
            guard emulator.list.state.liveCount == memory / layout.geometry.describedByteCount else { throw Failure() }
        }
        try populate()
        marks.append(clock.now)
        return zip(marks, marks.dropFirst()).map { $0.duration(to: $1) }
    }

    /// The sum, over the steps, of the quickest round's time.
    private static func quickest(_ rounds: [[Duration]]) -> Duration {
        rounds[0].indices.map { step in rounds.map { $0[step] }.min() ?? .zero }.reduce(.zero, +)
    }

    private static func median(_ rounds: [[Duration]]) -> Duration {
        rounds.map { $0.reduce(.zero, +) }.sorted()[rounds.count / 2]
    }
}
