// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// A snapshot can come from a file that somebody edited, and most of its words from a guest: nothing in it may end the
/// program or hide a fault.
@Suite struct HostileSnapshotTests {
    struct Constant: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let impossible: [UInt64]
        let set: @Sendable (inout Snapshot, UInt64) -> Void

        init(_ field: String, _ impossible: [UInt64], _ set: @escaping @Sendable (inout Snapshot, UInt64) -> Void) {
            testDescription = field
            self.impossible = impossible
            self.set = set
        }
    }

    /// Constants that no kernel and no machine has are refused by name.
    @Test(arguments: [
        Constant("kernel.pageByteCount", [0, 1, 4095, 8192, 65537, 1 << 63, .max]) { $0.kernel.pageByteCount = $1 },
        Constant("kernel.sectionSizeBits", [0, 19, 33, 63, 64, 65, .max]) { $0.kernel.sectionSizeBits = $1 },
        Constant("kernel.structPageByteCount", [0, 8, 31, 65, 264, 1 << 63, .max]) {
            $0.kernel.structPageByteCount = $1
        },
        Constant("kernel.vmemmapPageShift", [0, 11, 35, 63, 64, .max]) { $0.kernel.vmemmapPageShift = $1 },
        Constant("peakEntryCount", [0, 31, 1 << 63, .max]) { $0.peakEntryCount = Int(truncatingIfNeeded: $1) },
        Constant("memory[1]", [1 << 51, 1 << 63, .max]) { $0.memory[1].byteCount = $1 },
        Constant("memory[1]", [1 << 51, 1 << 63, .max]) { $0.memory[1].base = $1 },
        Constant("sections[127]", [1 << 27, 1 << 40, .max]) { $0.sections[127].number = $1 },
    ])
    func impossibleConstantsAreRefused(constant: Constant) {
        for value in constant.impossible {
            var snapshot = GoodSnapshot.hash()
            constant.set(&snapshot, value)
            let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
            #expect(problem?.field == constant.testDescription, "\(value)")
        }
    }

    /// A step of the history tells how many blocks were on the list when a populate failed, and no other step does.
    @Test(arguments: [("removed", "failed", "is missing"), ("failed", "removed", "is 3")])
    func aFailureHasItsBlocks(change: String, other: String, value: String) throws {
        let section: Range<UInt64> = 2 << 30..<2 << 30 + 16 << 20
        var history = HotplugHistory(bootMemory: [])
        history.note(.removed, section)
        if change == "failed" {
            history = HotplugHistory(bootMemory: [])
            history.note(.added, section)
            history.noteFailure(of: section, linkedCount: 3)
        }
        let text = String(decoding: try JSONEncoder().encode(history), as: UTF8.self)
        let edited = text.replacing("\"\(change)\"", with: "\"\(other)\"")
        var snapshot = GoodSnapshot.hash()
        snapshot.history = try JSONDecoder().decode(HotplugHistory.self, from: Data(edited.utf8))
        let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
        #expect(problem?.field == "history.steps[0].linkedCount")
        #expect(problem?.value == value)
    }

    @Test func aRefusalNamesValueAndLimit() {
        var snapshot = GoodSnapshot.hash()
        snapshot.kernel.sectionSizeBits = 64
        let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
        #expect(problem?.description == "the snapshot's kernel.sectionSizeBits is 64; it is 20 to 32")
        snapshot = GoodSnapshot.hash()
        snapshot.memory[1].byteCount = .max
        #expect(
            #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }?.description
                == "the snapshot's memory[1] ends at 0x40000000 + 18446744073709551615 bytes; "
                + "it is at most 0x8000000000000")
    }

    @Test func possibleExtremesAreJudged() throws {
        for base: UInt64 in [0, 4096, 1 << 63, 0xffff_ffff_ffe0_0000, .max - 4095, .max] {
            for good in [GoodSnapshot.hash(), GoodSnapshot.radix(), GoodSnapshot.radixTables()] {
                var snapshot = good
                snapshot.kernel.vmemmapBase = base
                for index in snapshot.sections.indices { snapshot.sections[index].vmemmapBase = base }
                #expect(try !Verifier.verdict(on: snapshot).hasPassed)
            }
        }
        var snapshot = GoodSnapshot.hash()
        snapshot.peakEntryCount = .max
        #expect(try Verifier.verdict(on: snapshot).hasPassed)
        snapshot.memory.append(MemoryRange(name: "ua-dimm2", base: 1 << 32, byteCount: (1 << 51) - (1 << 32)))
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["sections-memory-without-section"])
    }

    /// Books of nothing are no account.
    @Test func aGuestWithoutMemoryDoesNotPass() throws {
        for good in [GoodSnapshot.hash(), GoodSnapshot.radixTables()] {
            var snapshot = good
            snapshot.memory = []
            snapshot.sections = []
            snapshot.history = nil
            snapshot.clearLists()
            if snapshot.account == .pageTables { snapshot.pageTables = WalkedTables(windows: [], faults: []) }
            snapshot.report = nil
            snapshot.mirror = nil
            snapshot.translations = []
            #expect(try !Verifier.verdict(on: snapshot).hasPassed)
        }
    }

    @Test func anEntryWithoutOriginIsNamed() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.mirror?.provenance.removeLast(2)
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["mirror-origin"])
    }

    /// A memory map that runs over the end of the address space is covered by nothing.
    @Test func aMapThatWrapsIsNotCovered() throws {
        var snapshot = GoodSnapshot.hash()
        let base = 0 &- UInt64(65536 * 16)
        snapshot.kernel.vmemmapBase = base
        for index in snapshot.sections.indices { snapshot.sections[index].vmemmapBase = base }
        snapshot.clearLists()
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.coveredSectionCount == 0)
        #expect(verdict.findings.count { $0.fault == .hole } == 128)
    }

    private static let fields: [@Sendable (inout Snapshot, _ place: Int, UInt64) -> Void] = [
        { snapshot, _, value in snapshot.kernel.pageByteCount = value },
        { snapshot, _, value in snapshot.kernel.sectionSizeBits = value },
        { snapshot, _, value in snapshot.kernel.structPageByteCount = value },
        { snapshot, _, value in snapshot.kernel.vmemmapPageShift = value },
        { snapshot, _, value in snapshot.kernel.vmemmapBase = value },
        { snapshot, _, value in snapshot.peakEntryCount = Int(truncatingIfNeeded: value) },
        { snapshot, _, value in
            let section: Range<UInt64> = 4 << 30..<4 << 30 + 16 << 20
            snapshot.history?.note(.added, section)
            snapshot.history?.noteFailure(of: section, linkedCount: value)
        },
        { snapshot, place, value in snapshot.memory[place % 2].base = value },
        { snapshot, place, value in snapshot.memory[place % 2].byteCount = value },
        { snapshot, place, value in snapshot.sections[place % snapshot.sections.count].number = value },
        { snapshot, place, value in snapshot.sections[place % snapshot.sections.count].vmemmapBase = value },
        { snapshot, _, value in snapshot.kernelList.head = value },
        { snapshot, _, value in snapshot.kernelList.endLink = value },
        { snapshot, place, value in snapshot.kernelList.entries[place % 3].node = value },
        { snapshot, place, value in snapshot.kernelList.entries[place % 3].list = value },
        { snapshot, place, value in snapshot.kernelList.entries[place % 3].phys = value },
        { snapshot, place, value in snapshot.kernelList.entries[place % 3].virtAddr = value },
        { snapshot, place, value in snapshot.mirror?.header[place % 36].value = value },
        { snapshot, place, value in snapshot.mirror?.statements[place % 9].value = value },
        { snapshot, place, value in snapshot.mirror?.list.entries[place % 3].node = value },
        { snapshot, place, value in snapshot.mirror?.list.entries[place % 3].virtAddr = value },
        { snapshot, place, value in snapshot.mirror?.list.entries[place % 3].list = value },
        { snapshot, _, value in snapshot.mirror?.list.endLink = value },
        { snapshot, _, value in
            snapshot.formerWindows = [BackedWindow(place: 0, virtAddr: value, phys: 0, byteCount: value)]
        },
        { snapshot, place, value in snapshot.report?.list.entries[place % 3].phys = value },
        { snapshot, place, value in snapshot.report?.list.entries[place % 3].virtAddr = value },
        { snapshot, _, value in snapshot.report?.blockByteCount = value },
        { snapshot, place, value in snapshot.report?.blocks[place % 8].index = value },
        { snapshot, place, value in snapshot.translations[place % 6].virtAddr = value },
        { snapshot, place, value in snapshot.translations[place % 6].answer = .physical(value) },
    ]

    /// Values at the edges of what a word and of what a kernel can hold.
    private static func value(_ generator: inout SeededGenerator) -> UInt64 {
        let random = generator.next()
        switch generator.next() % 10 {
        case 0: return 0
        case 1: return 1
        case 2: return .max
        case 3: return .max - 1
        case 4: return 1 << 63
        case 5: return 1 << (random % 64)
        case 6: return 12 + random % 24
        case 7: return [4096, 65536][Int(random % 2)]
        case 8: return 0 &- (1 << (random % 64))
        default: return random
        }
    }

    @Test(arguments: [0x5eed_0001, 0x5eed_0002, 0x5eed_0003] as [UInt64])
    func noValueInAnyFieldEndsTheProgram(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var judgedCount = 0
        var refusedCount = 0
        var passedCount = 0
        for round in 0..<2000 {
            var snapshot = round % 2 == 0 ? GoodSnapshot.hash() : GoodSnapshot.radix()
            for _ in 0...generator.next() % 3 {
                let field = Self.fields[Int(generator.next() % UInt64(Self.fields.count))]
                field(&snapshot, Int(generator.next() >> 1), Self.value(&generator))
            }
            do {
                let verdict = try Verifier.verdict(on: snapshot)
                if verdict.hasPassed { passedCount += 1 }
                judgedCount += 1
            } catch {
                refusedCount += 1
            }
        }
        #expect(judgedCount > 500, "seed \(seed)")
        // What passes is a value that was there, or one that nothing in a snapshot tells.
        #expect(passedCount < judgedCount / 4, "seed \(seed): \(passedCount) of \(judgedCount)")
        #expect(refusedCount > 200, "seed \(seed)")
    }
}
