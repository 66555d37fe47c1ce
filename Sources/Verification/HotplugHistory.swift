// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import HarnessBasics

/// What is known of a guest's memory since it booted, and what the model predicts from.
///
/// It comes from what was asked of the machine and from the calls that the guest was seen to make, and not from the
/// kernel's list: what the model says is worth something because of that.
public struct HotplugHistory: Codable, Equatable, Sendable {
    /// Sections that came or went, ascending, with nothing between them.
    public struct Step: Codable, Equatable, Sendable {
        /// Which of the two.
        public enum Change: String, Codable, Sendable {
            /// `vmemmap_populate` was called for each.
            case added
            /// `vmemmap_free` was called for each.
            case removed
            /// `vmemmap_populate` was called for one and failed, and what it had done was undone.
            case failed
        }

        /// Which way.
        public var change: Change
        /// Guest physical address.
        @Hex public var base: UInt64
        /// Size in bytes.
        public var byteCount: UInt64
        /// Whether the memory brought its own memory map (`memmap_on_memory`: the call had an altmap).
        public var hasAltmap: Bool
        /// How many blocks the call that failed had put on the list; nil when none failed.
        public var linkedCount: UInt64?

        /// Describes a step.
        public init(
            change: Change, base: UInt64, byteCount: UInt64, hasAltmap: Bool = false, linkedCount: UInt64? = nil
        ) {
            self.change = change
            self.base = base
            self.byteCount = byteCount
            self.hasAltmap = hasAltmap
            self.linkedCount = linkedCount
        }
    }

    /// The memory that the kernel found when it booted.
    public var bootMemory: [MemoryRange]
    /// What happened since, in order.
    public private(set) var steps: [Step] = []
    /// Why something is missing in ``steps``; nil when nothing is.
    public private(set) var gap: String?

    /// The most steps: more than a hundred unplugs and plugs of each of 32 DIMMs.
    static let stepLimit = 1 << 14

    /// A guest that has just booted.
    public init(bootMemory: [MemoryRange]) {
        self.bootMemory = bootMemory
    }

    /// Notes that memory came or went. What no memory can be, or is one step too many, is noted as a gap.
    public mutating func note(_ change: Step.Change, _ range: Range<UInt64>, hasAltmap: Bool = false) {
        guard range.upperBound <= LinearMap.byteCount else {
            return noteGap(
                "the guest tells of memory up to \(range.upperBound.hexadecimal), and it ends at "
                    + "\(LinearMap.byteCount.hexadecimal) at the latest")
        }
        let byteCount = range.upperBound - range.lowerBound
        if let last = steps.last, last.change == change, last.hasAltmap == hasAltmap,
            last.base &+ last.byteCount == range.lowerBound
        {
            steps[steps.count - 1].byteCount += byteCount
        } else {
            append(Step(change: change, base: range.lowerBound, byteCount: byteCount, hasAltmap: hasAltmap))
        }
    }

    /// Notes that the section that was added last was not: its populate failed, with so many blocks on the list.
    public mutating func noteFailure(of section: Range<UInt64>, linkedCount: UInt64) {
        let byteCount = section.upperBound - section.lowerBound
        guard var last = steps.last, last.change == .added, last.byteCount >= byteCount,
            last.base + last.byteCount == section.upperBound
        else { return noteGap("a populate failed that was not seen before") }
        steps.removeLast()
        last.byteCount -= byteCount
        if last.byteCount > 0 { steps.append(last) }
        append(Step(change: .failed, base: section.lowerBound, byteCount: byteCount, linkedCount: linkedCount))
    }

    private mutating func append(_ step: Step) {
        guard steps.count < Self.stepLimit else {
            return noteGap("the guest tells of more than \(Self.stepLimit) plugs and unplugs")
        }
        steps.append(step)
    }

    /// Notes that something happened which the steps do not tell. The first reason stays.
    public mutating func noteGap(_ reason: String) {
        gap = gap ?? reason
    }
}
