// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
public import KernelState
public import MemoryBackends
public import SystemPackage
public import Verification
import VmemmapPopulate

/// What a kernel's memory says that nobody was asked about: a dump. It is read and judged as a guest's RAM is, without an
/// agent and with nothing of the machine but what the dump holds.
public struct Inspection: Sendable {
    /// What was read, in the form of a run's snapshots: one witness, the kernel's own account; two where a radix kernel keeps
    /// a list and page tables.
    public let snapshot: Snapshot
    /// The verdict on it.
    public let verdict: Verdict
    /// Where the memory comes from, as a person reads it.
    public let source: String
    /// How many bytes of memory there are.
    public let memoryByteCount: UInt64
    /// What says which MMU the kernel uses, as a person reads it.
    public let mmuSource: String
    /// What cannot be judged from here, and why.
    public let unjudged: [String]
    /// Whether all is there that the dump's headers promise.
    public let isWhole: Bool

    /// Reads a dump.
    ///
    /// - Parameters:
    ///   - dump: the dump.
    ///   - image: the kernel's own file, where it was given: what the note lacks of symbols is looked up there.
    /// - Throws: ``InspectionProblem``, `NoteSearchError`, or ``SnapshotProblem``.
    public init(of dump: DumpMemory, image: FilePath? = nil) throws {
        try self.init(of: dump, note: KernelNote(of: dump), image: image)
    }

    /// Reads a dump, and writes what it needed of it as another dump.
    ///
    /// - Parameters:
    ///   - dump: the dump.
    ///   - image: the kernel's own file, where it was given.
    ///   - target: a new file.
    /// - Throws: as ``init(of:image:)``, and `Errno` or ``ReducedDumpProblem`` where that file cannot be written.
    public init(of dump: DumpMemory, image: FilePath? = nil, reducingTo target: FilePath) throws {
        let note = try KernelNote(of: dump)
        dump.recordReads()
        try self.init(of: dump, note: note, image: image)
        let descriptor = try FileDescriptor.open(
            target, .writeOnly, options: [.create, .exclusiveCreate],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        try descriptor.closeAfter { try ReducedDump.write(dump, note: note, to: descriptor) }
    }

    private init(of dump: DumpMemory, note: KernelNote, image: FilePath?) throws {
        var kernel: Kernel
        do throws(Kernel.Problem) {
            if let image {
                kernel = try Kernel(note: note, image: image)
            } else {
                kernel = try Kernel(note: note) { _ in
                    SymbolLookup(
                        addresses: [], reason: Array("VMCOREINFO lacks it; --vmlinux names the kernel's file".utf8))
                }
            }
        } catch {
            throw InspectionProblem.kernel(error)
        }
        kernel.learnMMU(fromTablesIn: dump)
        let state: KernelState
        do throws(KernelReadError) {
            let memory = KernelMemory(dump, order: kernel.order)
            // Whatever the tables say, memory ends where the last section does.
            let sections = try kernel.presentSections(in: memory, within: ReadingBounds(memoryEnd: Self.memoryEnd))
            let end = sections.last.map { ($0.number + 1) << kernel.layout.sectionSizeBits } ?? 0
            state = try KernelState(
                of: kernel, in: memory, within: ReadingBounds(memoryEnd: PhysicalAddress(end)))
        } catch {
            throw InspectionProblem.read(error)
        }
        let rules = kernel.rules(of: state.memoryMap, hasHadEntries: state.list.head != 0)
        let account: KernelAccount = rules == .radixTables ? .pageTables : .list
        var witnesses: [Witness] = account == .list ? [.kernelList] : [.pageTables]
        if account == .list, kernel.mmu == .radix, state.tables != nil { witnesses.append(.pageTables) }
        let sections = state.sections.map(PresentSection.init)
        snapshot = Snapshot(
            witnesses: witnesses, kernel: KernelFacts(kernel, state.memoryMap),
            memory: Self.memory(of: sections, kernel.layout.sectionSizeBits), sections: sections,
            kernelList: state.list, pageTables: state.tables.map(WalkedTables.init),
            peakEntryCount: state.list.entries.count)
        verdict = Self.judged(try Verifier.verdict(on: snapshot), dump, snapshot)
        source = dump.format
        memoryByteCount = dump.byteCount
        mmuSource = "\(kernel.mmuSource)"
        unjudged =
            [
                "whether the sections are the machine's memory: nothing but the dump tells of it",
                "whether nodes stand in more pages than they need: how long the list has been is not known",
                "the order of the list and where its nodes are: there is no history",
                "the mirror, the guest's report and the MMU: there is no agent and no machine",
            ] + (dump.lack.map { [$0] } ?? [])
        isWhole = dump.lack == nil
    }

    /// Takes over what a run has recorded of its guest, with all that its witnesses said.
    public init(of snapshot: Snapshot, source: String) throws(SnapshotProblem) {
        self.snapshot = snapshot
        self.source = source
        verdict = try Verifier.verdict(on: snapshot)
        memoryByteCount = snapshot.memory.reduce(0) { $0 + $1.byteCount }
        mmuSource = "the record"
        unjudged = []
        isWhole = true
    }

    /// No pseries guest has more than 16 TiB.
    private static let memoryEnd = PhysicalAddress(16 << 40)

    /// The present sections as pieces of memory; no more than a snapshot can have, the rest is left out.
    private static func memory(of sections: [PresentSection], _ sectionSizeBits: UInt64) -> [MemoryRange] {
        var memory = MemoryRanges()
        for section in sections {
            memory.insert(section.number << sectionSizeBits..<(section.number + 1) << sectionSizeBits)
        }
        return memory.ranges.prefix(Snapshot.memoryRangeLimit).enumerated().map { index, range in
            MemoryRange(
                name: "memory \(index + 1)", base: range.lowerBound, byteCount: range.upperBound - range.lowerBound)
        }
    }

    /// A walk that ends where the dump holds nothing, and the kernel has memory, has met the dump's end and no damage.
    private static func judged(_ verdict: Verdict, _ dump: DumpMemory, _ snapshot: Snapshot) -> Verdict {
        var verdict = verdict
        let link = snapshot.kernelList.endLink
        guard snapshot.kernelList.end == .unreadable, let place = LinearMap.physical(link), !dump.holds(place),
            snapshot.memory.contains(where: { $0.range.contains(place.rawValue) })
        else { return verdict }
        verdict.findings = verdict.findings.map { finding in
            finding.name == Finding(.list, .linkOutsideMemory, "").name
                ? Finding(.vmcore, .notInDump, "the list leads to node \(link.hexadecimal), which is not in the dump")
                : finding
        }
        return verdict
    }
}

/// Why nothing can be read of a kernel.
public enum InspectionProblem: Error, Sendable, CustomStringConvertible {
    /// Its note lacks something, or says what no such kernel does.
    case kernel(Kernel.Problem)
    /// Its memory map's bookkeeping is not there.
    case read(KernelReadError)

    /// What a person reads.
    public var description: String {
        switch self {
        case .kernel(let problem): "\(problem)"
        case .read(let error):
            "the kernel's \(error.part.text) at \(error.cause.address.hexadecimal) is not in the dump"
        }
    }
}

extension KernelReadError.Part {
    /// What a person reads.
    fileprivate var text: String {
        switch self {
        case .listHead: "vmemmap_list"
        case .sectionTable: "mem_section"
        case .pageSizes: "mmu_psize_defs"
        }
    }
}
