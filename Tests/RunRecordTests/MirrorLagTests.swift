// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import RunRecord
import Testing

/// How far the mirror was behind the kernel.
@Suite struct MirrorLagTests {
    @Test(
        arguments: [([7], 7, 7), ([9, 1], 1, 9), ([3, 0, 8], 3, 8), ([4, 3, 2, 1], 2, 4)]
            as [([UInt64], UInt64, UInt64)])
    func sumsUp(lags: [UInt64], median: UInt64, maximum: UInt64) throws {
        let lag = try #require(MirrorLag(lags))
        #expect(lag.blockCount == lags.count)
        #expect(lag.medianMicroseconds == median)
        #expect(lag.maximumMicroseconds == maximum)
    }

    @Test func ofNothingThereIsNone() { #expect(MirrorLag([]) == nil) }

    /// A region may hold anything.
    @Test(
        arguments: [(5, 9, 4), (5, 5, 0), (5, 4, nil), (0, 0, nil), (5, 0, nil), (0, .max, .max)]
            as [(UInt64, UInt64, UInt64?)])
    func isTheTimeBetween(event: UInt64, published: UInt64, lag: UInt64?) {
        let record = RingRecord(
            sequence: 1, kind: 2, microseconds: event, publishedMicroseconds: published, operands: [0, 0, 0, 0])
        #expect(MirrorLag.lag(of: .blockFreed(virtAddr: 0, phys: 0), in: record) == lag)
        #expect(MirrorLag.lag(of: .synced(marker: 1), in: record) == nil)
    }
}
