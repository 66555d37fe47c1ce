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

        /// Describes a piece of memory.
        public init(name: String, base: PhysicalAddress, file: MappedFile) {
            self.name = name
            self.base = base
            self.file = file
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
    public func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        guard let region = region(holding: address.rawValue) else { throw .unmapped(address.rawValue) }
        return try region.file.words.load(at: address.rawValue - region.base.rawValue)
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
