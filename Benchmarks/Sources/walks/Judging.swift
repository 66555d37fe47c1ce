// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Verification
import VmemmapPopulate

/// What a verdict takes for each entry of a 4K hash kernel's list, when mirror, report, MMU and model say the same.
enum Judging {
    /// The blocks stand behind what the emulator's node pages take.
    private static let blockOffset: UInt64 = 1 << 30

    /// Prints what was measured; whether it is good enough.
    static func measure(_ memory: UInt64) throws -> Bool {
        let snapshot = try snapshot(memory)
        let count = snapshot.kernelList.entries.count
        let clock = ContinuousClock()
        var times: [Duration] = []
        for _ in 0..<(count > 1 << 17 ? 5 : 31) {
            var verdict: Verdict?
            times.append(try clock.measure { verdict = try Verifier.verdict(on: snapshot) })
            guard let verdict, verdict.hasPassed, verdict.coveredSectionCount == snapshot.sections.count,
                verdict.witnesses.allSatisfy({ $0.agreeingCount == count })
            else {
                for finding in verdict?.findings.prefix(3) ?? [] { print("\(finding.name): \(finding.message)") }
                throw Walks.Failure()
            }
        }
        let each = Walks.median(times) / .microseconds(1) / Double(count)
        print("\(Walks.padded("verdict")) \(count): \(Walks.decimal(each)) µs an entry, \(Walks.median(times))")
        if each > Walks.judgingLimit { print("more than \(Walks.judgingLimit)") }
        return each <= Walks.judgingLimit
    }

    private static func snapshot(_ memory: UInt64) throws -> Snapshot {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        let emulator = try VmemmapEmulator(layout: layout, bootMemory: [0..<memory])
        let state = emulator.list.state
        var list = ListWalk(
            head: state.head, in: emulator.list.store, pageByteCount: 4096, limit: Int(state.liveCount))
        for index in list.entries.indices { list.entries[index].phys += blockOffset }
        let boot = MemoryRange(name: "boot", base: 0, byteCount: memory)
        let kernel = KernelFacts(
            release: "emulated", isBigEndian: false, pageByteCount: 4096, sectionSizeBits: 24, structPageByteCount: 64,
            vmemmapPageShift: 12, vmemmapBase: layout.geometry.vmemmapBase, mmu: .hash)
        var snapshot = Snapshot(
            witnesses: Witness.given(by: .list, .hash), kernel: kernel, memory: [boot],
            sections: (0..<memory >> 24).map {
                PresentSection(number: $0, vmemmapBase: kernel.vmemmapBase, isOnline: true)
            },
            kernelList: list, peakEntryCount: list.entries.count, mirror: try mirror(of: list, kernel, memory),
            report: ReportSnapshot(
                list: list, blockByteCount: 256 << 20,
                blocks: (0..<memory >> 28).map { .init(index: $0, state: "online") }),
            history: HotplugHistory(bootMemory: [boot]))
        var readBack = ReadBack(nonce: 0, stamped: [], runs: [], isCutShort: false)
        for entry in list.entries.reversed() { readBack.note(virtAddr: entry.virtAddr, phys: entry.phys) }
        readBack.stamped = readBack.runs.map { .init(base: $0.phys, byteCount: $0.byteCount) }
        snapshot.readBack = readBack
        return snapshot
    }

    /// The same list in a shared region, under the header that an agent writes.
    private static func mirror(of list: ListWalk, _ kernel: KernelFacts, _ memory: UInt64) throws -> MirrorSnapshot {
        let region = try SharedRegionLayout(
            regionByteCount: SharedRegionLayout.regionByteCount(maximumMemoryByteCount: memory), pageByteCount: 4096)
        func moved(_ node: UInt64) -> UInt64 { node == 0 ? 0 : node - LinearMap.base + region.nodesOffset }
        let mirrored = ListWalk(
            head: moved(list.head),
            entries: list.entries.map {
                ListEntry(node: moved($0.node), list: moved($0.list), phys: $0.phys, virtAddr: $0.virtAddr)
            },
            end: .terminated, endLink: 0)
        let count = UInt64(list.entries.count)
        let pageCount = (count + region.nodesPerPage - 1) / region.nodesPerPage
        var values: [SharedRegionLayout.Field: UInt64] = [
            .magic: SharedRegionLayout.magic, .state: AgentState.ready.rawValue, .epoch: 1,
            .vmemmapBase: kernel.vmemmapBase, .head: mirrored.head, .liveCount: count, .nodePagesUsed: pageCount,
            .nodesLeft: pageCount * region.nodesPerPage - count, .mmu: MMU.hash.rawValue, .vmemmapPageShift: 12,
            .eventSource: EventSource.kprobes.rawValue,
        ]
        for (field, value) in region.fixedFields() { values[field] = value }
        let release = Array(kernel.release.utf8)
        let words = (0..<SharedRegionLayout.releaseByteCount / 8).map { index in
            release.dropFirst(Int(index) * 8).prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        return MirrorSnapshot(
            header: SharedRegionLayout.Field.allCases.map { .init(field: "\($0)", value: values[$0] ?? 0) }
                + words.enumerated().map { .init(field: "release[\($0)]", value: $1) },
            statements: MirrorSnapshot.statedFields.map {
                .init(field: "\($0)", value: values[$0] ?? 0, source: "the agent")
            },
            list: mirrored, provenance: list.entries.map { _ in .seeded })
    }
}
