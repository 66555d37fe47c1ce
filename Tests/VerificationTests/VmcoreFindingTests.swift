// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// The dead kernel as a dump-capture kernel reads it, against the one in guest RAM.
@Suite struct VmcoreFindingTests {
    /// A guest that has crashed, and whose dump holds everything.
    private static func crashed(_ alive: Snapshot) -> Snapshot {
        var snapshot = alive
        snapshot.witnesses = Witness.afterCrash(of: alive.witnesses)
        (snapshot.report, snapshot.translations) = (nil, [])
        snapshot.vmcore = VmcoreSnapshot(
            loadCount: 3, dumpByteCount: 2 << 30, list: alive.kernelList,
            pageTables: alive.account == .pageTables ? alive.pageTables : nil,
            sections: alive.sections.map { .init(number: $0.number, isOnline: $0.isOnline) },
            unreachableCount: 0, firstUnreachable: 0)
        return snapshot
    }

    @Test(arguments: [GoodSnapshot.hash, GoodSnapshot.radix, GoodSnapshot.radixTables])
    func goodDumpPasses(_ alive: @Sendable () -> Snapshot) throws {
        let verdict = try Verifier.verdict(on: Self.crashed(alive()))
        #expect(verdict.findings == [])
        #expect(verdict.unsaid == (try Verifier.verdict(on: alive())).unsaid)
        let statement = try #require(verdict.witnesses.first { $0.witness == .vmcore })
        #expect(statement.standing == .agrees)
        #expect(statement.agreeingCount == verdict.entryCount)
    }

    /// What is wrong with a dump, and the findings about it, those of the same name once.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let names: Set<String>
        let base: @Sendable () -> Snapshot
        let make: @Sendable (inout Snapshot) -> Void

        init(
            _ title: String, _ names: Set<String>, of base: @escaping @Sendable () -> Snapshot = GoodSnapshot.hash,
            _ make: @escaping @Sendable (inout Snapshot) -> Void
        ) {
            (testDescription, self.names, self.base, self.make) = (title, names, base, make)
        }
    }

    static let damages: [Damage] = [
        Damage("the list leads out of the dump", ["vmcore-not-in-dump"]) {
            let node = $0.kernelList.entries[20].node
            $0.vmcore?.list = ListWalk(
                head: $0.kernelList.head, entries: Array($0.kernelList.entries.prefix(20)), end: .unreadable,
                endLink: node)
        },
        Damage("the head leads out of the dump", ["vmcore-not-in-dump"]) {
            $0.vmcore?.list = ListWalk(
                head: $0.kernelList.head, entries: [], end: .unreadable, endLink: $0.kernelList.head + 8)
        },
        Damage(
            "a link was damaged as it was read", ["vmcore-not-in-dump", "vmcore-missing-entry", "vmcore-broken-chain"]
        ) {
            $0.vmcore?.list = ListWalk(
                head: $0.kernelList.head, entries: Array($0.kernelList.entries.prefix(20)), end: .unreadable,
                endLink: 0xc000_0fff_0000_0000)
        },
        Damage("blocks are not in the dump", ["vmcore-not-in-dump"]) {
            $0.vmcore?.unreachableCount = 3
            $0.vmcore?.firstUnreachable = 0xc00c_0000_0000_0000
        },
        Damage("another block", ["vmcore-wrong-phys"]) { $0.vmcore?.list.entries[3].phys += 65536 },
        Damage("another node", ["vmcore-broken-chain", "vmcore-other-node"]) {
            $0.vmcore?.list.entries[3].node += 24 * 64
        },
        Damage("an entry short", ["vmcore-broken-chain", "vmcore-missing-entry"]) {
            _ = $0.vmcore?.list.entries.removeLast()
        },
        Damage("another head", ["vmcore-broken-chain", "vmcore-other-node"]) { $0.vmcore?.list.head += 24 },
        Damage("page tables where there is a list", ["vmcore-other-account"]) {
            $0.vmcore?.pageTables = WalkedTables(windows: [], faults: [])
        },
        Damage("a section short", ["vmcore-other-sections"]) { _ = $0.vmcore?.sections.removeLast() },
        Damage("a section too many", ["vmcore-other-sections"]) {
            $0.vmcore?.sections.append(.init(number: 4000, isOnline: true))
        },
        Damage("a section offline", ["vmcore-other-sections"]) { $0.vmcore?.sections[5].isOnline = false },
        Damage("no report", ["vmcore-unreadable"]) {
            $0.vmcore = nil
            $0.vmcoreProblem = "sections-not-in-dump"
        },
        Damage("another leaf", ["vmcore-wrong-phys"], of: GoodSnapshot.radixTables) {
            $0.vmcore?.pageTables?.windows[1].phys += 65536
        },
        Damage("a leaf short", ["vmcore-missing-entry"], of: GoodSnapshot.radixTables) {
            _ = $0.vmcore?.pageTables?.windows.removeLast()
        },
        Damage("a table that the dump lacks", ["vmcore-not-in-dump"], of: GoodSnapshot.radixTables) {
            $0.vmcore?.pageTables?.faults.append(.init(entry: 0x4000_0000, virtAddr: 0, reason: .unreadable, word: nil))
        },
        Damage("a list where there are page tables", ["vmcore-other-account"], of: GoodSnapshot.radixTables) {
            $0.vmcore?.pageTables = nil
        },
    ]

    @Test(arguments: damages) func damageIsFound(_ damage: Damage) throws {
        var snapshot = Self.crashed(damage.base())
        damage.make(&snapshot)
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(Set(verdict.findings.map(\.name)) == damage.names, "\(verdict.findings)")
        #expect(verdict.witnesses.first { $0.witness == .vmcore }?.standing == .contradicts)
    }

    /// Each node that cannot be reached is named, and no other.
    @Test func unreachedNodesAreNamed() throws {
        var snapshot = Self.crashed(GoodSnapshot.hash())
        Self.damages[0].make(&snapshot)
        let messages = try Verifier.verdict(on: snapshot).findings.map(\.message)
        let unreached = snapshot.kernelList.entries.dropFirst(20)
        #expect(messages.count == unreached.count + 1)
        for entry in unreached {
            #expect(messages.count { $0.contains("node 0x\(String(entry.node, radix: 16)) (") } == 1)
        }
    }

    /// A guest that has crashed, and of which no dump-capture kernel tells, has not passed.
    @Test func silentCaptureIsUnsaid() throws {
        var snapshot = Self.crashed(GoodSnapshot.hash())
        snapshot.vmcore = nil
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.unsaid.map(\.witness) == [.vmcore])
        #expect(!verdict.hasPassed)
    }

    /// A dump that nobody asked for is no part of a snapshot.
    @Test func unaskedDumpIsRefused() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.vmcore = Self.crashed(snapshot).vmcore
        #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
    }
}
