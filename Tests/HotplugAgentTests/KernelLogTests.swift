// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestGuests
import Testing

@testable import HotplugAgent

struct KernelLogTests {
    /// A log whose past was read.
    private func open(_ guest: FakeGuest) throws -> KernelLog<FakeGuest> {
        var log = try #require(KernelLog(system: guest))
        #expect(log.readPast { _ in } == 0)
        return log
    }

    private func marker(_ reading: KernelLog<FakeGuest>.Reading) -> (lost: UInt64, marker: UInt64)? {
        switch reading {
        case .record(let record):
            if case .marker(let number) = record.message { return (0, number) }
        case .lost(let count, let record):
            if case .marker(let number) = record.message { return (count, number) }
        case .nothingYet, .failed: break
        }
        return nil
    }

    @Test func thePastComesFirst() throws {
        let guest = FakeGuest()
        guest.log("the newest", priority: 3)
        var log = try #require(KernelLog(system: guest))
        var past: [KernelRecord] = []
        #expect(log.readPast { past.append($0) } == 0)
        #expect(past.map(\.sequence) == Array(0...7))
        #expect(past.last?.text == Array("the newest".utf8))
        #expect(log.next() == .nothingYet)
        #expect(log.write(marker: 7))
        #expect(marker(log.next()).map { $0 == (0, 7) } == true)
        #expect(log.next() == .nothingYet)
    }

    @Test func gapsAreCounted() throws {
        let guest = FakeGuest()
        var log = try open(guest)
        guest.log("qemu-harness sync 1", priority: 15)
        #expect(marker(log.next()).map { $0 == (0, 1) } == true)
        guest.loseRecords(5)
        guest.log("qemu-harness sync 2", priority: 15)
        guest.log("qemu-harness sync 3", priority: 15)
        #expect(marker(log.next()).map { $0 == (5, 2) } == true)
        #expect(marker(log.next()).map { $0 == (0, 3) } == true)
    }

    @Test func overwrittenRecordsAreCounted() throws {
        let guest = FakeGuest()
        var log = try open(guest)
        guest.log("qemu-harness sync 1", priority: 15)
        #expect(marker(log.next()).map { $0 == (0, 1) } == true)
        for _ in 0..<9 { guest.log("x") }
        guest.overwriteLog()
        guest.log("qemu-harness sync 2", priority: 15)
        #expect(marker(log.next()).map { $0 == (9, 2) } == true)
    }

    /// Before the first record there is no number to miss, and still the kernel says that some were overwritten.
    @Test func recordsOverwrittenBeforeTheFirstReadAreALoss() throws {
        let guest = FakeGuest()
        var log = try open(guest)
        for _ in 0..<9 { guest.log("x") }
        guest.overwriteLog()
        guest.log("qemu-harness sync 1", priority: 15)
        let reading = try #require(marker(log.next()))
        #expect(reading.lost > 0)
        #expect(reading.marker == 1)
    }

    @Test func aPastWithoutABeginning() throws {
        let guest = FakeGuest()
        guest.overwriteLog()
        guest.log("x")
        var log = try #require(KernelLog(system: guest))
        var count = 0
        #expect(log.readPast { _ in count += 1 } == 7)
        #expect(count == 1)
    }

    /// The last number there is has none behind it.
    @Test func theLastSequenceNumber() throws {
        let guest = FakeGuest()
        var log = try open(guest)
        guest.log("qemu-harness sync 1", sequence: .max, priority: 15)
        #expect(marker(log.next()).map { $0 == (.max - 7, 1) } == true)
        #expect(log.next() == .nothingYet)
    }

    @Test func noLog() {
        let guest = FakeGuest()
        guest.hasLog = false
        #expect(KernelLog(system: guest) == nil)
        #expect(guest.openCount == 0)
    }
}

struct KcoreTests {
    @Test func wordsAndBytes() throws {
        let guest = FakeGuest()
        guest.memory.store(0x0102_0304_0506_0708, at: 0xc000_0000_0100_fff8)
        guest.memory.store(0x1112_1314_1516_1718, at: 0xc000_0000_0101_0000)
        let kcore = try #require(CoreFile(.running, system: guest))
        #expect(try kcore.word(at: 0xc000_0000_0100_fff8) == 0x0102_0304_0506_0708)
        #expect(try kcore.word(at: 0xc000_0000_0101_0000) == 0x1112_1314_1516_1718)
        #expect(try kcore.word(at: 0xc000_0000_0100_fff8) == 0x0102_0304_0506_0708)
        #expect(try kcore.word(at: 0xc000_0000_3fff_fff8) == 0)
        // Across two pages, which the file gives in two reads.
        #expect(
            kcore.bytes(at: 0xc000_0000_0100_fff8, byteCount: 16)
                == FakeKernelMemory.bytes(of: 0x0102_0304_0506_0708)
                + FakeKernelMemory.bytes(of: 0x1112_1314_1516_1718))
    }

    @Test(
        arguments: [
            0, 0x1000, 0xbfff_ffff_ffff_fff8, 0xc000_0000_4000_0000, 0xc008_0000_0000_1000, 0xc00c_0000_0000_0000,
            .max - 7,
        ] as [UInt64])
    func unmapped(address: UInt64) throws {
        let kcore = try #require(CoreFile(.running, system: FakeGuest()))
        #expect(throws: MemoryAccessError.unmapped(address)) { try kcore.word(at: address) }
        #expect(kcore.bytes(at: address, byteCount: 8) == nil)
        // The same behind a read that filled the buffer.
        _ = try kcore.word(at: FakeKernelMemory.listHead)
        #expect(throws: MemoryAccessError.unmapped(address)) { try kcore.word(at: address) }
    }

    @Test func misaligned() throws {
        let kcore = try #require(CoreFile(.running, system: FakeGuest()))
        #expect(throws: MemoryAccessError.misaligned(0xc000_0000_0000_0004)) {
            try kcore.word(at: 0xc000_0000_0000_0004)
        }
    }

    /// A segment may reach up to the last address. One that claims more is passed over.
    @Test func segmentsAtTheEndOfAllAddresses() throws {
        let guest = FakeGuest()
        guest.memory.otherSegments = [(0x1_0000, .max - 0xfff, 0x1000)]
        guest.memory.store(0x0102_0304_0506_0708, at: 0xc000_0000_0100_0000)
        var kcore = try #require(CoreFile(.running, system: guest))
        #expect(kcore.bytes(at: .max - 7, byteCount: 8) == [UInt8](repeating: 0, count: 8))
        #expect(try kcore.word(at: .max - 7) == 0)
        guest.memory.otherSegments = [
            (0x1_0000, .max - 0xfff, 0x1008), (.max - 0xfff, 0xd000_0000_0000_0000, 0x1008),
            (0x1_0000, 0xd000_0000_0001_0000, 0), (0x1_0000, 0xffff_0000_0000_0000, .max),
        ]
        kcore = try #require(CoreFile(.running, system: guest))
        for address in [.max - 7, 0xd000_0000_0000_1000, 0xd000_0000_0001_0000, 0xffff_0000_0000_0000] as [UInt64] {
            #expect(throws: MemoryAccessError.unmapped(address)) { try kcore.word(at: address) }
            #expect(kcore.bytes(at: address, byteCount: 8) == nil)
        }
        #expect(try kcore.word(at: 0xc000_0000_0100_0000) == 0x0102_0304_0506_0708)
    }

    @Test func bytesEndWithTheSegment() throws {
        let kcore = try #require(CoreFile(.running, system: FakeGuest()))
        #expect(kcore.bytes(at: 0xc000_0000_3fff_fff0, byteCount: 16)?.count == 16)
        #expect(kcore.bytes(at: 0xc000_0000_3fff_fff0, byteCount: 17) == nil)
    }

    @Test func theFileIsClosed() throws {
        let guest = FakeGuest()
        do {
            let kcore = try #require(CoreFile(.running, system: guest))
            #expect(guest.openCount == 1)
            _ = try kcore.word(at: FakeKernelMemory.listHead)
        }
        #expect(guest.openCount == 0)
        guest.memory.magic = [0]
        #expect(CoreFile(.running, system: guest) == nil)
        #expect(guest.openCount == 0)
    }
}
