// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// A guest's physical memory on the host: boot RAM and plugged DIMMs, each a mapped file at a guest physical address.
public struct GuestRAM: SearchableMemory, Sendable {
    /// One piece of memory.
    public struct Region: Sendable {
        /// `boot` for the machine's own RAM, else the DIMM's alias.
        public let name: String
        /// Where the guest sees it.
        public let base: PhysicalAddress
        /// The file behind it.
        public let file: MappedFile
        /// What is mapped of that.
        @usableFromInline let words: MappedWords

        /// Describes a piece of memory.
        public init(name: String, base: PhysicalAddress, file: MappedFile) {
            self.name = name
            self.base = base
            self.file = file
            words = file.words
        }

        /// The physical addresses that it holds.
        public var range: Range<UInt64> { base.rawValue..<(base.rawValue + file.words.byteCount) }
    }

    /// The pieces, ascending.
    public let regions: [Region]

    /// Puts memory together. Regions that overlap are an error of the caller's; the lower one wins.
    public init(_ regions: [Region]) {
        self.regions = regions.sorted { $0.base < $1.base }
    }

    /// The end of the highest region.
    public var endAddress: PhysicalAddress { PhysicalAddress(regions.last?.range.upperBound ?? 0) }

    /// How many bytes there are.
    public var byteCount: UInt64 { regions.reduce(0) { $0 + $1.file.words.byteCount } }

    /// The 64 bits at a guest physical address.
    @inlinable public func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard let words: [1 of UInt64] = storedWords(at: address) else { throw problem(at: address) }
        return words[0]
    }

    /// Words in a row, of one piece.
    @inlinable @inline(__always) public func storedWords<let count: Int>(
        at address: PhysicalAddress
    ) -> [count of UInt64]? {
        // A walk comes here for each node: nothing of a region is copied, which would count references to its file and name.
        for index in regions.indices {
            let offset = address.rawValue &- regions[index].base.rawValue
            if let words: [count of UInt64] = regions[index].words.loadWords(at: offset) { return words }
        }
        return nil
    }

    /// Why there is no word at an address.
    @inline(never) @usableFromInline func problem(at address: PhysicalAddress) -> MemoryAccessError {
        guard let region = region(holding: address.rawValue) else { return .unmapped(address.rawValue) }
        return .misaligned(address.rawValue - region.base.rawValue)
    }

    /// The piece that holds a guest physical address; nil where no memory is.
    package func region(holding address: UInt64) -> Region? {
        regions.first { $0.range.contains(address) }
    }

    /// The parts of memory that a guest has ever written, ascending.
    func dataExtents() throws -> [Range<UInt64>] {
        try regions.flatMap { region in
            try region.file.dataExtents().map {
                region.base.rawValue + $0.lowerBound..<region.base.rawValue + $0.upperBound
            }
        }
    }

    /// Copies bytes out, all of them or none; `address` is a multiple of 8.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8] {
        (try? bytes(at: PhysicalAddress(address), byteCount: byteCount)) ?? []
    }

    /// Copies bytes out, a word at a time; `address` is a multiple of 8.
    func bytes(at address: PhysicalAddress, byteCount: Int) throws(MemoryAccessError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount + 7)
        var position = address.rawValue
        while bytes.count < byteCount {
            let word = ByteOrder.little.value(ofStored: try storedWord(at: PhysicalAddress(position)))
            for index in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: word >> (UInt64(index) * 8)))
            }
            position += 8
        }
        bytes.removeLast(bytes.count - byteCount)
        return bytes
    }
}
