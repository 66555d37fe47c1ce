// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import SystemPackage

/// The kernel that runs in a guest, as its own memory describes it.
public struct RunningKernel: Sendable {
    /// The byte order that its VMCOREINFO note is written in.
    public let order: ByteOrder
    /// Where the note stands, and its copies, ascending.
    public let noteAddresses: [PhysicalAddress]
    /// What it says.
    public let info: Vmcoreinfo
    /// Where the kernel keeps its vmemmap bookkeeping.
    public let layout: KernelLayout
    /// Where the addresses of ``Vmcoreinfo/symbolNames`` come from, by symbol.
    public let symbolSources: [String: SymbolSource]

    /// `OSRELEASE=`.
    public var release: String { String(decoding: info.value("OSRELEASE") ?? [], as: UTF8.self) }

    /// Finds the kernel's VMCOREINFO note in the guest's RAM, with no help from the guest.
    ///
    /// The note lies at the start of a page (`alloc_pages_exact`, kernel/crash_core.c). Its header, name, size and
    /// first key are checked, since any program in the guest may hold the same letters. Throws ``RunningKernelError``
    /// when there is none, when two differ, when there are more than ``noteLimit``, or when it lacks a key.
    ///
    /// `image` is the file that the kernel was booted from: what the note lacks of symbols is looked up there.
    public init(in memory: GuestRAM, image: FilePath) throws {
        var found: (info: Vmcoreinfo, order: ByteOrder)?
        var addresses: [PhysicalAddress] = []
        for region in memory.regions {
            for extent in try region.file.dataExtents() {
                for offset in try Self.noteOffsets(in: region.file.words, extent) {
                    let address = PhysicalAddress(region.base.rawValue + offset)
                    guard let note = try Self.note(in: memory, at: address) else { continue }
                    if let found, found.info.text != note.info.text {
                        throw RunningKernelError.notesDiffer(addresses[0], address)
                    }
                    guard addresses.count < Self.noteLimit else {
                        throw RunningKernelError.tooManyNotes(limit: Self.noteLimit)
                    }
                    found = found ?? note
                    addresses.append(address)
                }
            }
        }
        guard let found else { throw RunningKernelError.noNote(searchedByteCount: memory.byteCount) }
        noteAddresses = addresses
        (info, order) = found
        // It is shown to people, so what a terminal would obey is refused.
        guard let release = info.value("OSRELEASE"), !release.isEmpty, release.allSatisfy({ 0x20...0x7e ~= $0 }) else {
            throw RunningKernelError.badKey("OSRELEASE", nil)
        }
        let (symbols, sources) = Self.symbols(of: info, image: image)
        symbolSources = sources
        do {
            layout = try KernelLayout(info.adding(symbols))
        } catch {
            for case (let name, .none(let reason)) in sources where "\(error.key)" == "SYMBOL(\(name))" {
                throw RunningKernelError.noSymbol(name, reason)
            }
            throw RunningKernelError.badKey("\(error.key)", error.value)
        }
    }

    /// Every kernel has it in its note; it holds the release, so it is another build's if it stands elsewhere.
    private static let anchor: StaticString = "init_uts_ns"

    /// The symbols that the note lacks and the image has, and where each one comes from.
    private static func symbols(
        of info: Vmcoreinfo, image path: FilePath
    ) -> (added: [(name: StaticString, address: UInt64)], sources: [String: SymbolSource]) {
        var sources: [String: SymbolSource] = [:]
        let missing = Vmcoreinfo.symbolNames.filter { info.symbol($0) == nil }
        for name in Vmcoreinfo.symbolNames { sources["\(name)"] = .vmcoreinfo }
        guard !missing.isEmpty else { return ([], sources) }

        var addresses: [String: UInt64] = [:]
        var reason = "neither VMCOREINFO nor the kernel's file has it"
        do {
            let found = try KernelImage(path).addresses(of: (missing + [anchor]).map { "\($0)" })
            // A kernel that was moved, or another one's file.
            if let address = info.symbol(anchor), found["\(anchor)"] == address {
                addresses = found
            } else {
                reason = "VMCOREINFO lacks it, and the kernel's file \(path) has \(anchor) at another place"
            }
        } catch {
            reason = "VMCOREINFO lacks it, and \(error)"
        }
        var added: [(name: StaticString, address: UInt64)] = []
        for name in missing {
            guard let address = addresses["\(name)"] else {
                sources["\(name)"] = .none(reason)
                continue
            }
            sources["\(name)"] = .image
            added.append((name, address))
        }
        return (added, sources)
    }

    /// The name field's last eight bytes stand at offset 16 of a note: `REINFO` and two NULs.
    private static let nameTail = ByteOrder.little.value(ofStored: 0x0000_4f46_4e49_4552)
    private static let smallestPageByteCount: UInt64 = 4096

    /// The most copies of a note that are looked at.
    static let noteLimit = 64

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

/// Where a symbol's address comes from.
public enum SymbolSource: Equatable, Sendable, CustomStringConvertible {
    /// The kernel's own notes.
    case vmcoreinfo
    /// The symbol table of the kernel's file.
    case image
    /// Nowhere, and why.
    case none(String)

    /// What a person reads.
    public var description: String {
        switch self {
        case .vmcoreinfo: "VMCOREINFO"
        case .image: "the kernel's file"
        case .none(let reason): "nowhere: \(reason)"
        }
    }
}

/// Why the running kernel cannot be read.
public enum RunningKernelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no VMCOREINFO note in memory.
    case noNote(searchedByteCount: UInt64)
    /// Two notes say different things.
    case notesDiffer(PhysicalAddress, PhysicalAddress)
    /// There are more than so many.
    case tooManyNotes(limit: Int)
    /// A key is missing (nil) or has an impossible value.
    case badKey(String, UInt64?)
    /// Neither the notes nor the kernel's file tell where a variable is, and why.
    case noSymbol(String, String)

    /// What a person reads.
    public var description: String {
        switch self {
        case .noNote(let byteCount): "no VMCOREINFO note in \(byteCount >> 20) MiB of guest memory"
        case .notesDiffer(let first, let second):
            "two VMCOREINFO notes differ: at 0x\(String(first.rawValue, radix: 16)) and 0x\(String(second.rawValue, radix: 16))"
        case .tooManyNotes(let limit): "more than \(limit) VMCOREINFO notes in guest memory"
        case .badKey(let key, let value):
            value.map { "VMCOREINFO has \(key)=\($0), which no ppc64 kernel has" } ?? "VMCOREINFO has no usable \(key)"
        case .noSymbol(let name, let reason): "no address of \(name): \(reason)"
        }
    }
}
