// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// What the mirror, the report and the MMU say against the kernel's list.
@Suite struct WitnessFindingTests {
    static let changes: [Change] = [
        Change("unknown origin", ["mirror-origin"]) { $0.mirror?.provenance[3] = nil },
        Change("mirror lacks an entry", ["mirror-missing-entry"]) { $0.mirror?.change { $0.remove(at: 3) } },
        Change("mirror has one more", ["mirror-extra-entry"]) {
            $0.mirror?.change { $0.append(ListEntry(node: 0, list: 0, phys: 0, virtAddr: 0)) }
        },
        Change("mirror has another phys", ["mirror-wrong-phys"]) { $0.mirror?.list.entries[3].phys += 65536 },
        Change("mirror has another virt", ["mirror-missing-entry", "mirror-extra-entry"]) {
            $0.mirror?.list.entries[3].virtAddr = 0xc00c_0000_1000_0000
        },
        Change("mirror is in another order", ["mirror-order"]) { $0.mirror?.change { $0.swapAt(3, 4) } },
        Change("mirror has an entry twice", ["mirror-duplicate-virt", "mirror-order"]) {
            $0.mirror?.change { $0.append($0[31]) }
        },

        Change("report lacks an entry", ["report-missing-entry", "report-other-node"]) {
            $0.report?.list.change { $0.remove(at: 3) }
        },
        Change("report has one more", ["report-extra-entry", "report-other-node"]) {
            $0.report?.list.change {
                $0.append(ListEntry(node: GoodSnapshot.nodePage + 0x300, list: 0, phys: 0, virtAddr: 0))
            }
        },
        Change("report has another phys", ["report-wrong-phys"]) { $0.report?.list.entries[3].phys += 65536 },
        Change("report is in another order", ["report-order"] + .init(repeating: "report-other-node", count: 3)) {
            $0.report?.list.change { $0.swapAt(3, 4) }
        },
        Change("report area holds none", ["report-unreadable"]) {
            $0.report = nil
            $0.reportProblem = "no known end: 9"
        },

        Change("MMU says another phys", ["mmu-contradiction"]) { $0.translations[6].answer = .physical(0x1234_0000) },
        Change("MMU says another phys twice", ["mmu-contradiction", "mmu-contradiction"]) {
            $0.translations[6].answer = .physical(0)
            $0.translations[7].answer = .physical(.max)
        },
        Change("MMU translates what is gone", ["mmu-stale-entry"]) {
            $0.formerWindows = [
                BackedWindow(place: 0, virtAddr: 0xc00c_0000_0100_0000, phys: 0x2100_0000, byteCount: 65536)
            ]
            $0.formerTranslations = [
                Translation(virtAddr: 0xc00c_0000_0100_0000, answer: .physical(0x2100_0000)),
                Translation(virtAddr: 0xc00c_0000_0100_f000, answer: .unmapped),
            ]
        },
        Change("MMU does not translate, on radix", ["mmu-unmapped"], of: GoodSnapshot.radix) {
            $0.translations[2].answer = .unmapped
        },
        Change("MMU does not translate one of a segment, on hash", ["mmu-unmapped"]) {
            $0.translations[6].answer = .unmapped
        },
    ]

    @Test(arguments: changes) func findsExactly(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
        #expect(verdict.hasPassed == change.names.isEmpty)
        let subjects = Set(verdict.findings.map(\.subject.rawValue))
        for statement in verdict.witnesses {
            let isFaulty = subjects.contains(statement.witness.rawValue)
            #expect(statement.standing == (isFaulty ? .contradicts : .agrees), "\(statement.witness)")
        }
    }

    @Test func countsWhatAgrees() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.mirror?.list.entries[3].phys = 0
        snapshot.report?.list.change { $0.removeFirst(4) }
        snapshot.translations[6].answer = .physical(0)
        snapshot.translations[10].answer = .cannotSay("the CPU is in user mode")
        snapshot.translations.removeLast()
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.witnesses.map(\.agreeingCount) == [32, 31, 28, 29, 32])
        #expect(verdict.witnesses.map(\.unsaidCount) == [0, 0, 0, 2, 0])
    }

    @Test func namesWhatDiffersAndWhoSaysSo() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.mirror?.change { $0.swapAt(3, 4) }
        snapshot.mirror?.set(.magic, 0x4d56)
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.message) == [
                "header word magic is 0x4d56; the region's format says 0x564d454d4d41504c",
                "the mirror has the kernel's entries in another order from number 4 on",
            ])
    }

    @Test func onHashASegmentThatNobodyReachesSaysNothing() throws {
        var snapshot = GoodSnapshot.hash()
        for index in snapshot.translations.indices { snapshot.translations[index].answer = .unmapped }
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(!verdict.hasPassed)
        #expect(
            verdict.unsaid == [
                Unsaid(.mmu, count: 32, "the CPU translates no address of their segment: its SLB has no entry for it")
            ])
        let mmu = verdict.witnesses.first { $0.witness == .mmu }
        #expect(mmu?.standing == .cannotSay)
        #expect(mmu?.agreeingCount == 0)
        #expect(mmu?.unsaidCount == 32)
    }

    @Test func whatTheMMUCannotSayIsCountedAndNeverPassed() throws {
        var snapshot = GoodSnapshot.radix()
        for index in snapshot.translations.indices {
            snapshot.translations[index].answer = .cannotSay("the CPU's data translation is off")
        }
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(!verdict.hasPassed)
        #expect(verdict.unsaid == [Unsaid(.mmu, count: 3, "the CPU's data translation is off")])
        let mmu = verdict.witnesses.first { $0.witness == .mmu }
        #expect(mmu?.standing == .cannotSay)
        #expect(mmu?.unsaidCount == 3)
    }
}
