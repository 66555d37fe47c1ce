// SPDX-License-Identifier: Apache-2.0

import Foundation
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
    /// a list and page tables; and the `struct page`s, where they were asked for.
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
    /// Whether all is there that the dump's headers promise, and all is known that says how to read it.
    public let isWhole: Bool
    /// The pages that were asked for, in that order.
    public let pages: [InspectedPage]
    /// What VMCOREINFO tells of `struct page`; nil where there is none, as of a record.
    public let structPageLayout: StructPageLayout?

    /// Reads a dump.
    ///
    /// - Parameters:
    ///   - dump: the dump.
    ///   - note: the kernel's note; it is looked for in the dump if nil.
    ///   - image: the kernel's own file, where it was given: what the note lacks of symbols is looked up there, and where the
    ///     nodes are that the list does not have.
    ///   - frames: the page frame numbers of pages to look at.
    ///   - surveysStructPages: whether the `struct page`s of online memory are looked at, which takes all of the memory map.
    ///   - target: a new file, for what was needed of the dump, which is a dump itself; it has the `struct page`s of those pages.
    /// - Throws: ``InspectionProblem``, `NoteSearchError`, or ``SnapshotProblem``; `Errno` or ``ReducedDumpProblem`` where that
    ///   file cannot be written.
    public init(
        of dump: DumpMemory, note: KernelNote? = nil, image: FilePath? = nil, frames: [UInt64] = [],
        surveyingStructPages surveysStructPages: Bool = false, reducingTo target: FilePath? = nil
    ) throws {
        let note = try note ?? KernelNote(of: dump)
        guard let target else {
            try self.init(reading: dump, note, image, frames, surveysStructPages)
            return
        }
        dump.recordReads()
        try self.init(reading: dump, note, image, frames, surveysStructPages)
        let descriptor = try FileDescriptor.open(
            target, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        do {
            try descriptor.closeAfter { try ReducedDump.write(dump, note: note, to: descriptor) }
        } catch {
            try? FileManager.default.removeItem(atPath: target.string)
            throw error
        }
    }

    private init(
        reading dump: DumpMemory, _ note: KernelNote, _ image: FilePath?, _ frames: [UInt64], _ surveysStructPages: Bool
    ) throws {
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
        guard kernel.layout.sectionSizeBits >= 24 else {
            throw InspectionProblem.sectionSize(bits: kernel.layout.sectionSizeBits)
        }
        let state: KernelState
        do throws(KernelReadError) {
            let memory = KernelMemory(dump, order: kernel.order)
            // Whatever the tables say, memory ends where the last section does.
            let sections = try kernel.presentSections(in: memory, within: ReadingBounds(memoryEnd: Self.memoryEnd))
            kernel.learnMMU(fromMemoryMapAt: sections.first?.vmemmapBase)
            kernel.learnMMU(fromTablesIn: dump)
            let end = sections.last.map { ($0.number + 1) << kernel.layout.sectionSizeBits } ?? 0
            state = try KernelState(
                of: kernel, in: memory,
                within: ReadingBounds(
                    memoryEnd: PhysicalAddress(end), nodeLimit: Self.nodeLimit(of: dump, end),
                    freeNodeLimit: Self.freeNodeLimit, leafLimit: Self.leafLimit))
        } catch {
            throw InspectionProblem.read(error)
        }
        guard state.tables?.hasReachedLimit != true else { throw InspectionProblem.tooManyLeaves }
        let rules = kernel.rules(of: state.memoryMap, hasHadEntries: state.list.head != 0)
        let account: KernelAccount = rules == .radixTables ? .pageTables : .list
        var witnesses: [Witness] = account == .list ? [.kernelList] : [.pageTables]
        if account == .list, kernel.mmu == .radix { witnesses.append(.pageTables) }
        if surveysStructPages { witnesses.append(.structPages) }
        let sections = Self.sections(state, kernel, KernelMemory(dump, order: kernel.order))
        var snapshot = Snapshot(
            witnesses: witnesses, kernel: KernelFacts(kernel, state.memoryMap),
            memory: try Self.memory(of: sections, kernel.layout.sectionSizeBits), sections: sections,
            kernelList: state.list, pageTables: state.tables.map(WalkedTables.init),
            // How long the list has been is not known: no number of node pages is too many.
            peakEntryCount: .max)
        let freeNodes = FreeNodesInDump(state, kernel, dump, hasImage: image != nil)
        snapshot.add(freeNodes.nodes)
        let layout = StructPageLayout(
            note.info, order: kernel.order, byteCount: kernel.layout.structPageByteCount)
        if surveysStructPages {
            let order = kernel.order
            snapshot.structPages = StructPageSurvey.survey(
                snapshot, layout, nodeCount: note.info.decimal("LENGTH(node_data)"), looksAtAll: false,
                judgesFreeLists: false
            ) { address in
                (try? dump.storedWord(at: address)).map(order.value(ofStored:))
            }
        }
        var verdict = Self.judged(try Verifier.verdict(on: snapshot), dump, snapshot)
        if account == .list { verdict.unsaid += freeNodes.unsaid }
        (self.snapshot, self.verdict) = (snapshot, verdict)
        source = dump.format
        memoryByteCount = dump.byteCount
        mmuSource = "\(kernel.mmuSource)"
        unjudged =
            [
                "whether the sections are the machine's memory: nothing but that memory tells of it",
                "whether nodes stand in more pages than they need: how long the list has been is not known",
                "the order of the list and where its nodes are: there is no history",
                "the mirror, the guest's report and the MMU: there is no agent and no machine",
            ]
            + [
                account == .list ? freeNodes.unjudged : nil,
                surveysStructPages
                    ? "whether free pages are where their neighbours on the allocator's list have them: the kernel may have "
                        + "been at work on it" : nil,
                dump.lack, kernel.mmu == .unknown ? "the page tables: nothing says which MMU the kernel used" : nil,
            ].compactMap { $0 }
        isWhole = dump.lack == nil && kernel.mmu != .unknown
        structPageLayout = layout
        pages = Self.pages(frames, layout, snapshot, in: dump)
    }

    /// The present sections, with their sub-sections as far as those of before a hot-add show where these are told.
    private static func sections(
        _ state: KernelState, _ kernel: Kernel, _ memory: KernelMemory<DumpMemory>
    ) -> [PresentSection] {
        let maps = SubsectionMaps(
            learnedFrom: state.sections.filter { $0.flags.contains(.early) }, layout: kernel.layout, in: memory)
        return state.sections.map { section in
            // What a dump lacks is no damage.
            PresentSection(section, subsections: maps?.map(of: section, layout: kernel.layout, in: memory))
        }
    }

    private static func pages(
        _ frames: [UInt64], _ layout: StructPageLayout, _ snapshot: Snapshot, in dump: DumpMemory
    ) -> [InspectedPage] {
        guard !frames.isEmpty else { return [] }
        let index = TranslationIndex(snapshot)
        let sections = Set(snapshot.sections.map(\.number))
        return frames.map { frame in
            let (phys, overflows) = frame.multipliedReportingOverflow(by: snapshot.kernel.pageByteCount)
            return InspectedPage(
                frame: frame, isPresent: !overflows && sections.contains(phys >> snapshot.kernel.sectionSizeBits),
                layout, index, in: dump)
        }
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
        pages = []
        structPageLayout = nil
    }

    /// No POWER machine has memory behind that. A dump may: QEMU's has the memory of devices as well. Of the sections below it a
    /// snapshot takes 16 TiB, and says so where there are more.
    private static let memoryEnd = PhysicalAddress(64 << 40)
    /// 16 TiB have 2^17 leaves where pages have 4 KiB and blocks of 2 MiB map their memory map, and some may be base pages.
    static let leafLimit = 1 << 20

    /// As many nodes as a snapshot's table has rows. What is free may be of memory that is long gone.
    private static let freeNodeLimit = 1 << 22

    /// The present sections as pieces of memory.
    private static func memory(
        of sections: [PresentSection], _ sectionSizeBits: UInt64
    ) throws(InspectionProblem) -> [MemoryRange] {
        var memory = MemoryRanges()
        for section in sections {
            memory.insert(section.number << sectionSizeBits..<(section.number + 1) << sectionSizeBits)
        }
        guard memory.ranges.count <= Snapshot.memoryRangeLimit else {
            throw .tooManyPieces(memory.ranges.count)
        }
        return memory.ranges.enumerated().map { index, range in
            MemoryRange(
                name: "memory \(index + 1)", base: range.lowerBound, byteCount: range.upperBound - range.lowerBound)
        }
    }

    /// No list has more nodes than the dump has room for, nor than its memory needs.
    private static func nodeLimit(of dump: DumpMemory, _ end: UInt64) -> Int {
        min(
            ReadingBounds(memoryEnd: PhysicalAddress(end)).nodeLimit,
            Int(dump.byteCount / VmemmapBacking.byteCount) + 1)
    }

    /// A walk that ends where the dump holds nothing, and the kernel has memory, has met the dump's end and no damage. What it
    /// did not come to is not known.
    private static func judged(_ verdict: Verdict, _ dump: DumpMemory, _ snapshot: Snapshot) -> Verdict {
        func isLacking(_ place: PhysicalAddress?) -> Bool {
            guard let place, !dump.holds(place) else { return false }
            return snapshot.memory.contains { $0.range.contains(place.rawValue) }
        }
        var notInDump: [Finding] = []
        // What is told in another way.
        var told: Set<String> = []
        let link = snapshot.kernelList.endLink
        if snapshot.kernelList.end == .unreadable, isLacking(LinearMap.physical(link)) {
            notInDump.append(
                Finding(.vmcore, .notInDump, "the list leads to node \(link.hexadecimal), which is not in the dump"))
            told.insert(Finding(.list, .linkOutsideMemory, "").name)
        }
        let unreadable = (snapshot.pageTables?.faults ?? []).filter { $0.reason == .unreadable }
        if let first = unreadable.first, unreadable.allSatisfy({ isLacking(PhysicalAddress($0.entry)) }) {
            notInDump.append(
                Finding(
                    .vmcore, .notInDump,
                    "\(unreadable.count) page table entries are not in the dump, the first at \(first.entry.hexadecimal)"
                ))
            told.insert(Finding(.pageTables, .linkOutsideMemory, "").name)
        }
        guard !notInDump.isEmpty else { return verdict }
        var verdict = verdict
        let doubtful: Set<Finding.Fault> = [.hole, .missingEntry, .extraEntry]
        let known = verdict.findings.filter { !doubtful.contains($0.fault) && !told.contains($0.name) }
        let unsaid = Unsaid(
            verdict.account.witness, count: verdict.findings.count - known.count,
            "what the dump lacks leads on to more of the kernel's account")
        verdict.findings = notInDump + known
        verdict.unsaid.append(unsaid)
        return verdict
    }
}

/// Why nothing can be read of a kernel, or not all of it.
public enum InspectionProblem: Error, Sendable, CustomStringConvertible {
    /// It says that its sections are smaller than any ppc64 kernel's (`SECTION_SIZE_BITS`).
    case sectionSize(bits: UInt64)
    /// Its memory is in more pieces than can be told.
    case tooManyPieces(Int)
    /// Its page tables map more of the memory map than there can be.
    case tooManyLeaves
    /// It runs, and no two readings of it in a row were the same.
    case torn(readingCount: Int)
    /// Its note lacks something, or says what no such kernel does.
    case kernel(Kernel.Problem)
    /// Its memory map's bookkeeping is not there.
    case read(KernelReadError)

    /// What a person reads.
    public var description: String {
        switch self {
        case .kernel(let problem): "\(problem)"
        case .sectionSize(let bits): "the kernel's sections have 2^\(bits) bytes; those of ppc64 have 2^24"
        case .tooManyPieces(let count):
            "the kernel's sections are \(count) pieces of memory; \(Snapshot.memoryRangeLimit) are the most"
        case .torn(let count):
            "torn: the kernel's memory map was another in each of \(count) readings; a guest at rest can be read (--pause)"
        case .tooManyLeaves: "the kernel's page tables map the memory map with more than \(Inspection.leafLimit) leaves"
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
