// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import MemoryBackends
import SystemPackage
import TestSupport
import Testing

@Suite struct NoteSearchTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let sample = SampleVmcoreinfo()
    private static let byteCount = 1 << 20

    /// Guest RAM of 1 MiB at 0 and a DIMM of 1 MiB at 256 MiB, with pieces of bytes in it.
    private func memory(_ pieces: [(offset: Int, bytes: [UInt8])], dimm: [(offset: Int, bytes: [UInt8])] = [])
        throws -> GuestRAM
    {
        func region(_ name: String, _ base: UInt64, _ pieces: [(offset: Int, bytes: [UInt8])]) throws -> GuestRAM.Region
        {
            var content = [UInt8](repeating: 0, count: Self.byteCount)
            for (offset, bytes) in pieces { content.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
            let file = try MappedFile(
                FilePath(try folder.write(content, to: name)), byteCount: UInt64(Self.byteCount))
            return GuestRAM.Region(name: name, base: PhysicalAddress(base), file: file)
        }
        return GuestRAM([try region("boot", 0, pieces), try region("ua-dimm1", 256 << 20, dimm)])
    }

    @Test(arguments: [ByteOrder.little, .big]) func isFoundInEitherByteOrder(order: ByteOrder) throws {
        let note = try KernelNote(foundIn: memory([(0x3000, Self.sample.note(order: order))]))
        #expect(note.order == order)
        #expect(note.addresses == [PhysicalAddress(0x3000)])
        #expect(note.info.text == Self.sample.text)
    }

    /// Each byte of it counts, and a second copy is no damage when it goes.
    @Test(arguments: [ByteOrder.little, .big]) func standsAsLongAsItIsTheSame(order: ByteOrder) throws {
        let bytes = Self.sample.note(order: order)
        let note = try KernelNote(foundIn: memory([(0x3000, bytes), (0x8000, bytes)]))
        #expect(note.stands(in: try memory([(0x3000, bytes)])))
        #expect(note.stands(in: try memory([(0x8000, bytes)])))
        #expect(!note.stands(in: try memory([])))
        #expect(!note.stands(in: try memory([(0x4000, bytes)])))
        #expect(!note.stands(in: GuestRAM([])))
        for offset in [0, 4, 8, 12, 24, bytes.count / 2] {
            var damaged = bytes
            damaged[offset] ^= 1
            #expect(!note.stands(in: try memory([(0x3000, damaged)])), "\(offset)")
        }
    }

    @Test(arguments: [0, 0x1000, 0xff000]) func isFoundOnAnyPage(offset: Int) throws {
        let note = try KernelNote(foundIn: memory([(offset, Self.sample.note(order: .little))]))
        #expect(note.addresses == [PhysicalAddress(UInt64(offset))])
    }

    @Test func isFoundInAPluggedDimm() throws {
        let note = try KernelNote(
            foundIn: memory([], dimm: [(0x2000, Self.sample.note(order: .little))]))
        #expect(note.addresses == [PhysicalAddress(256 << 20 + 0x2000)])
    }

    @Test func copiesOfTheNoteAreTheSameKernel() throws {
        let bytes = Self.sample.note(order: .little)
        let note = try KernelNote(foundIn: memory([(0x5000, bytes), (0x3000, bytes)], dimm: [(0, bytes)]))
        #expect(note.addresses.map(\.rawValue) == [0x3000, 0x5000, 256 << 20])
    }

    @Test func copiesHaveALimit() throws {
        let note = Self.sample.note(order: .little)
        let memory = try memory((0..<65).map { ($0 * 0x1000, note) })
        #expect(throws: NoteSearchError.tooManyNotes(limit: 64)) { try KernelNote(foundIn: memory) }
        #expect("\(NoteSearchError.tooManyNotes(limit: 64))" == "more than 64 VMCOREINFO notes in guest memory")
    }

    @Test func twoKernelsAreAnError() throws {
        let other = Self.sample.replacing("OSRELEASE", with: "6.6.1")
        let memory = try memory(
            [(0x3000, Self.sample.note(order: .little))], dimm: [(0x1000, other.note(order: .little))])
        let error = NoteSearchError.notesDiffer(PhysicalAddress(0x3000), PhysicalAddress(256 << 20 + 0x1000))
        #expect(throws: error) { try KernelNote(foundIn: memory) }
        #expect("\(error)" == "two VMCOREINFO notes differ: at 0x3000 and 0x10001000")
    }

    /// After a reboot the note of the kernel before may stand in memory that nobody has written since.
    @Test func theGuestSaysWhichOfTwoIsItsOwn() throws {
        let (bytes, other) = (
            Self.sample.note(order: .little), Self.sample.replacing("OSRELEASE", with: "6.6.1").note(order: .little)
        )
        let memory = try memory([(0x3000, other), (0x5000, bytes), (0x6000, bytes)], dimm: [(0x1000, other)])
        let note = try KernelNote(foundIn: memory, told: PhysicalAddress(0x5000))
        #expect(note.addresses.map(\.rawValue) == [0x5000, 0x6000])
        #expect(note.info.text == Self.sample.text)
        // Where none stands, nothing is settled.
        let error = NoteSearchError.notesDiffer(PhysicalAddress(0x3000), PhysicalAddress(0x5000))
        #expect(throws: error) { try KernelNote(foundIn: memory, told: PhysicalAddress(0x4000)) }
    }

    /// What a program in the guest may hold: none of it is the kernel's note.
    static let decoys: [(String, offset: Int, bytes: [UInt8])] = {
        let note = sample.note(order: .little)
        func changed(_ index: Int, _ bytes: [UInt8]) -> [UInt8] {
            var copy = note
            copy.replaceSubrange(index..<index + bytes.count, with: bytes)
            return copy
        }
        return [
            ("at no page's start", 0x3010, note),
            ("the name alone", 0x3000, Array("VMCOREINFO\0\0".utf8)),
            ("the name's end alone", 0x3010, Array("REINFO\0\0".utf8)),
            ("the text alone", 0x3000, sample.text),
            ("a name size of 12", 0x3000, changed(0, [12, 0, 0, 0])),
            ("a name that begins otherwise", 0x3000, changed(12, Array("XMCO".utf8))),
            ("another type", 0x3000, changed(8, [1, 0, 0, 0])),
            ("a size of nothing", 0x3000, changed(4, [0, 0, 0, 0])),
            ("a size beyond the largest", 0x3000, changed(4, [1, 0, 1, 0])),
            ("the largest size there is", 0x3000, changed(4, [255, 255, 255, 255])),
            ("a size beyond memory's end", 0xff000, changed(4, [0, 0x20, 0, 0])),
            ("another first key", 0x3000, changed(24, Array("PAGE".utf8))),
        ]
    }()

    @Test(arguments: decoys) func isNotTakenInByDecoys(title: String, offset: Int, bytes: [UInt8]) throws {
        let decoyOnly = try memory([(offset, bytes)])
        #expect(throws: NoteSearchError.noNote(searchedByteCount: 2 << 20)) {
            try KernelNote(foundIn: decoyOnly)
        }
        let note = try KernelNote(
            foundIn: memory([(offset, bytes)], dimm: [(0, Self.sample.note(order: .little))]))
        #expect(note.addresses == [PhysicalAddress(256 << 20)])
    }

    @Test func emptyMemoryHasNoKernel() throws {
        #expect(throws: NoteSearchError.noNote(searchedByteCount: 0)) {
            try KernelNote(foundIn: GuestRAM([]))
        }
        #expect(
            "\(NoteSearchError.noNote(searchedByteCount: 2 << 20))" == "no VMCOREINFO note in 2 MiB of guest memory")
    }
}
