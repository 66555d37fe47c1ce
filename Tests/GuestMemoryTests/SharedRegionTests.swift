// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing

struct SharedRegionTests {
    @Test(arguments: [ByteOrder.little, .big])
    func headerAfterInitialize(order: ByteOrder) throws {
        try withRegion(order: order) { region, heap in
            try region.initialize(release: Array("6.1.0-37-powerpc64le".utf8))
            for (field, value) in region.layout.fixedFields() {
                #expect(try region.header(field) == value, "\(field)")
            }
            #expect(try region.header(.magic) == SharedRegionLayout.magic)
            #expect(try region.header(.version) == 3)
            #expect(try region.header(.regionByteCount) == 4 << 20)
            #expect(try region.header(.pageByteCount) == 65536)
            #expect(try region.header(.epoch) == 1)
            #expect(try region.header(.state) == AgentState.starting.rawValue)
            #expect(try region.header(.head) == 0)
            #expect(try region.header(.generation) == 0)

            let magic = Array("VMEMMAPL".utf8)
            #expect(heap.bytes(0..<8) == (order == .big ? magic : magic.reversed()))
            let mark: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
            #expect(heap.bytes(16..<24) == (order == .big ? mark : mark.reversed()))
        }
    }

    /// Text stands in memory byte after byte, in both orders, zero-padded and always terminated.
    @Test(arguments: [ByteOrder.little, .big], [0, 1, 7, 8, 9, 20, 64, 70, 71, 72, 100])
    func releaseText(order: ByteOrder, length: Int) throws {
        try withRegion(order: order) { region, heap in
            let release = (0..<length).map { UInt8(0x30 + $0 % 64) }
            try region.initialize(release: release)
            let start = Int(SharedRegionLayout.releaseOffset)
            let capacity = Int(SharedRegionLayout.releaseByteCount)
            let kept = release.prefix(capacity - 1)
            #expect(heap.bytes(start..<(start + kept.count)) == Array(kept))
            #expect(heap.bytes((start + kept.count)..<(start + capacity + 8)).allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: [ByteOrder.little, .big])
    func wordsInTheirOrder(order: ByteOrder) throws {
        try withRegion(order: order) { region, heap in
            try region.store(0x0102_0304_0506_0708, at: 4096)
            #expect(try region.word(at: 4096) == 0x0102_0304_0506_0708)
            let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
            #expect(heap.bytes(4096..<4104) == (order == .big ? bytes : bytes.reversed()))
            try region.setHeader(.head, 77)
            #expect(try region.header(.head) == 77)
            #expect(try region.word(at: 64) == 77)
        }
    }

    @Test func generationIsOddDuringAChangeAndNeverReturns() throws {
        try withRegion { region, _ in
            var seen: Set<UInt64> = [try region.header(.generation)]
            for _ in 0..<3 {
                try region.beginChange()
                #expect(try region.header(.generation) % 2 == 1)
                try region.endChange()
                let generation = try region.header(.generation)
                #expect(generation % 2 == 0)
                #expect(seen.insert(generation).inserted)
            }
            // A writer that died in the middle left it odd; the next change still ends even and greater.
            try region.setHeader(.generation, 9)
            try region.beginChange()
            #expect(try region.header(.generation) == 9)
            try region.endChange()
            #expect(try region.header(.generation) == 10)
        }
    }

    @Test func accessOutsideTheRegionThrows() throws {
        try withRegion { region, _ in
            #expect(throws: MemoryAccessError.unmapped(4 << 20)) { try region.word(at: 4 << 20) }
            #expect(throws: MemoryAccessError.unmapped(4 << 20)) { try region.store(1, at: 4 << 20) }
            #expect(throws: MemoryAccessError.misaligned(12)) { try region.word(at: 12) }
        }
    }
}

struct EventRingTests {
    @Test(arguments: [ByteOrder.little, .big])
    func publishAndRead(order: ByteOrder) throws {
        try withRegion(order: order) { region, _ in
            let ring = EventRing(region)
            for number: UInt64 in 1...5 {
                let operands: [4 of UInt64] = [number, number << 8, 0, .max]
                try ring.publish(
                    RingRecord(
                        sequence: number, kind: number + 100, microseconds: number * 10,
                        publishedMicroseconds: number * 11, operands: operands))
                #expect(try region.header(.eventCount) == number)
            }
            for number: UInt64 in 1...5 {
                let expected = RingRecord(
                    sequence: number,
                    kind: number + 100,
                    microseconds: number * 10,
                    publishedMicroseconds: number * 11,
                    operands: [number, number << 8, 0, .max]
                )
                #expect(try ring.read(number) == .record(expected))
            }
            #expect(try ring.read(6) == .lost)
        }
    }

    @Test func recordsDifferByEachWord() {
        let record = RingRecord(sequence: 1, kind: 2, microseconds: 3, operands: [4, 5, 6, 7])
        var others: [RingRecord] = []
        others.append(RingRecord(sequence: 9, kind: 2, microseconds: 3, operands: [4, 5, 6, 7]))
        others.append(RingRecord(sequence: 1, kind: 9, microseconds: 3, operands: [4, 5, 6, 7]))
        others.append(RingRecord(sequence: 1, kind: 2, microseconds: 9, operands: [4, 5, 6, 7]))
        others.append(
            RingRecord(sequence: 1, kind: 2, microseconds: 3, publishedMicroseconds: 9, operands: [4, 5, 6, 7]))
        for index in 0..<4 {
            var other = record
            other.operands[index] = 9
            others.append(other)
        }
        #expect(record == record)
        for other in others {
            #expect(record != other)
        }
    }

    @Test func theOldestAreOverwritten() throws {
        try withRegion { region, _ in
            let ring = EventRing(region)
            let count = SharedRegionLayout.ringSlotCount + 3
            for number in 1...count {
                try ring.publish(
                    RingRecord(sequence: number, kind: number, microseconds: 0, operands: [0, 0, 0, 0]))
            }
            #expect(try region.header(.eventCount) == count)
            for number: UInt64 in 1...3 {
                #expect(try ring.read(number) == .lost)
            }
            for number: UInt64 in [4, 5, count / 2, count - 1, count] {
                let expected = RingRecord(sequence: number, kind: number, microseconds: 0, operands: [0, 0, 0, 0])
                #expect(try ring.read(number) == .record(expected))
            }
            // Nothing spilled over the ring's ends.
            #expect(try region.word(at: SharedRegionLayout.ringOffset - 8) == 0)
            #expect(try region.word(at: SharedRegionLayout.reportOffset) == 0)
        }
    }

    /// The header counts an event whose slot says something else: a reader sees a gap, not someone else's event.
    @Test(arguments: [0, 1, 2 + SharedRegionLayout.ringSlotCount, .max] as [UInt64])
    func aWrongSequenceNumberIsAGap(number: UInt64) throws {
        try withRegion { region, _ in
            let ring = EventRing(region)
            for kind: UInt64 in 1...3 {
                try ring.publish(RingRecord(sequence: kind, kind: kind, microseconds: 0, operands: [0, 0, 0, 0]))
            }
            let slot = SharedRegionLayout.ringOffset + SharedRegionLayout.ringSlotByteCount
            try region.store(number, at: slot)
            #expect(try ring.read(2) == .lost)
            #expect(try ring.read(1) != .lost)
            #expect(try ring.read(3) != .lost)
        }
    }
}
