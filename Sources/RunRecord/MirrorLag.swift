// SPDX-License-Identifier: Apache-2.0

public import AgentProtocol
public import GuestMemory

/// How long after the kernel's changes the mirror had them, in the course of a step.
///
/// From the time at which the kernel's trace or log has an event to the one at which the shared region had the mirror's
/// change and told of it: both by the guest's clock, and too long by at most what ``RingRecord/publishedMicroseconds`` says.
/// What the harness takes until it looks is no part of it.
public struct MirrorLag: Codable, Equatable, Sendable {
    /// How many blocks the mirror took in or gave up.
    public var blockCount: Int
    /// Half of them were there within this time.
    public var medianMicroseconds: UInt64
    /// All of them were.
    public var maximumMicroseconds: UInt64

    /// Sums lags up; nil when there are none.
    public init?(_ lags: [UInt64]) {
        let sorted = lags.sorted()
        guard let longest = sorted.last else { return nil }
        blockCount = sorted.count
        medianMicroseconds = sorted[(sorted.count - 1) / 2]
        maximumMicroseconds = longest
    }

    /// How long after an event the mirror had it; nil where it does not change the mirror, or that is not known.
    public static func lag(of event: AgentEvent, in record: RingRecord) -> UInt64? {
        switch event {
        case .blockMirrored, .blockFreed: break
        default: return nil
        }
        let published = record.publishedMicroseconds
        return published == 0 || published < record.microseconds ? nil : published - record.microseconds
    }
}
