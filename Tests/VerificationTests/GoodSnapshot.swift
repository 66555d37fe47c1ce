// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// Snapshots of guests in which nothing is wrong, and the ways to change them.
enum GoodSnapshot {
    static let nodePage: UInt64 = 0xc000_0000_0200_0000
    /// The shared region of a guest with 64 KiB pages.
    static let region = Result { try SharedRegionLayout(regionByteCount: 4 << 20, pageByteCount: 65536) }
    static var mirrorPage: UInt64 { (try? region.get().nodesOffset) ?? 0 }
    /// Where the blocks behind the memory map begin.
    static let firstBlock: UInt64 = 0x2000_0000

    private static let gibibyte: UInt64 = 1 << 30
    private static let blockByteCount: UInt64 = 256 << 20

    /// 1 GiB at boot and a DIMM of 1 GiB on a hash kernel with 64 KiB pages and 64 KiB vmemmap pages: 32 entries.
    static func hash() -> Snapshot {
        snapshot(mmu: .hash, vmemmapPageShift: 16, plugged: gibibyte)
    }

    /// The same with 4 KiB vmemmap pages, four for each section: 512 entries.
    static func hashOfSmallWindows() -> Snapshot {
        snapshot(mmu: .hash, vmemmapPageShift: 12, plugged: gibibyte)
    }

    /// 1 GiB at boot and a DIMM of 4 GiB on a radix kernel before 6.6, with 2 MiB vmemmap pages: three entries, the last
    /// of which reaches past the end of memory.
    static func radix() -> Snapshot {
        snapshot(mmu: .radix, vmemmapPageShift: 21, plugged: 4 * gibibyte)
    }

    /// The same guest on 6.6 or later: nothing is on the list, and nobody looked into the page tables.
    static func emptyRadix() -> Snapshot {
        var snapshot = radix()
        snapshot.witnesses = Witness.given(by: .pageTables, .radix)
        snapshot.kernel.vmemmapPageShift = 12
        snapshot.mirror?.set(.vmemmapPageShift, 12)
        if let index = snapshot.mirror?.statements.firstIndex(where: { $0.field == "vmemmapPageShift" }) {
            snapshot.mirror?.statements[index].value = 12
        }
        snapshot.peakEntryCount = 0
        snapshot.pageTables = nil
        snapshot.clearLists()
        return snapshot
    }

    /// The same guest with its page tables, which mirror, report and MMU know as well: a block for the first 2 MiB, then a
    /// table of base pages, then a block that reaches past the end of memory.
    static func radixTables() -> Snapshot {
        var snapshot = emptyRadix()
        let base = snapshot.kernel.vmemmapBase
        let block: UInt64 = 2 << 20
        let entries: UInt64 = 0x3fee_0000
        let pages = (0..<32).map { index in
            BackedWindow(
                place: entries + 0x1000 + index * 8, virtAddr: base + block + index << 16,
                phys: firstBlock + 4 * block + index << 17, byteCount: 65536)
        }
        let tables = WalkedTables(
            windows: [BackedWindow(place: entries, virtAddr: base, phys: firstBlock, byteCount: block)] + pages + [
                BackedWindow(
                    place: entries + 16, virtAddr: base + 2 * block, phys: firstBlock + block, byteCount: block)
            ], faults: [])
        snapshot.pageTables = tables
        snapshot.report?.pageTables = tables
        snapshot.mirror?.change { entries in
            entries = tables.windows.reversed().map {
                ListEntry(node: 0, list: 0, phys: $0.phys, virtAddr: $0.virtAddr)
            }
        }
        snapshot.mirror?.leafByteCounts = tables.windows.map(\.byteCount).reversed()
        snapshot.translateAll()
        return snapshot
    }

    private static func snapshot(mmu: MMU, vmemmapPageShift: UInt64, plugged: UInt64) -> Snapshot {
        let kernel = KernelFacts(
            release: "6.1.0-37-powerpc64le", isBigEndian: false, pageByteCount: 65536, sectionSizeBits: 24,
            structPageByteCount: 64, vmemmapPageShift: vmemmapPageShift, vmemmapBase: 0xc00c_0000_0000_0000, mmu: mmu)
        let end = gibibyte + plugged
        let windowByteCount: UInt64 = 1 << vmemmapPageShift
        let mapByteCount = end / 65536 * 64
        let entryCount = (mapByteCount + windowByteCount - 1) / windowByteCount
        func list(nodePage: UInt64) -> ListWalk {
            let oldestFirst = (0..<entryCount).map { index in
                ListEntry(
                    node: nodePage + index * 24, list: index == 0 ? 0 : nodePage + (index - 1) * 24,
                    phys: firstBlock + index * windowByteCount, virtAddr: kernel.vmemmapBase + index * windowByteCount)
            }
            return ListWalk(
                head: oldestFirst.last?.node ?? 0, entries: oldestFirst.reversed(), end: .terminated, endLink: 0)
        }
        var snapshot = Snapshot(
            witnesses: Witness.given(by: .list, mmu), kernel: kernel,
            memory: [
                MemoryRange(name: "boot", base: 0, byteCount: gibibyte),
                MemoryRange(name: "ua-dimm1", base: gibibyte, byteCount: plugged),
            ],
            sections: (0..<end >> 24).map {
                PresentSection(
                    number: $0, vmemmapBase: kernel.vmemmapBase, isOnline: true, flags: $0 < gibibyte >> 24 ? 0xf : 0x7,
                    subsections: 0xff)
            },
            kernelList: list(nodePage: nodePage), peakEntryCount: Int(entryCount),
            mirror: MirrorSnapshot(
                header: header(kernel), statements: MirrorSnapshot.statedFields.map { statement($0, kernel) },
                list: list(nodePage: mirrorPage),
                provenance: (0..<entryCount).map { $0 < entryCount / 2 ? .observed : .seeded }),
            report: ReportSnapshot(
                list: list(nodePage: nodePage), blockByteCount: blockByteCount,
                blocks: (0..<end / blockByteCount).map { .init(index: $0, state: "online") }),
            history: HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)]))
        snapshot.history?.note(.added, gibibyte..<end)
        snapshot.mirror?.change { _ in }
        if mmu == .radix {
            let windows = snapshot.kernelList.entries.reversed().enumerated().map { index, entry in
                BackedWindow(
                    place: 0x3fee_0000 + UInt64(index) * 8, virtAddr: entry.virtAddr, phys: entry.phys,
                    byteCount: windowByteCount)
            }
            snapshot.pageTables = WalkedTables(windows: windows, faults: [])
        }
        snapshot.translateAll()
        return snapshot
    }
}

extension GoodSnapshot {
    /// What the agent's hello and its answer to `sync` say, and the harness of its file.
    private static func statement(
        _ field: SharedRegionLayout.Field, _ kernel: KernelFacts
    ) -> MirrorSnapshot.Statement {
        let value: UInt64 =
            switch field {
            case .regionByteCount: 4 << 20
            case .eventCount: 7
            case .mmu: kernel.mmu == .radix ? 2 : 1
            case .vmemmapPageShift: kernel.vmemmapPageShift ?? 0
            case .eventSource: EventSource.kprobes.rawValue
            default: 0
            }
        return .init(field: "\(field)", value: value, source: "the agent")
    }

    private static func header(_ kernel: KernelFacts) -> [MirrorSnapshot.HeaderWord] {
        let fixed = Dictionary(
            uniqueKeysWithValues: ((try? region.get().fixedFields()) ?? []).map { ($0.field, $0.value) })
        let words = SharedRegionLayout.Field.allCases.map { field in
            let value: UInt64 =
                switch field {
                case .magic: SharedRegionLayout.magic
                case .generation: 4
                case .state: AgentState.ready.rawValue
                case .epoch: 1
                case .vmemmapBase: kernel.vmemmapBase
                default: fixed[field] ?? statement(field, kernel).value
                }
            return MirrorSnapshot.HeaderWord(field: "\(field)", value: value)
        }
        let release = Array(kernel.release.utf8)
        return words
            + (0..<9).map { index in
                let bytes = release.dropFirst(index * 8).prefix(8)
                return .init(
                    field: "release[\(index)]", value: bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
            }
    }
}

extension ListWalk {
    /// Gives the head and each link what leads to the next node.
    mutating func relink() {
        guard end == .terminated else { return }
        head = entries.first?.node ?? 0
        for index in entries.indices { entries[index].list = index + 1 < entries.count ? entries[index + 1].node : 0 }
    }

    /// Changes the entries, and nothing of what is true of the links between them.
    mutating func change(_ change: (inout [ListEntry]) -> Void) {
        change(&entries)
        relink()
    }
}

extension MirrorSnapshot {
    /// Changes the entries as the agent would: each in the node that is next, and the header says how many there are.
    mutating func change(_ change: (inout [ListEntry]) -> Void) {
        change(&list.entries)
        for index in list.entries.indices {
            list.entries[index].node = GoodSnapshot.mirrorPage + UInt64(list.entries.count - 1 - index) * 24
        }
        list.relink()
        // The memory map's first MiB describes the GiB of boot memory.
        provenance = list.entries.map { $0.virtAddr &- 0xc00c_0000_0000_0000 < 1 << 20 ? .seeded : .observed }
        let count = UInt64(list.entries.count)
        let pages = (count + 2729) / 2730
        for (field, value) in [
            (SharedRegionLayout.Field.head, list.head), (.liveCount, count), (.nodePagesUsed, pages),
            (.nodesLeft, pages * 2730 - count),
        ] { set(field, value) }
        if let index = statements.firstIndex(where: { $0.field == "head" }) { statements[index].value = list.head }
    }

    /// Sets a word of the header.
    mutating func set(_ field: SharedRegionLayout.Field, _ value: UInt64) {
        header[Int(field.rawValue)].value = value
    }
}

extension Snapshot {
    /// Changes the list itself: in the kernel, and so in all accounts of it and in the MMU. Only the model would see it,
    /// so it is not asked.
    mutating func changeList(_ change: (inout ListWalk) -> Void) {
        history = nil
        if account == .list { pageTables = nil }
        change(&kernelList)
        kernelList.relink()
        if var mirror {
            change(&mirror.list)
            mirror.change { _ in }
            mirror.provenance = mirror.list.entries.map { _ in .seeded }
            self.mirror = mirror
        }
        if var report {
            change(&report.list)
            report.list.relink()
            self.report = report
        }
        translateAll()
    }

    /// Empties the list in all accounts of it.
    mutating func clearLists() {
        changeList { $0 = ListWalk(head: 0, entries: [], end: .terminated, endLink: 0) }
    }

    /// Has the MMU translate as the kernel's account says.
    mutating func translateAll() {
        var asked: Set<UInt64> = []
        translations = accountEntries.filter { asked.insert($0.virtAddr).inserted }.flatMap { entry in
            MMUQuestions.offsets(windowByteCount: entry.byteCount).map {
                Translation(virtAddr: entry.virtAddr &+ $0, answer: .physical(entry.phys &+ $0))
            }
        }
    }

    /// Takes sections away.
    mutating func removeSections(_ numbers: Range<UInt64>) {
        sections.removeAll { numbers.contains($0.number) }
    }

    /// Takes sections offline.
    mutating func takeOffline(_ numbers: Range<UInt64>) {
        for index in sections.indices where numbers.contains(sections[index].number) {
            sections[index].isOnline = false
            sections[index].flags = sections[index].flags.map { $0 & ~SectionFlags.online.rawValue }
        }
    }
}

/// One change to a good snapshot, and the names of the findings that follow, each as often as it is found.
struct Change: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let names: [String]
    let base: @Sendable () -> Snapshot
    let change: @Sendable (inout Snapshot) -> Void

    init(
        _ title: String, _ names: [String], of base: @escaping @Sendable () -> Snapshot = GoodSnapshot.hash,
        _ change: @escaping @Sendable (inout Snapshot) -> Void
    ) {
        testDescription = title
        self.names = names
        self.base = base
        self.change = change
    }

    func snapshot() -> Snapshot {
        var snapshot = base()
        change(&snapshot)
        return snapshot
    }
}
