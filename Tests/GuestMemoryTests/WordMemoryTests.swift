// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Synchronization
import TestSupport
import Testing

struct WordMemoryTests {
    @Test func halfWordsInBothOrders() throws {
        let memory = SparseWords([8: 0x1111_1111_2222_2222])
        #expect(try memory.halfWord(at: 8, order: .little) == 0x2222_2222)
        #expect(try memory.halfWord(at: 12, order: .little) == 0x1111_1111)
        #expect(try memory.halfWord(at: 8, order: .big) == 0x1111_1111)
        #expect(try memory.halfWord(at: 12, order: .big) == 0x2222_2222)
    }

    @Test(arguments: [1, 2, 3, 5, 6, 7, 9, 15] as [UInt64])
    func halfWordsAreAligned(address: UInt64) {
        let memory = SparseWords([0: 0, 8: 0])
        #expect(throws: MemoryAccessError.misaligned(address)) { try memory.halfWord(at: address, order: .little) }
    }

    @Test func mappedWordsStoreAndLoad() throws {
        let heap = HeapWords(byteCount: 64)
        try withExtendedLifetime(heap) {
            let words = heap.words
            for offset in stride(from: UInt64(0), to: 64, by: 8) {
                #expect(try words.load(at: offset) == 0)
                try words.store(offset + 1, at: offset)
            }
            for offset in stride(from: UInt64(0), to: 64, by: 8) {
                #expect(try words.load(at: offset) == offset + 1)
            }
        }
    }

    /// A mapping is undone once, when the last who holds its words lets them go.
    @Test func aMappingLastsAsLongAsItsWords() throws {
        let base = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 8)
        base.initializeMemory(as: UInt64.self, repeating: 7, count: 2)
        let unmapped = Mutex(0)
        var words: MappedWords? = MappedWords(
            Mapping(unsafeBase: base, byteCount: 16) {
                $0.deallocate()
                unmapped.withLock { $0 += 1 }
            })
        var others = [words]
        words = nil
        #expect(unmapped.withLock { $0 } == 0)
        #expect(try others[0]?.load(at: 8) == 7)
        others = []
        #expect(unmapped.withLock { $0 } == 1)
    }

    @Test(arguments: [1, 4, 7, 60, 63, .max] as [UInt64])
    func mappedWordsAreAligned(offset: UInt64) {
        let heap = HeapWords(byteCount: 64)
        withExtendedLifetime(heap) {
            #expect(throws: MemoryAccessError.misaligned(offset)) { try heap.words.load(at: offset) }
            #expect(throws: MemoryAccessError.misaligned(offset)) { try heap.words.store(1, at: offset) }
        }
    }

    /// Offsets that are negative as a signed number, too.
    @Test(arguments: [64, 72, 1 << 20, 1 << 63, .max - 7] as [UInt64])
    func mappedWordsEnd(offset: UInt64) {
        let heap = HeapWords(byteCount: 64)
        withExtendedLifetime(heap) {
            #expect(throws: MemoryAccessError.unmapped(offset)) { try heap.words.load(at: offset) }
            #expect(throws: MemoryAccessError.unmapped(offset)) { try heap.words.store(1, at: offset) }
        }
    }

    @Test(arguments: [(0, 0), (7, 0), (8, 8), (15, 8), (16, 16)])
    func aRemainderIsLeftOut(byteCount: Int, usable: UInt64) {
        let heap = HeapWords(byteCount: byteCount)
        withExtendedLifetime(heap) {
            #expect(heap.words.byteCount == usable)
            #expect(throws: MemoryAccessError.unmapped(usable)) { try heap.words.load(at: usable) }
        }
    }
}

struct LinearMapTests {
    @Test(
        arguments: [
            (0xc000_0000_0000_0000, 0), (0xc000_0000_0248_0000, 0x248_0000),
            (0xc007_ffff_ffff_ffff, 0x7_ffff_ffff_ffff),
        ] as [(UInt64, UInt64)]
    )
    func inside(pointer: UInt64, physical: UInt64) {
        #expect(LinearMap.physical(pointer) == PhysicalAddress(physical))
    }

    /// User space, a hashed pointer, vmalloc, vmemmap, the last byte.
    @Test(
        arguments: [0, 0xabcd_ef12, 0xbfff_ffff_ffff_ffff, 0xc008_0000_0000_0000, 0xc00c_0000_0010_0000, .max]
            as [UInt64]
    )
    func outside(pointer: UInt64) {
        #expect(LinearMap.physical(pointer) == nil)
    }

    @Test func addressesAreOrdered() {
        #expect(PhysicalAddress(1) < PhysicalAddress(2))
        #expect(!(PhysicalAddress(2) < PhysicalAddress(2)))
    }

    @Test(
        arguments: [(0, 8, 0), (7, 8, 0), (8, 8, 8), (0x1_2345, 0x1_0000, 0x1_0000), (.max, 1 << 63, 1 << 63)]
            as [(UInt64, UInt64, UInt64)]
    )
    func alignment(value: UInt64, alignment: UInt64, expected: UInt64) {
        #expect(value.alignedDown(to: alignment) == expected)
    }

    @Test func powersOfTwo() {
        #expect([1, 2, 4096, 1 << 63].allSatisfy { (value: UInt64) in value.isPowerOfTwo })
        #expect(![0, 3, 6, .max].contains { (value: UInt64) in value.isPowerOfTwo })
    }
}

struct KernelMemoryTests {
    /// Physical memory of one word whose bytes are 1 to 8, at 0x100; behind 0x200 the system refuses.
    private struct OneWord: PhysicalMemory {
        func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
            guard address.rawValue % 8 == 0 else { throw .misaligned(address.rawValue) }
            guard address.rawValue < 0x200 else { throw .failed(address.rawValue, errno: 5) }
            guard address.rawValue == 0x100 else { throw .unmapped(address.rawValue) }
            return UInt64(littleEndian: 0x0807_0605_0403_0201)
        }
    }

    @Test(
        arguments: [
            (ByteOrder.little, 0x0807_0605_0403_0201), (.big, 0x0102_0304_0506_0708),
        ] as [(ByteOrder, UInt64)]
    )
    func byteOrder(order: ByteOrder, expected: UInt64) throws {
        let memory = KernelMemory(OneWord(), order: order)
        #expect(try memory.word(at: LinearMap.base + 0x100) == expected)
    }

    /// The errors name the kernel address that was asked for.
    @Test func errorsAreToldInKernelAddresses() {
        let memory = KernelMemory(OneWord(), order: .little)
        let base = LinearMap.base
        #expect(throws: MemoryAccessError.unmapped(base + 0x108)) { try memory.word(at: base + 0x108) }
        #expect(throws: MemoryAccessError.misaligned(base + 4)) { try memory.word(at: base + 4) }
        #expect(throws: MemoryAccessError.failed(base + 0x200, errno: 5)) { try memory.word(at: base + 0x200) }
        #expect(throws: MemoryAccessError.unmapped(0x100)) { try memory.word(at: 0x100) }
    }

    @Test func nativeOrder() {
        let other: ByteOrder = ByteOrder.native == .little ? .big : .little
        #expect(ByteOrder.native.value(ofStored: 1) == 1)
        #expect(other.value(ofStored: 1) == 1 << 56)
    }
}
