// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// A kernel that died while it added the DIMM: what is not there yet is unsaid, and nothing else is excused.
@Suite struct InterruptedAddTests {
    /// All of the DIMM's memory map is there, and the sections of its first half.
    private static func interrupted(_ alive: Snapshot) -> Snapshot {
        var snapshot = alive
        snapshot.witnesses = Witness.afterCrash(of: alive.witnesses)
        (snapshot.report, snapshot.translations) = (nil, [])
        snapshot.interruptedAdd = alive.memory[1]
        snapshot.sections.removeLast(32)
        snapshot.vmcore = VmcoreSnapshot(
            loadCount: 3, dumpByteCount: 2 << 30, list: alive.kernelList, pageTables: nil,
            sections: snapshot.sections.map { .init(number: $0.number, isOnline: $0.isOnline) }, unreachableCount: 0,
            firstUnreachable: 0)
        return snapshot
    }

    /// How the mirror's agent died, and how many entries it leaves unsaid beside the header.
    @Test(arguments: [0, 1, 16])
    func whatIsNotThereYetIsUnsaid(unseenCount: Int) throws {
        var snapshot = Self.interrupted(GoodSnapshot.hash())
        snapshot.mirror?.change { $0.removeFirst(unseenCount) }
        // Nobody has told of what came last.
        let generation = SharedRegionLayout.Field.allCases.firstIndex(of: .generation)
        snapshot.mirror?.header[try #require(generation)].value |= 1
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(!verdict.hasPassed)
        let unsaid = Dictionary(grouping: verdict.unsaid, by: \.witness).mapValues { $0.reduce(0) { $0 + $1.count } }
        #expect(unsaid == [.mirror: unseenCount + 1, .model: 32])
        #expect(verdict.witnesses.first { $0.witness == .vmcore }?.standing == .agrees)
        let progress = try #require(snapshot.interruptedAddProgress)
        #expect(progress == (32, 64))
    }

    /// On radix a block goes onto the list before it is mapped.
    @Test func aBlockOnTheListMayNotBeMapped() throws {
        var snapshot = Self.interrupted(GoodSnapshot.radix())
        snapshot.pageTables?.windows.removeLast()
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.unsaid.first { $0.witness == .pageTables }?.count == 1)
        snapshot.interruptedAdd = nil
        #expect(try Verifier.verdict(on: snapshot).findings.contains { $0.name == "page-tables-missing-entry" })
    }

    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let names: Set<String>
        let make: @Sendable (inout Snapshot) -> Void
    }

    @Test(arguments: [
        Damage(testDescription: "the mirror lacks a block of the boot memory", names: ["mirror-missing-entry"]) {
            $0.mirror?.change { $0.removeLast() }
        },
        Damage(testDescription: "the mirror has another block of the DIMM", names: ["mirror-wrong-phys"]) {
            $0.mirror?.list.entries[0].phys += 65536
        },
        Damage(testDescription: "a section of the DIMM without a block", names: ["list-coverage-hole"]) {
            let index = $0.kernelList.entries.count - 1 - 18
            $0.kernelList.change { $0.remove(at: index) }
            $0.vmcore?.list = $0.kernelList
            $0.mirror?.change { $0.remove(at: index) }
        },
        Damage(
            testDescription: "a section of the boot memory that is gone",
            names: ["sections-memory-without-section", "list-phys-outside-memory"]
        ) {
            let gone = $0.kernelList.entries[0].phys >> 24
            $0.sections.removeAll { $0.number == gone }
            $0.vmcore?.sections.removeAll { $0.number == gone }
        },
        Damage(testDescription: "the dump has another block", names: ["vmcore-wrong-phys"]) {
            $0.vmcore?.list.entries[0].phys += 65536
        },
        Damage(testDescription: "an entry that describes nothing", names: ["list-stale-entry", "vmcore-missing-entry"])
        {
            $0.kernelList.entries[0].virtAddr += 64 << 20
            $0.mirror?.list.entries[0].virtAddr += 64 << 20
        },
    ])
    func nothingElseIsExcused(_ damage: Damage) throws {
        var snapshot = Self.interrupted(GoodSnapshot.hash())
        damage.make(&snapshot)
        let names = Set(try Verifier.verdict(on: snapshot).findings.map(\.name))
        #expect(names.isSuperset(of: damage.names), "\(names)")
    }

    /// It would excuse what it names in a guest that runs, or memory that the machine has not.
    @Test func itIsADIMMOfADeadKernel() throws {
        var running = GoodSnapshot.hash()
        running.interruptedAdd = running.memory[1]
        var boot = Self.interrupted(GoodSnapshot.hash())
        boot.interruptedAdd = boot.memory[0]
        var larger = Self.interrupted(GoodSnapshot.hash())
        larger.interruptedAdd?.byteCount *= 2
        for snapshot in [running, boot, larger] {
            let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
            #expect(problem?.field == "interruptedAdd")
        }
    }
}
