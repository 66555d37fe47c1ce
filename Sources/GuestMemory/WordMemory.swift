// SPDX-License-Identifier: Apache-2.0

/// Why a word of guest memory could not be read or written.
public enum MemoryAccessError: Error, Equatable, Sendable {
    /// Nothing is mapped at the address, or the access would run past the end of what is mapped.
    case unmapped(UInt64)
    /// The address is not a multiple of 8, which a single-copy atomic access needs.
    case misaligned(UInt64)
    /// The operating system refused the read; the number is errno.
    case failed(UInt64, errno: UInt64)
}

// Whoever reads words reads many: what stands between a walk and memory is `@inlinable`, here and in the walks, so that a
// walk is compiled for the memory that it goes through. Otherwise each word costs a call through a witness table, or several.

/// Memory read one naturally aligned 64-bit word at a time, with words already in the reader's byte order.
///
/// What an address means is the conformer's affair: a kernel effective address, or an offset into the shared region.
/// A guest may write the memory at any moment, so a word is the largest thing that is ever read at once.
public protocol WordMemory: ~Copyable {
    /// The word at `address`. Throws when the address is misaligned or not mapped.
    func word(at address: UInt64) throws(MemoryAccessError) -> UInt64

    /// Words in a row, at least one, each as ``word(at:)`` reads it and one after the other, for a memory that has to look only once where
    /// they are. Nil where it does not, or cannot read all of them: then ``word(at:)`` does, or says why not.
    func words<let count: Int>(at address: UInt64) -> [count of UInt64]?
}

extension WordMemory where Self: ~Copyable {
    /// Nil: each word is looked for.
    @inlinable public func words<let count: Int>(at address: UInt64) -> [count of UInt64]? { nil }

    /// The 32-bit value at `address` (a multiple of 4), cut out of the aligned word that holds it. The byte order of the
    /// memory decides where in the word the value stands.
    public func halfWord(at address: UInt64, order: ByteOrder) throws(MemoryAccessError) -> UInt32 {
        guard address % 4 == 0 else { throw .misaligned(address) }
        let whole = try word(at: address.alignedDown(to: 8))
        let isSecond = address % 8 == 4
        let takesHighBits = order == .little ? isSecond : !isSecond
        return UInt32(truncatingIfNeeded: takesHighBits ? whole >> 32 : whole)
    }
}

/// Guest physical memory: boot RAM and plugged DIMMs, read as the bits stand there, in no byte order yet.
public protocol PhysicalMemory {
    /// The 64 bits at `address`, loaded natively. Throws when the address is misaligned or no memory is there.
    func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64

    /// Words in a row, at least one, each as ``storedWord(at:)`` loads it and one after the other, for a memory that has to look
    /// only once where they are. Nil where it does not, or cannot load all of them: then ``storedWord(at:)`` does, or says why not.
    func storedWords<let count: Int>(at address: PhysicalAddress) -> [count of UInt64]?
}

extension PhysicalMemory {
    /// Nil: each word is looked for.
    @inlinable @inline(__always) public func storedWords<let count: Int>(
        at address: PhysicalAddress
    ) -> [count of UInt64]? { nil }
}

/// The kernel's linear map over a guest's physical memory: kernel pointers in, words in the host's order out. By physical
/// address it is the memory behind the map.
public struct KernelMemory<Physical: PhysicalMemory>: WordMemory, PhysicalMemory {
    /// The memory behind the map.
    public let physical: Physical
    /// The byte order of the kernel.
    public let order: ByteOrder

    /// Looks at `physical` as a kernel of byte order `order` does.
    public init(_ physical: Physical, order: ByteOrder) {
        self.physical = physical
        self.order = order
    }

    /// The word at a kernel effective address. An address outside the linear map is `unmapped`.
    @inlinable @inline(__always) public func word(at address: UInt64) throws(MemoryAccessError) -> UInt64 {
        guard let location = LinearMap.physical(address) else { throw .unmapped(address) }
        do throws(MemoryAccessError) {
            return order.value(ofStored: try physical.storedWord(at: location))
        } catch {
            throw error.renamed(to: address)
        }
    }

    /// Words in a row at a kernel effective address.
    @inlinable @inline(__always) public func words<let count: Int>(at address: UInt64) -> [count of UInt64]? {
        guard let first = LinearMap.physical(address), LinearMap.physical(address &+ UInt64(count) * 8 &- 1) != nil,
            let stored: [count of UInt64] = physical.storedWords(at: first)
        else { return nil }
        return [count of UInt64] { order.value(ofStored: stored[$0]) }
    }

    /// The 64 bits at a physical address, as they stand there.
    @inlinable public func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        try physical.storedWord(at: address)
    }

    /// Words in a row at a physical address.
    @inlinable @inline(__always) public func storedWords<let count: Int>(
        at address: PhysicalAddress
    ) -> [count of UInt64]? {
        physical.storedWords(at: address)
    }
}

extension MemoryAccessError {
    /// The address that was asked for.
    @inlinable public var address: UInt64 {
        switch self {
        case .unmapped(let address), .misaligned(let address), .failed(let address, _): address
        }
    }

    /// The same error, told in terms of the address that the caller asked for.
    @usableFromInline func renamed(to address: UInt64) -> MemoryAccessError {
        switch self {
        case .unmapped: .unmapped(address)
        case .misaligned: .misaligned(address)
        case .failed(_, let errno): .failed(address, errno: errno)
        }
    }
}
