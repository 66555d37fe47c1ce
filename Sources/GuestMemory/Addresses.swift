// SPDX-License-Identifier: Apache-2.0

/// A guest physical address (what the kernel calls `phys_addr_t` and what QEMU calls a GPA), in bytes.
public struct PhysicalAddress: Equatable, Hashable, Comparable, Sendable {
    /// The address in bytes from physical zero.
    public var rawValue: UInt64

    /// Makes an address from its number.
    public init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Orders addresses by their number.
    public static func < (left: PhysicalAddress, right: PhysicalAddress) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// The linear map of 64-bit Book3S: effective address `0xc000000000000000 + x` is physical `x`
/// (`__va`/`__pa`, arch/powerpc/include/asm/page.h; `PAGE_OFFSET` is the same for hash and radix).
public enum LinearMap {
    /// `PAGE_OFFSET`.
    public static let base: UInt64 = 0xc000_0000_0000_0000

    /// The bytes that the map can span: real addresses have at most 52 bits on these machines, and everything from
    /// `0xc008…` on is vmalloc, IO or vmemmap on the layouts with the smallest linear map.
    public static let byteCount: UInt64 = 1 << 51

    /// Where hash kernels before 5.2 have the memory map, in a region of its own (`H_VMEMMAP_BASE`,
    /// arch/powerpc/include/asm/book3s/64/hash.h before 0034d395f89d).
    public static let oldHashMemoryMapBase: UInt64 = 0xf000_0000_0000_0000
    /// Where radix kernels before 5.2 have it (`RADIX_VMEMMAP_BASE`, arch/powerpc/include/asm/book3s/64/radix.h).
    public static let oldRadixMemoryMapBase: UInt64 = 0xc00a_0000_0000_0000

    /// The physical address behind a kernel pointer, or nil when the pointer is outside the linear map.
    @inlinable public static func physical(_ effectiveAddress: UInt64) -> PhysicalAddress? {
        guard effectiveAddress >= base, effectiveAddress - base < byteCount else { return nil }
        return PhysicalAddress(effectiveAddress - base)
    }
}

/// The byte order of a guest's words. Page-table entries are big-endian whatever this says.
public enum ByteOrder: UInt64, Sendable {
    /// ppc64le.
    case little = 0
    /// ppc64.
    case big = 1

    /// The order of the machine that runs this code, asked of its memory: the guest program is compiled from Swift once,
    /// for both orders, so a condition of compilation would answer for the wrong machine.
    @inlinable @inline(__always) public static var native: ByteOrder {
        // SAFETY: the bytes are the constant's own.
        unsafe withUnsafeBytes(of: 1 as UInt64) { unsafe $0[0] } == 1 ? .little : .big
    }

    /// The value of a word that was loaded natively from memory in this order.
    @inlinable @inline(__always) public func value(ofStored word: UInt64) -> UInt64 {
        self == .native ? word : word.byteSwapped
    }

    /// The number that `byteCount` bytes, up to eight, say in this order. They have to be there.
    public func number(in bytes: [UInt8], at offset: Int, byteCount: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<byteCount {
            value = value << 8 | UInt64(bytes[offset + (self == .little ? byteCount - 1 - index : index)])
        }
        return value
    }
}

extension UInt64 {
    /// Whether this is a power of two.
    public var isPowerOfTwo: Bool { nonzeroBitCount == 1 }

    /// This value rounded down to a multiple of `alignment`, a power of two (the kernel's `ALIGN_DOWN`).
    @inlinable public func alignedDown(to alignment: UInt64) -> UInt64 {
        self & ~(alignment &- 1)
    }
}
