// SPDX-License-Identifier: Apache-2.0

/// How an entry came into the mirror.
public enum Provenance: UInt64, Sendable, CaseIterable {
    /// The kernel had it when the agent took its first snapshot: made at boot.
    case seeded = 1
    /// The agent saw the kernel make it.
    case observed = 2
    /// Events were lost; a later snapshot had it.
    case healed = 3
}

/// The word that the mirror keeps beside each node, which has the kernel's three words and no more.
///
///     63        16 15         8 7         0
///     event        log2 bytes   provenance
public struct EntryOrigin: Equatable, Sendable {
    /// How the entry came.
    public var provenance: Provenance
    /// log2 of the block's bytes where the kernel keeps page tables and no list, since there each leaf has its own size;
    /// 0 on a kernel with a list, whose blocks all have the vmemmap page's size.
    public var byteShift: UInt64
    /// The event that told of it, 0 when none did.
    public var eventSequence: UInt64

    /// Describes an origin; `byteShift` is below 64.
    public init(_ provenance: Provenance, byteShift: UInt64 = 0, eventSequence: UInt64 = 0) {
        self.provenance = provenance
        self.byteShift = byteShift
        self.eventSequence = eventSequence
    }

    /// Reads a word; nil when no agent writes it.
    public init?(word: UInt64) {
        let byteShift = word >> 8 & 0xff
        guard let provenance = Provenance(rawValue: word & 0xff), byteShift < 64 else { return nil }
        self.init(provenance, byteShift: byteShift, eventSequence: word >> 16)
    }

    /// The block's bytes, 0 where the origin does not say them.
    public var byteCount: UInt64 { byteShift == 0 ? 0 : 1 << byteShift }

    /// The word.
    public var word: UInt64 {
        eventSequence << 16 | (byteShift & 0x3f) << 8 | provenance.rawValue
    }
}
