// SPDX-License-Identifier: Apache-2.0

extension RadixWalk {
    /// Entries in a row of which each maps memory as the kernel does, as nearly all of a memory map's do: they are read, held
    /// against the rules and kept together, which takes two thirds of the time that each of them alone does.
    @usableFromInline struct LeafRow: Sequence, IteratorProtocol {
        /// How many there are.
        @usableFromInline static let length: UInt64 = 8

        @usableFromInline let words: [8 of UInt64]
        @usableFromInline let address: PhysicalAddress
        @usableFromInline let virtAddr: UInt64
        @usableFromInline let byteCount: UInt64
        @usableFromInline var index = 0

        /// Reads the entries from `address` on; nil where another one is among them, or not all of them are there: then each is
        /// looked at by itself.
        @inlinable @inline(__always) init?(
            at address: PhysicalAddress, _ virtAddr: UInt64, byteCount: UInt64, in memory: borrowing some PhysicalMemory
        ) {
            guard let words: [8 of UInt64] = memory.storedWords(at: address) else { return nil }
            for index in words.indices where !Entry.isKernelLeaf(ByteOrder.big.value(ofStored: words[index])) {
                return nil
            }
            self.words = words
            self.address = address
            self.virtAddr = virtAddr
            self.byteCount = byteCount
        }

        @inlinable var underestimatedCount: Int { words.count - index }

        @inlinable mutating func next() -> Leaf? {
            guard index < words.count else { return nil }
            defer { index &+= 1 }
            return Leaf(
                entryAddress: PhysicalAddress(address.rawValue &+ UInt64(index) &* 8),
                virtAddr: virtAddr &+ UInt64(index) &* byteCount,
                phys: Entry.phys(ByteOrder.big.value(ofStored: words[index])), byteCount: byteCount)
        }
    }
}
