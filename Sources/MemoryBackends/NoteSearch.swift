// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics
public import KernelState

extension KernelNote {
    /// Finds the kernel's VMCOREINFO note in the guest's RAM, with no help from the guest.
    ///
    /// The note lies at the start of a page (`alloc_pages_exact`, kernel/crash_core.c). Its header, name, size and
    /// first key are checked, since any program in the guest may hold the same letters. Throws ``NoteSearchError`` when
    /// there is none, when two differ, and when there are more than ``searchLimit``.
    public init(foundIn memory: GuestRAM) throws {
        var found: (info: Vmcoreinfo, order: ByteOrder)?
        var addresses: [PhysicalAddress] = []
        for region in memory.regions {
            for extent in try region.file.dataExtents() {
                for offset in try Self.offsets(in: region.file.words, extent) {
                    let address = PhysicalAddress(region.base.rawValue + offset)
                    guard let note = try Self.note(in: memory, at: address) else { continue }
                    if let found, found.info.text != note.info.text {
                        throw NoteSearchError.notesDiffer(addresses[0], address)
                    }
                    guard addresses.count < Self.searchLimit else {
                        throw NoteSearchError.tooManyNotes(limit: Self.searchLimit)
                    }
                    found = found ?? note
                    addresses.append(address)
                }
            }
        }
        guard let found else { throw NoteSearchError.noNote(searchedByteCount: memory.byteCount) }
        self.init(info: found.info, order: found.order, addresses: addresses)
    }

    /// The name field's last eight bytes stand at offset 16 of a note: `REINFO` and two NULs.
    private static let nameTail = ByteOrder.little.value(ofStored: 0x0000_4f46_4e49_4552)
    private static let smallestPageByteCount: UInt64 = 4096

    /// The most copies of a note that are looked at.
    static let searchLimit = 64

    /// The note at an address, in either byte order. No more is copied than a note's own beginning asks for.
    private static func note(
        in memory: GuestRAM, at address: PhysicalAddress
    ) throws -> (info: Vmcoreinfo, order: ByteOrder)? {
        let beginning = try memory.bytes(at: address, byteCount: Vmcoreinfo.noteBeginningByteCount)
        for order in [ByteOrder.little, .big] {
            guard let byteCount = Vmcoreinfo.noteByteCount(beginning: beginning, order: order),
                let region = memory.regions.first(where: { $0.range.contains(address.rawValue) }),
                UInt64(byteCount) <= region.range.upperBound - address.rawValue,
                let info = Vmcoreinfo(note: try memory.bytes(at: address, byteCount: byteCount), order: order)
            else { continue }
            return (info, order)
        }
        return nil
    }

    private static func offsets(in words: MappedWords, _ extent: Range<UInt64>) throws -> [UInt64] {
        var offsets: [UInt64] = []
        var offset = extent.lowerBound.alignedDown(to: smallestPageByteCount)
        while offset + smallestPageByteCount <= words.byteCount, offset < extent.upperBound {
            if try words.load(at: offset + 16) == nameTail { offsets.append(offset) }
            offset += smallestPageByteCount
        }
        return offsets
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
