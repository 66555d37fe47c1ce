// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// The kernel that runs in a guest, as its own memory describes it.
public struct RunningKernel: Sendable {
    /// The byte order that its VMCOREINFO note is written in.
    public let order: ByteOrder
    /// Where the note stands.
    public let noteAddress: PhysicalAddress
    /// What it says.
    public let info: Vmcoreinfo
    /// Where the kernel keeps its vmemmap bookkeeping.
    public let layout: KernelLayout

    /// `OSRELEASE=`.
    public var release: String { String(decoding: info.value("OSRELEASE") ?? [], as: UTF8.self) }

    /// Finds the kernel's VMCOREINFO note in the guest's RAM, with no help from the guest.
    ///
    /// The note lies at the start of a page (`alloc_pages_exact`, kernel/crash_core.c). Its header, name, size and
    /// first key are checked, since any program in the guest may hold the same letters. Throws ``RunningKernelError``
    /// when there is none, when two differ, or when it lacks a key.
    public init(in memory: GuestRAM) throws {
        var found: [(address: PhysicalAddress, info: Vmcoreinfo, order: ByteOrder)] = []
        for region in memory.regions {
            for extent in try region.file.dataExtents() {
                for offset in try Self.noteOffsets(in: region.file.words, extent) {
                    let address = PhysicalAddress(region.base.rawValue + offset)
                    let available = min(
                        Vmcoreinfo.maximumNoteByteCount, Int(region.file.words.byteCount - offset))
                    let bytes = try memory.bytes(at: address, byteCount: available)
                    for order in [ByteOrder.little, .big] {
                        guard let info = Vmcoreinfo(note: bytes, order: order) else { continue }
                        found.append((address, info, order))
                    }
                }
            }
        }
        guard let first = found.first else { throw RunningKernelError.noNote(searchedByteCount: memory.byteCount) }
        if let other = found.first(where: { $0.info.text != first.info.text }) {
            throw RunningKernelError.notesDiffer(first.address, other.address)
        }
        (noteAddress, info, order) = first
        // It is shown to people, so what a terminal would obey is refused.
        guard let release = info.value("OSRELEASE"), !release.isEmpty, release.allSatisfy({ 0x20...0x7e ~= $0 }) else {
            throw RunningKernelError.badKey("OSRELEASE", nil)
        }
        do {
            layout = try KernelLayout(info)
        } catch {
            throw RunningKernelError.badKey("\(error.key)", error.value)
        }
    }

    /// The name field's last eight bytes stand at offset 16 of a note: `REINFO` and two NULs.
    private static let nameTail = ByteOrder.little.value(ofStored: 0x0000_4f46_4e49_4552)
    private static let smallestPageByteCount: UInt64 = 4096

    private static func noteOffsets(in words: MappedWords, _ extent: Range<UInt64>) throws -> [UInt64] {
        var offsets: [UInt64] = []
        var offset = extent.lowerBound.alignedDown(to: smallestPageByteCount)
        while offset + smallestPageByteCount <= words.byteCount, offset < extent.upperBound {
            if try words.load(at: offset + 16) == nameTail { offsets.append(offset) }
            offset += smallestPageByteCount
        }
        return offsets
    }
}

/// Why the running kernel cannot be read.
public enum RunningKernelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no VMCOREINFO note in memory.
    case noNote(searchedByteCount: UInt64)
    /// Two notes say different things.
    case notesDiffer(PhysicalAddress, PhysicalAddress)
    /// A key is missing (nil) or has an impossible value.
    case badKey(String, UInt64?)

    /// What a person reads.
    public var description: String {
        switch self {
        case .noNote(let byteCount): "no VMCOREINFO note in \(byteCount >> 20) MiB of guest memory"
        case .notesDiffer(let first, let second):
            "two VMCOREINFO notes differ: at 0x\(String(first.rawValue, radix: 16)) and 0x\(String(second.rawValue, radix: 16))"
        case .badKey(let key, let value):
            value.map { "VMCOREINFO has \(key)=\($0), which no ppc64 kernel has" } ?? "VMCOREINFO has no usable \(key)"
        }
    }
}
