// SPDX-License-Identifier: Apache-2.0

public import HarnessBasics

/// What the `struct page`s of online memory say, as the host read them in guest RAM through the kernel's own account: whether
/// the kernel has made them, and whether they are where they say that they are.
public struct StructPagesSnapshot: Codable, Equatable, Sendable {
    /// Something that no kernel makes of a `struct page`.
    public enum Fault: String, Codable, CaseIterable, Sendable {
        /// All bits of `flags` are set (`PAGE_POISON_PATTERN`), as in memory that is no `struct page` yet, or no more.
        case poisoned
        /// All of it is zero. An initialised one has links, and a `_mapcount` of -1.
        case zeroed
        /// It is of another NUMA node than its memory.
        case otherNode = "other-node"
        /// `_refcount` is negative, or more than there can be users.
        case refcount
        /// Its links are those of another page: its `lru` leads to itself, in the other's place.
        case otherPage = "other-page"
        /// A free page is not where its neighbours in the allocator's list have it.
        case brokenLinks = "broken-links"
    }

    /// A `struct page` in which something is wrong.
    public struct Faulty: Codable, Equatable, Sendable {
        /// What is wrong.
        public var fault: Fault
        /// The page frame number of the page that it describes.
        public var frame: UInt64
        /// Its physical address.
        @Hex public var phys: UInt64
        /// The word that shows it: `flags`, `_refcount`, or the link.
        @Hex public var word: UInt64

        /// Notes a fault.
        public init(_ fault: Fault, frame: UInt64, phys: UInt64, word: UInt64) {
            self.fault = fault
            self.frame = frame
            self.phys = phys
            self.word = word
        }
    }

    /// The kernel's bookkeeping in memory that the allocator holds for free.
    public struct FreePlace: Codable, Equatable, Sendable {
        /// What stands there.
        public enum Kind: String, Codable, Sendable {
            /// The block behind a window.
            case block
            /// A node of the list.
            case node
            /// A page table.
            case table
        }

        /// What stands there.
        public var kind: Kind
        /// Its physical address.
        @Hex public var phys: UInt64
        /// The first window that depends on it.
        @Hex public var virtAddr: UInt64

        /// Notes a place.
        public init(_ kind: Kind, phys: UInt64, virtAddr: UInt64) {
            self.kind = kind
            self.phys = phys
            self.virtAddr = virtAddr
        }
    }

    /// The most faults, and the most places, that are told one by one.
    public static let toldLimit = 64

    /// Of each online section the `struct page` of every so many-th page frame was looked at; 1: of every one.
    public var frameStride: UInt64
    /// How many were looked at.
    public var readCount: Int
    /// How many of those nothing could be read of.
    public var unreadableCount: Int
    /// How many are wrong.
    public var faultCount: Int
    /// The first of those.
    public var faults: [Faulty]
    /// How many blocks of the kernel's account hold a `struct page` whose links prove that it is the one which belongs there.
    public var provenBlockCount: Int
    /// How many pieces of the kernel's bookkeeping are free memory.
    public var freePlaceCount: Int
    /// The first of those.
    public var freePlaces: [FreePlace]
    /// How many blocks of windows that are gone stood in memory that is still there.
    public var formerBlockCount: Int
    /// How many of those are free memory now. The others have another use again, or none has given them back: nothing tells
    /// which.
    public var formerFreeCount: Int

    /// Nothing looked at yet.
    public init(frameStride: UInt64) {
        self.frameStride = frameStride
        readCount = 0
        unreadableCount = 0
        faultCount = 0
        faults = []
        provenBlockCount = 0
        freePlaceCount = 0
        freePlaces = []
        formerBlockCount = 0
        formerFreeCount = 0
    }

    /// Notes a fault.
    public mutating func note(_ fault: Faulty) {
        faultCount += 1
        if faults.count < Self.toldLimit { faults.append(fault) }
    }

    /// Notes a place.
    public mutating func note(_ place: FreePlace) {
        freePlaceCount += 1
        if freePlaces.count < Self.toldLimit { freePlaces.append(place) }
    }
}

extension Snapshot {
    /// How many page frames of a section are looked at.
    func sampledFrameCount(stride: UInt64) -> UInt64 {
        let count = (1 << kernel.sectionSizeBits) / kernel.pageByteCount
        return (count + stride - 1) / stride
    }

    /// The sections whose `struct page`s the kernel has made: those that are online, and no device's.
    public var onlineSections: [PresentSection] {
        sections.filter { $0.isOnline && !$0.isDeviceMemory }
    }
}
