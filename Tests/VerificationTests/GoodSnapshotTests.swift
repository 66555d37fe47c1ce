// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

@Suite struct GoodSnapshotTests {
    @Test(arguments: [(GoodSnapshot.hash(), 32, 128), (GoodSnapshot.radix(), 3, 320)])
    func passes(snapshot: Snapshot, entryCount: Int, sectionCount: Int) throws {
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.hasPassed)
        #expect(verdict.entryCount == entryCount)
        #expect(verdict.sectionCount == sectionCount)
        #expect(verdict.coveredSectionCount == sectionCount)
        // The window that boot memory shares with what came was there when the agent began.
        let seededCount = snapshot.kernel.mmu == .radix ? 1 : entryCount / 2
        #expect(verdict.provenance == [.observed: entryCount - seededCount, .seeded: seededCount])
        #expect(verdict.account == .list)
        let tables: [Witness] = snapshot.kernel.mmu == .radix ? [.pageTables] : []
        #expect(verdict.witnesses.map(\.witness) == [.kernelList] + tables + [.mirror, .report, .mmu, .model])
        for statement in verdict.witnesses {
            #expect(statement.standing == .agrees)
            #expect(statement.agreeingCount == entryCount)
            #expect(statement.unsaidCount == 0)
        }
    }

    /// What an emulator writes: nobody else is there, and nobody else is expected.
    @Test func passesOnTheListAlone() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.witnesses = [.kernelList]
        snapshot.mirror = nil
        snapshot.report = nil
        snapshot.translations = []
        snapshot.history = nil
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.hasPassed)
        #expect(verdict.witnesses.map(\.standing) == [.agrees, .absent, .absent, .absent, .absent])
        #expect(verdict.provenance == [:])
    }

    /// Page tables are the account where there is no list, and the verdict says so.
    @Test func passesOnPageTables() throws {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.witnesses.removeAll { $0 == .model }
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.hasPassed)
        #expect(verdict.account == .pageTables)
        #expect(verdict.entryCount == 34)
        #expect(verdict.coveredSectionCount == 320)
        #expect(
            verdict.witnesses.prefix(5).map(\.standing) == [.cannotSay, .agrees, .agrees, .agrees, .agrees])
        #expect(verdict.witnesses.prefix(5).map(\.agreeingCount) == [0, 34, 34, 34, 34])
    }

    /// Neither an empty list nor the agreement of all others makes up for page tables that nobody read.
    @Test func anEmptyListOnRadixSaysNothing() throws {
        var snapshot = GoodSnapshot.emptyRadix()
        snapshot.report = nil
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.account == .pageTables)
        #expect(
            verdict.unsaid.first == Unsaid(.pageTables, count: 0, "the kernel does not say where its page tables are"))
        #expect(!verdict.hasPassed)
        #expect(verdict.coveredSectionCount == 0)
        #expect(verdict.witnesses.first?.standing == .cannotSay)
    }

    @Test func anUnreadablePageSizeLeavesTheListUnjudged() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.kernel.vmemmapPageShift = nil
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(!verdict.hasPassed)
        #expect(verdict.witnesses.first?.standing == .cannotSay)
        // What is wrong without any page size stays wrong.
        snapshot.kernelList.end = .cycle
        snapshot.kernelList.endLink = GoodSnapshot.nodePage
        snapshot.kernelList.entries[31].list = GoodSnapshot.nodePage
        snapshot.report = nil
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["list-cycle"])
        snapshot.clearLists()
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["list-empty"])
    }

    @Test func offlineMemoryIsPresent() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.takeOffline(64..<80)
        snapshot.report?.blocks[4].state = "offline"
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.hasPassed)
        #expect(verdict.coveredSectionCount == 128)
    }

    @Test func blocksInTransitionAreNotHeldAgainstTheSections() throws {
        for state in ["going-offline", "unknown"] {
            for onlineEnd: UInt64 in [64, 72, 80] {
                var snapshot = GoodSnapshot.hash()
                snapshot.takeOffline(64..<onlineEnd)
                snapshot.report?.blocks[4].state = state
                #expect(try Verifier.verdict(on: snapshot).hasPassed)
            }
        }
    }

    @Test func aPieceSmallerThanASectionHasNone() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.memory.append(MemoryRange(name: "nvdimm", base: 4 << 30, byteCount: (16 << 20) - 1))
        #expect(try Verifier.verdict(on: snapshot).hasPassed)
    }

    @Test func freedNodesMayLeavePagesBehind() throws {
        // One page held 2730 nodes at the peak and a second one the rest; what is left stands in both.
        var snapshot = GoodSnapshot.hash()
        snapshot.history = nil
        snapshot.witnesses.removeAll { $0 == .model }
        snapshot.kernelList.change { $0[0].node += 65536 }
        snapshot.report?.list.change { $0[0].node += 65536 }
        snapshot.peakEntryCount = 2731
        #expect(try Verifier.verdict(on: snapshot).hasPassed)
        snapshot.peakEntryCount = 2730
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["list-node-pages"])
    }

    @Test(arguments: [(4096, [0]), (65536, [0, 61440]), (2 << 20, [0, (2 << 20) - 4096])] as [(UInt64, [UInt64])])
    func asksTheMMUForFirstAndLastPage(windowByteCount: UInt64, offsets: [UInt64]) {
        #expect(MMUQuestions.offsets(windowByteCount: windowByteCount) == offsets)
    }
}
