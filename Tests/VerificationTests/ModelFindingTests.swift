// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Testing
import Verification
import VmemmapPopulate

private let gibibyte: UInt64 = 1 << 30

/// The kernel's list against what the emulator makes of the guest's history.
@Suite struct ModelFindingTests {
    /// Each changes the kernel's list or what is known of its past, and the findings of the model alone are looked at:
    /// other witnesses contradict most of these lists too.
    static let changes: [Change] = [
        Change("an entry is missing", ["model-extra-entry"]) { $0.kernelList.entries.remove(at: 3) },
        Change("an entry too many", ["model-missing-entry"]) {
            $0.peakEntryCount = 33
            $0.kernelList.entries.append(
                ListEntry(node: GoodSnapshot.nodePage + 0x300, list: 0, phys: 0, virtAddr: 0xc00c_0000_1000_0000))
        },
        Change("another window", ["model-missing-entry", "model-extra-entry"]) {
            $0.kernelList.entries[3].virtAddr = 0xc00c_0000_1000_0000
        },
        Change("another order", ["model-order"]) { snapshot in
            // The nodes stay where they are, with their windows: only the links differ.
            snapshot.kernelList.entries.swapAt(3, 4)
        },
        Change("two windows in each other's node", ["model-order", "model-other-node", "model-other-node"]) {
            let window = $0.kernelList.entries[3].virtAddr
            $0.kernelList.entries[3].virtAddr = $0.kernelList.entries[4].virtAddr
            $0.kernelList.entries[4].virtAddr = window
        },
        Change("a node in a page of its own", ["model-other-node"]) { $0.kernelList.entries[3].node += 65536 },
        Change("a node at another offset", ["model-other-node"]) { $0.kernelList.entries[3].node += 24 * 100 },
        Change("all nodes in another page", []) { snapshot in
            for index in snapshot.kernelList.entries.indices { snapshot.kernelList.entries[index].node += 1 << 20 }
        },
        Change(
            "a radix kernel that keeps a list has none", .init(repeating: "model-extra-entry", count: 3),
            of: GoodSnapshot.radix
        ) {
            $0.kernelList = ListWalk(head: 0, entries: [], end: .terminated, endLink: 0)
        },
        Change("memory that was never plugged", .init(repeating: "model-missing-entry", count: 16)) {
            $0.history = HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)])
        },
        Change("memory that was plugged twice", ["model-history"]) {
            $0.history?.note(.added, gibibyte..<2 * gibibyte)
        },
        Change("memory that went and was never there", ["model-history"]) {
            $0.history?.note(.removed, 8 * gibibyte..<9 * gibibyte)
        },
        Change("half a section", ["model-history"]) { $0.history?.note(.added, 8 * gibibyte..<8 * gibibyte + 8 << 20) },
    ]

    @Test(arguments: changes) func findsExactly(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name).filter { $0.hasPrefix("model-") } == change.names)
        let statement = try #require(verdict.witnesses.first { $0.witness == .model })
        #expect(statement.standing == (change.names.isEmpty ? .agrees : .contradicts))
    }

    /// Unplugged and plugged again: the windows are the same, and their nodes come off the stack of freed ones.
    @Test func aReplugTakesTheNodesInReverse() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.history?.note(.removed, gibibyte..<2 * gibibyte)
        snapshot.history?.note(.added, gibibyte..<2 * gibibyte)
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.name) == .init(repeating: "model-other-node", count: 16))
        let nodes = snapshot.kernelList.entries.prefix(16).map(\.node)
        for (index, node) in nodes.reversed().enumerated() { snapshot.kernelList.entries[index].node = node }
        let statement = try #require(Verifier.verdict(on: snapshot).witnesses.first { $0.witness == .model })
        #expect(statement.standing == .agrees)
        #expect(statement.agreeingCount == 32)
    }

    /// A populate that failed with three blocks on the list has left their nodes on the stack of freed ones, and the plug
    /// that went through took the last one first.
    @Test func aFailureDecidesWhichNodesAreNext() throws {
        let section = gibibyte..<gibibyte + 16 << 20
        var snapshot = GoodSnapshot.hashOfSmallWindows()
        func fail(linkedCount: UInt64) {
            snapshot.history = HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)])
            snapshot.history?.note(.added, section)
            snapshot.history?.noteFailure(of: section, linkedCount: linkedCount)
            snapshot.history?.note(.added, gibibyte..<2 * gibibyte)
        }
        func names() throws -> [String] {
            try Verifier.verdict(on: snapshot).findings.map(\.name).filter { $0.hasPrefix("model-") }
        }
        fail(linkedCount: 1)
        #expect(snapshot.history?.gap == nil)
        #expect(try names() == [])
        fail(linkedCount: 3)
        #expect(try names() == ["model-other-node", "model-other-node"])
        // Newest first: the first three windows that were plugged are the entries 255, 254 and 253.
        let node = snapshot.kernelList.entries[255].node
        snapshot.kernelList.entries[255].node = snapshot.kernelList.entries[253].node
        snapshot.kernelList.entries[253].node = node
        #expect(try names() == [])
        fail(linkedCount: 0)
        #expect(try names() == ["model-other-node", "model-other-node"])
        let encoded = try JSONEncoder().encode(snapshot.history)
        #expect(try JSONDecoder().decode(HotplugHistory.self, from: encoded) == snapshot.history)
    }

    /// What cannot have failed is a gap.
    @Test(
        arguments: [
            [], [.init(change: .removed, base: gibibyte, byteCount: 16 << 20)],
            [.init(change: .added, base: gibibyte, byteCount: 8 << 20)],
            [.init(change: .added, base: 2 * gibibyte, byteCount: 16 << 20)],
        ] as [[HotplugHistory.Step]])
    func aFailureOfNothingIsAGap(steps: [HotplugHistory.Step]) {
        var history = HotplugHistory(bootMemory: [])
        for step in steps { history.note(step.change, step.base..<step.base + step.byteCount) }
        history.noteFailure(of: gibibyte..<gibibyte + 16 << 20, linkedCount: 0)
        #expect(history.gap == "a populate failed that was not seen before")
        #expect(history.steps == steps)
    }

    /// Without a list the model says which leaves the page tables have. In this guest base pages stand where a block could.
    @Test func leavesOfPageTables() throws {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.history = HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)])
        snapshot.history?.note(.added, gibibyte..<5 * gibibyte)
        func model(_ change: (inout Snapshot) -> Void) throws -> (names: [String], statement: WitnessStatement) {
            var changed = snapshot
            change(&changed)
            let verdict = try Verifier.verdict(on: changed)
            let statement = try #require(verdict.witnesses.first { $0.witness == .model })
            return (verdict.findings.map(\.name).filter { $0.hasPrefix("model-") }, statement)
        }
        let good = try model { _ in }
        #expect(good.names == [])
        #expect(good.statement.standing == .incomplete)
        #expect(good.statement.agreeingCount == 2)
        #expect(good.statement.unsaidCount == 32)
        #expect(try model { $0.pageTables?.windows.removeLast() }.names == ["model-extra-entry"])
        #expect(
            try model { $0.pageTables?.windows.removeFirst(33) }.names
                == .init(repeating: "model-extra-entry", count: 2))
        let more = try model {
            $0.history = HotplugHistory(bootMemory: [.init(name: "boot", base: 0, byteCount: gibibyte)])
        }
        #expect(more.names == .init(repeating: "model-missing-entry", count: 33))
        #expect(more.statement.standing == .contradicts)
    }

    /// A plug that begins in the middle of a PMD's part tells by itself which of the two rules the kernel has.
    @Test func aStartInTheMiddleGetsPagesOrABlock() throws {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.history = HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)])
        for start: UInt64 in [3, 2, 1, 4] {
            snapshot.history?.note(.added, start * gibibyte..<(start + 1) * gibibyte)
        }
        func model() throws -> (standing: WitnessStatement.Standing, agreeing: Int, unsaid: Int) {
            let statement = try #require(Verifier.verdict(on: snapshot).witnesses.first { $0.witness == .model })
            return (statement.standing, statement.agreeingCount, statement.unsaidCount)
        }
        #expect(try model() == (.agrees, 34, 0))
        var windows = try #require(snapshot.pageTables?.windows)
        windows.replaceSubrange(
            1..<33,
            with: [
                BackedWindow(
                    place: windows[0].place + 8, virtAddr: windows[0].virtAddr + 2 << 20,
                    phys: GoodSnapshot.firstBlock + 2 << 20, byteCount: 2 << 20)
            ])
        snapshot.pageTables?.windows = windows
        #expect(try model() == (.agrees, 3, 0))
        // Neither rule puts one there for memory that never came.
        snapshot.history = HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: gibibyte)])
        #expect(try model().standing == .contradicts)
    }

    private static let boot = MemoryRange(name: "boot", base: 0, byteCount: gibibyte)

    /// A guest whose memory at 3 GiB came first of what PMD entry 1 maps, and a block, or base pages, for that.
    private func startInTheMiddle(hasBlock: Bool) -> Snapshot {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.history = HotplugHistory(bootMemory: [Self.boot])
        for start: UInt64 in [3, 2, 1, 4] {
            snapshot.history?.note(.added, start * gibibyte..<(start + 1) * gibibyte)
        }
        guard hasBlock, var windows = snapshot.pageTables?.windows else { return snapshot }
        windows[1].byteCount = 2 << 20
        windows[1].phys = GoodSnapshot.firstBlock + 2 << 20
        windows.removeSubrange(2..<33)
        snapshot.pageTables?.windows = windows
        return snapshot
    }

    private func model(_ snapshot: Snapshot) throws -> (names: [String], unsaid: Int, left: [RadixStart]?) {
        let verdict = try Verifier.verdict(on: snapshot)
        let statement = try #require(verdict.witnesses.first { $0.witness == .model })
        return (
            verdict.findings.map(\.name).filter { $0.hasPrefix("model-") }, statement.unsaidCount, verdict.radixStarts
        )
    }

    /// What a verification rules out stays ruled out: base pages that a kernel without blocks in the middle takes are what a
    /// kernel that has had one there may take only where it has none, and a block is one that the other never takes.
    @Test func theRuleIsHeld() throws {
        let pages = startInTheMiddle(hasBlock: false)
        #expect(try model(pages) == ([], 0, nil))
        let block = startInTheMiddle(hasBlock: true)
        #expect(try model(block) == ([], 0, [.asGiven, .blockAligned]))

        var later = pages
        later.radixStarts = [.asGiven, .blockAligned]
        #expect(try model(later) == ([], 32, [.asGiven, .blockAligned]))
        later.radixStarts = [.pageAligned]
        #expect(try model(later) == ([], 0, [.pageAligned]))

        later = block
        later.radixStarts = [.pageAligned, .asGiven]
        #expect(try model(later) == ([], 0, [.asGiven]))
        later.radixStarts = [.pageAligned]
        let found = try model(later)
        #expect(
            found.names
                == ["model-missing-entry"] + .init(repeating: "model-extra-entry", count: 32) + ["model-other-rule"])
        #expect(found.left == [.pageAligned])
        // Tables that no rule explains show none.
        later.history?.note(.added, 8 * gibibyte..<9 * gibibyte)
        #expect(try model(later).names.contains("model-other-rule") == false)
        // A snapshot can say anything.
        later = block
        later.radixStarts = []
        #expect(try model(later) == ([], 0, [.asGiven, .blockAligned]))
    }

    /// Without a start in the middle every kernel has the same tables, and nothing is learned.
    @Test func aStartThatSaysNothing() throws {
        var snapshot = GoodSnapshot.radixTables()
        #expect(try model(snapshot).left == nil)
        snapshot.radixStarts = [.blockAligned]
        #expect(try model(snapshot).names == [])
        #expect(try model(snapshot).left == [.blockAligned])
    }

    /// Base pages for 2 to 3 GiB, where no memory came: what is there came to 3 GiB, and one rule alone puts pages before it.
    @Test func pagesBeforeTheStartAreALeak() throws {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.history = HotplugHistory(bootMemory: [Self.boot])
        snapshot.history?.note(.added, gibibyte..<2 * gibibyte)
        snapshot.history?.note(.added, 3 * gibibyte..<5 * gibibyte)
        snapshot.removeSections(128..<192)
        func tables() throws -> [String] {
            try Verifier.verdict(on: snapshot).findings.map(\.name).filter { $0.hasPrefix("page-tables-") }
        }
        #expect(try model(snapshot) == ([], 32, [.blockAligned]))
        #expect(try tables() == .init(repeating: "page-tables-leaked-entry", count: 16))
        // They stay when the memory behind them goes, and the model knows what they are.
        let whole = snapshot
        snapshot.history?.note(.removed, 3 * gibibyte..<4 * gibibyte)
        snapshot.removeSections(192..<256)
        snapshot.pageTables?.windows.removeSubrange(17..<33)
        #expect(try model(snapshot) == ([], 16, [.blockAligned]))
        #expect(try tables() == .init(repeating: "page-tables-leaked-entry", count: 16))
        // A kernel that has shown another rule has no business with them.
        snapshot.radixStarts = [.asGiven]
        #expect(try tables() == .init(repeating: "page-tables-stale-entry", count: 16))
        #expect(
            try model(snapshot).names == .init(repeating: "model-missing-entry", count: 16) + ["model-other-rule"])
        // A page that is not there is missed among pages as well.
        snapshot = whole
        snapshot.history?.note(.added, 2 * gibibyte..<3 * gibibyte, hasAltmap: true)
        snapshot.pageTables?.windows.removeSubrange(1..<33)
        #expect(try model(snapshot).names.isEmpty == false)
    }

    /// Where base pages stand in for every block, nothing agrees.
    @Test func pagesAloneSayNothing() throws {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.history = HotplugHistory(
            bootMemory: [MemoryRange(name: "boot", base: 2 * gibibyte, byteCount: 2 * gibibyte)])
        snapshot.pageTables?.windows.removeFirst()
        snapshot.pageTables?.windows.removeLast()
        let statement = try #require(Verifier.verdict(on: snapshot).witnesses.first { $0.witness == .model })
        #expect(statement.standing == .cannotSay)
        #expect(statement.unsaidCount == 32)
    }

    /// Whatever keeps the model from predicting is said, and is no finding.
    static let obstacles: [Change] = [
        Change("events were lost", []) { $0.history?.noteGap("the agent lost 3 events") },
        Change("no known MMU", []) { $0.kernel.mmu = .unknown },
        Change("no page size", []) { $0.kernel.vmemmapPageShift = nil },
        Change("pages that no hash kernel takes", []) { $0.kernel.vmemmapPageShift = 21 },
        Change("more memory than is worth it", []) {
            $0.history?.bootMemory = [MemoryRange(name: "boot", base: 0, byteCount: 1 << 50)]
        },
    ]

    @Test(arguments: obstacles) func cannotSay(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        let statement = try #require(verdict.witnesses.first { $0.witness == .model })
        #expect(statement.standing == .cannotSay)
        #expect(statement.agreeingCount == 0)
        #expect(statement.unsaidCount == 32)
        #expect(!verdict.findings.contains { $0.subject == .model })
    }

    @Test func aGapKeepsItsFirstReason() {
        var history = HotplugHistory(bootMemory: [])
        history.noteGap("first")
        history.noteGap("second")
        #expect(history.gap == "first")
    }

    /// What follows one another is one step, so that a plug of many sections is as short as one of few.
    @Test func stepsAreMerged() {
        var history = HotplugHistory(bootMemory: [])
        for section in 64..<128 as Range<UInt64> { history.note(.added, section << 24..<(section + 1) << 24) }
        history.note(.removed, 64 << 24..<65 << 24)
        history.note(.added, 64 << 24..<65 << 24)
        history.note(.added, 256 << 24..<257 << 24, hasAltmap: true)
        history.note(.added, 257 << 24..<258 << 24)
        let steps: [HotplugHistory.Step] = [
            .init(change: .added, base: gibibyte, byteCount: gibibyte),
            .init(change: .removed, base: gibibyte, byteCount: 16 << 20),
            .init(change: .added, base: gibibyte, byteCount: 16 << 20),
            .init(change: .added, base: 256 << 24, byteCount: 16 << 20, hasAltmap: true),
            .init(change: .added, base: 257 << 24, byteCount: 16 << 20),
        ]
        #expect(history.steps == steps)
    }

    /// How a kernel keeps book was settled when its agent said hello, whatever stands on its list since.
    @Test func rules() throws {
        #expect(GoodSnapshot.hash().rules == .hash)
        #expect(GoodSnapshot.radix().rules == .radixList)
        #expect(GoodSnapshot.radixTables().rules == .radixTables)
        var snapshot = GoodSnapshot.radixTables()
        let stray = ListEntry(node: GoodSnapshot.nodePage, list: 0, phys: 0, virtAddr: 0)
        snapshot.kernelList.change { $0 = [stray] }
        snapshot.peakEntryCount = 1
        #expect(snapshot.account == .pageTables)
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["list-other-account"])
    }
}
