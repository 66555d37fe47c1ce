// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// What the agent saw happen, as it goes through the ring.
public enum AgentEvent: Equatable, Sendable {
    /// `vmemmap_populate(start, end, node, altmap)` was called. The altmap's address is 0 when there is none, or when the
    /// event source does not tell.
    case populateCalled(start: UInt64, end: UInt64, node: UInt64, altmap: UInt64 = 0)
    /// The call allocated a block and the mirror has a node for it, at `mirrorNode` in the region.
    case blockMirrored(virtAddr: UInt64, byteCount: UInt64, phys: UInt64, mirrorNode: UInt64)
    /// The kernel said `Unable to create vmemmap mapping`, with its error as a positive number.
    case mappingFailed(errno: UInt64)
    /// `vmemmap_free(start, end)` was called.
    case freeCalled(start: UInt64, end: UInt64)
    /// The call took a block off the list, as a kprobe on the unmapping says, or else the kernel's own rule.
    case blockFreed(virtAddr: UInt64, phys: UInt64)
    /// An LMB settled: `Memory at ADDRESS (drc index INDEX) was hot-added`.
    case lmbAdded(base: UInt64, drcIndex: UInt64)
    /// `Memory at ADDRESS was hot-removed`.
    case lmbRemoved(base: UInt64)
    /// The kernel gave up on a whole hot-add or hot-remove request.
    case hotplugFailed(HotplugFailure)
    /// Events were lost: so many records were missing in the source.
    case lost(recordCount: UInt64)
    /// The mirror was rebuilt from a snapshot; so many entries were new to it.
    case healed(entryCount: UInt64)
    /// The mirror could not take an entry that the kernel has.
    case mirrorFull(virtAddr: UInt64, phys: UInt64)
    /// The call was given a block and never mapped it: the kernel has given it back.
    case blockUnused(phys: UInt64)
    /// The call returned an error, given as a positive number; what it had done until then is undone by the kernel.
    case populateFailed(errno: UInt64)
    /// A `sync` of the harness was reached in the source.
    case synced(marker: UInt64)

    /// The kernel's log reports a fault of the kernel, whose text follows; or so many of a kind, whose text was not kept.
    case kernelFault(KernelFault, count: UInt64)
    /// 32 bytes of the text of the newest fault; see ``texts(of:)``.
    case faultText(UInt64, UInt64, UInt64, UInt64)
    /// So many records of the kernel's log were overwritten before the agent was there to read them.
    case logBeginningLost(recordCount: UInt64)

    /// Which request failed (arch/powerpc/platforms/pseries/hotplug-memory.c).
    public enum HotplugFailure: UInt64, Sendable {
        /// `Memory hot-add failed` or `Memory indexed-count-add failed`, removing any added LMBs.
        case add = 1
        /// `Memory hot-remove failed` or `Memory indexed-count-remove failed`, adding any removed LMBs.
        case remove = 2
    }

    /// The event in the ring's words.
    public var encoded: (kind: UInt64, operands: [4 of UInt64]) {
        switch self {
        case .populateCalled(let start, let end, let node, let altmap): (1, [start, end, node, altmap])
        case .blockMirrored(let virtAddr, let byteCount, let phys, let mirrorNode):
            (2, [virtAddr, byteCount, phys, mirrorNode])
        case .mappingFailed(let errno): (3, [errno, 0, 0, 0])
        case .freeCalled(let start, let end): (4, [start, end, 0, 0])
        case .lmbAdded(let base, let drcIndex): (5, [base, drcIndex, 0, 0])
        case .lmbRemoved(let base): (6, [base, 0, 0, 0])
        case .hotplugFailed(let failure): (7, [failure.rawValue, 0, 0, 0])
        case .lost(let recordCount): (8, [recordCount, 0, 0, 0])
        case .healed(let entryCount): (9, [entryCount, 0, 0, 0])
        case .mirrorFull(let virtAddr, let phys): (10, [virtAddr, phys, 0, 0])
        case .synced(let marker): (11, [marker, 0, 0, 0])
        case .blockFreed(let virtAddr, let phys): (12, [virtAddr, phys, 0, 0])
        case .blockUnused(let phys): (13, [phys, 0, 0, 0])
        case .populateFailed(let errno): (14, [errno, 0, 0, 0])
        case .kernelFault(let fault, let count): (15, [fault.rawValue, count, 0, 0])
        case .faultText(let first, let second, let third, let fourth): (16, [first, second, third, fourth])
        case .logBeginningLost(let recordCount): (17, [recordCount, 0, 0, 0])
        }
    }

    /// The event that a ring record holds, or nil when it holds none that this protocol knows.
    public init?(_ record: RingRecord) {
        let operands = record.operands
        switch record.kind {
        case 1:
            self = .populateCalled(
                start: operands[0], end: operands[1], node: operands[2], altmap: operands[3])
        case 2:
            self = .blockMirrored(
                virtAddr: operands[0], byteCount: operands[1], phys: operands[2], mirrorNode: operands[3])
        case 3: self = .mappingFailed(errno: operands[0])
        case 4: self = .freeCalled(start: operands[0], end: operands[1])
        case 5: self = .lmbAdded(base: operands[0], drcIndex: operands[1])
        case 6: self = .lmbRemoved(base: operands[0])
        case 7:
            guard let failure = HotplugFailure(rawValue: operands[0]) else { return nil }
            self = .hotplugFailed(failure)
        case 8: self = .lost(recordCount: operands[0])
        case 9: self = .healed(entryCount: operands[0])
        case 10: self = .mirrorFull(virtAddr: operands[0], phys: operands[1])
        case 11: self = .synced(marker: operands[0])
        case 12: self = .blockFreed(virtAddr: operands[0], phys: operands[1])
        case 13: self = .blockUnused(phys: operands[0])
        case 14: self = .populateFailed(errno: operands[0])
        case 15:
            guard let fault = KernelFault(rawValue: operands[0]) else { return nil }
            self = .kernelFault(fault, count: operands[1])
        case 16: self = .faultText(operands[0], operands[1], operands[2], operands[3])
        case 17: self = .logBeginningLost(recordCount: operands[0])
        default: return nil
        }
    }
}

extension AgentEvent {
    /// The events that carry a line of a fault's text: its bytes and a newline, eight to a word, the first one highest,
    /// and zeros behind the last.
    public static func texts(of line: [UInt8]) -> [AgentEvent] {
        let bytes = line + [0x0a]
        return stride(from: 0, to: bytes.count, by: 32).map { start in
            func word(_ index: Int) -> UInt64 {
                var word: UInt64 = 0
                for place in start + 8 * index..<start + 8 * index + 8 {
                    word = word << 8 | (place < bytes.count ? UInt64(bytes[place]) : 0)
                }
                return word
            }
            return .faultText(word(0), word(1), word(2), word(3))
        }
    }

    /// The bytes of a fault's text that the event carries; none of any other event.
    public var text: [UInt8] {
        guard case .faultText(let first, let second, let third, let fourth) = self else { return [] }
        var bytes: [UInt8] = []
        for word in [first, second, third, fourth] {
            for place in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * place))) }
        }
        while bytes.last == 0 { bytes.removeLast() }
        return bytes
    }
}
