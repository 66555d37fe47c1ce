// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics
public import KernelState

/// Memory in which a note is looked for.
protocol SearchableMemory: PhysicalMemory {
    /// How many bytes there are.
    var byteCount: UInt64 { get }
    /// The parts of memory that can hold anything but zeros, ascending.
    func dataExtents() throws -> [Range<UInt64>]
    /// Copies bytes out; fewer than asked for, or none, where there are not all of them. `address` is a multiple of 8.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8]
}

extension KernelNote {
    /// Finds the kernel's VMCOREINFO note in the guest's RAM.
    ///
    /// The note lies at the start of a page (`alloc_pages_exact`, kernel/crash_core.c). Its header, name, size and
    /// first key are checked, since any program in the guest may hold the same letters, and a reboot leaves the note of the
    /// kernel before, or half of it, in memory that nobody has written since. Where two differ the guest's word settles it:
    /// `paddr_vmcoreinfo_note()`, in /sys/kernel/vmcoreinfo. Throws ``NoteSearchError`` when there is none, when two differ
    /// and neither stands there, and when there are more than ``searchLimit``.
    public init(foundIn memory: GuestRAM, told: PhysicalAddress? = nil) throws {
        try self.init(searchedIn: memory, told: told)
    }

    /// The note that a dump's file carries; where it carries none, the one in the memory that it holds.
    public init(of dump: DumpMemory) throws {
        guard let note = dump.note else {
            try self.init(searchedIn: dump, told: nil)
            return
        }
        self.init(info: note.info, order: note.order, addresses: [])
    }

    /// Whether it still stands where it was found. A copy that is nobody's note may go, so that one of all places is enough.
    public func stands(in memory: GuestRAM) -> Bool {
        addresses.contains { address in
            guard let note = Self.note(in: memory, at: address) else { return false }
            return note.order == order && note.info.text == info.text
        }
    }

    private init(searchedIn memory: some SearchableMemory, told: PhysicalAddress?) throws {
        var found: [(address: PhysicalAddress, info: Vmcoreinfo, order: ByteOrder)] = []
        for extent in try memory.dataExtents() {
            var position = extent.lowerBound.alignedDown(to: Self.smallestPageByteCount)
            while position < extent.upperBound {
                let address = PhysicalAddress(position)
                position += Self.smallestPageByteCount
                guard let word = try? memory.storedWord(at: PhysicalAddress(address.rawValue + 16)),
                    word == Self.nameTail, let note = Self.note(in: memory, at: address)
                else { continue }
                guard found.count < Self.searchLimit else {
                    throw NoteSearchError.tooManyNotes(limit: Self.searchLimit)
                }
                found.append((address, note.info, note.order))
            }
        }
        guard let first = found.first else { throw NoteSearchError.noNote(searchedByteCount: memory.byteCount) }
        let note = found.first { $0.address == told } ?? first
        let others = found.filter { $0.info.text != note.info.text }
        if let other = others.first, note.address != told {
            throw NoteSearchError.notesDiffer(note.address, other.address)
        }
        self.init(
            info: note.info, order: note.order,
            addresses: found.filter { $0.info.text == note.info.text }.map(\.address))
    }

    /// The name field's last eight bytes stand at offset 16 of a note: `REINFO` and two NULs.
    private static let nameTail = ByteOrder.little.value(ofStored: 0x0000_4f46_4e49_4552)
    private static let smallestPageByteCount: UInt64 = 4096

    /// The most copies of a note that are looked at.
    static let searchLimit = 64

    /// The note at an address, in either byte order. No more is copied than a note's own beginning asks for.
    private static func note(
        in memory: some SearchableMemory, at address: PhysicalAddress
    ) -> (info: Vmcoreinfo, order: ByteOrder)? {
        let beginning = memory.bytes(at: address.rawValue, byteCount: Vmcoreinfo.noteBeginningByteCount)
        for order in [ByteOrder.little, .big] {
            guard let byteCount = Vmcoreinfo.noteByteCount(beginning: beginning, order: order),
                let info = Vmcoreinfo(note: memory.bytes(at: address.rawValue, byteCount: byteCount), order: order)
            else { continue }
            return (info, order)
        }
        return nil
    }
}

/// Why no VMCOREINFO note is found in memory.
public enum NoteSearchError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no VMCOREINFO note in memory.
    case noNote(searchedByteCount: UInt64)
    /// Two notes say different things.
    case notesDiffer(PhysicalAddress, PhysicalAddress)
    /// There are more than so many.
    case tooManyNotes(limit: Int)

    /// What a person reads.
    public var description: String {
        switch self {
        case .noNote(let byteCount): "no VMCOREINFO note in \(byteCount >> 20) MiB of guest memory"
        case .notesDiffer(let first, let second):
            "two VMCOREINFO notes differ: at \(first.rawValue.hexadecimal) and \(second.rawValue.hexadecimal)"
        case .tooManyNotes(let limit): "more than \(limit) VMCOREINFO notes in guest memory"
        }
    }
}
