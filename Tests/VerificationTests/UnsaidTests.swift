// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// A verification passes only when every witness that the guest can give spoke about everything that it was asked.
@Suite struct UnsaidTests {
    /// What keeps a witness from speaking, and what is said of that: by whom, how often, and a word of the reason.
    struct Silence: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let unsaid: [(witness: Witness, count: Int, reason: String)]
        let base: @Sendable () -> Snapshot
        let make: @Sendable (inout Snapshot) -> Void

        init(
            _ title: String, _ unsaid: [(Witness, Int, String)],
            of base: @escaping @Sendable () -> Snapshot = GoodSnapshot.hash,
            _ make: @escaping @Sendable (inout Snapshot) -> Void
        ) {
            testDescription = title
            self.unsaid = unsaid
            self.base = base
            self.make = make
        }
    }

    /// A window that came and went.
    static let gone = BackedWindow(place: 0, virtAddr: 0xc00c_0000_0100_0000, phys: 0x2100_0000, byteCount: 65536)

    static let silences: [Silence] = [
        Silence("no mirror", [(.mirror, 32, "no shared region")]) { $0.mirror = nil },
        Silence("no report", [(.report, 32, "no report")]) { $0.report = nil },
        Silence("no page tables beside a list", [(.pageTables, 3, "does not say where")], of: GoodSnapshot.radix) {
            $0.pageTables = nil
        },
        Silence("no history", [(.model, 32, "tells nothing")]) { $0.history = nil },
        Silence("losses that were healed", [(.mirror, 2, "not seen them being made"), (.model, 32, "lost 3 events")]) {
            $0.history?.noteGap("the agent lost 3 events")
            $0.mirror?.provenance[0] = .healed
            $0.mirror?.provenance[1] = .healed
        },
        Silence("the MMU was not asked", [(.mmu, 32, "it was not asked")]) { $0.translations = [] },
        Silence("one question was not asked", [(.mmu, 1, "it was not asked")]) { $0.translations.remove(at: 7) },
        Silence("about another address", [(.mmu, 1, "it was not asked")]) { $0.translations[7].virtAddr += 8192 },
        Silence("one answer makes no sense", [(.mmu, 1, "qemu answered")]) {
            $0.translations[7].answer = .cannotSay("qemu answered 'GPA 0x1'")
        },
        Silence("every answer is worded anew", [(.mmu, 32, "qemu answered 'GPA 0'")]) { snapshot in
            for index in snapshot.translations.indices {
                snapshot.translations[index].answer = .cannotSay("qemu answered 'GPA \(index)'")
            }
        },
        Silence("two answers to one question", [(.mmu, 1, "two answers")]) {
            $0.translations.append(.init(virtAddr: $0.translations[7].virtAddr, answer: .physical(0)))
        },
        Silence("nobody asked about what is gone", [(.mmu, 2, "it was not asked")]) { $0.formerWindows = [gone] },
        Silence("one address of what is gone", [(.mmu, 1, "it was not asked")]) {
            $0.formerWindows = [gone]
            $0.formerTranslations = [.init(virtAddr: gone.virtAddr, answer: .unmapped)]
        },
        // On hash "unmapped" tells nothing where no address of the segment is translated, for what is gone as for what is
        // there.
        Silence("what is gone lies in a segment of its own", [(.mmu, 2, "SLB")]) {
            let far = BackedWindow(place: 0, virtAddr: gone.virtAddr + 1 << 40, phys: 0, byteCount: 65536)
            $0.formerWindows = [far]
            $0.formerTranslations = [0, 61440].map { .init(virtAddr: far.virtAddr + $0, answer: .unmapped) }
        },
        Silence("base pages stand in for a block", [(.model, 32, "base pages stand in")], of: GoodSnapshot.radixTables)
        {
            $0.history = HotplugHistory(bootMemory: [MemoryRange(name: "boot", base: 0, byteCount: 1 << 30)])
            $0.history?.note(.added, 1 << 30..<5 << 30)
        },
        Silence(
            "the page size cannot be read",
            [
                (.kernelList, 32, "cannot be read"), (.mmu, 32, "without a vmemmap page size"),
                (.model, 32, "cannot be read"),
            ]
        ) {
            $0.kernel.vmemmapPageShift = nil
        },
    ]

    @Test(arguments: silences) func isToldAndDoesNotPass(silence: Silence) throws {
        var snapshot = silence.base()
        silence.make(&snapshot)
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(!verdict.hasPassed)
        #expect(verdict.unsaid.map(\.witness) == silence.unsaid.map(\.witness))
        #expect(verdict.unsaid.map(\.count) == silence.unsaid.map(\.count))
        for (unsaid, expected) in zip(verdict.unsaid, silence.unsaid) {
            #expect(unsaid.reason.contains(expected.reason))
            let statement = try #require(verdict.witnesses.first { $0.witness == unsaid.witness })
            #expect(statement.standing != .agrees && statement.standing != .contradicts)
            #expect(statement.unsaidCount == unsaid.count)
        }
        // Nobody else is to blame.
        for statement in verdict.witnesses where !silence.unsaid.contains(where: { $0.witness == statement.witness }) {
            #expect([.agrees, .cannotSay].contains(statement.standing))
        }
        // A name excuses, except for the kernel's own account.
        let names = Set(silence.unsaid.map(\.witness))
        #expect(verdict.unsaid(excusing: names).map(\.witness) == (names.contains(.kernelList) ? [.kernelList] : []))
        #expect(verdict.unsaid(excusing: []) == verdict.unsaid)
    }

    /// A witness that this guest cannot give is missed by nobody.
    @Test func whoIsNotExpectedIsNotMissed() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.witnesses = [.kernelList, .model]
        snapshot.mirror = nil
        snapshot.report = nil
        snapshot.translations = []
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.hasPassed)
        #expect(verdict.witnesses.map(\.standing) == [.agrees, .absent, .absent, .absent, .agrees])
    }

    @Test func whatAGuestCanGive() {
        #expect(Witness.given(by: .list, .hash) == [.kernelList, .mirror, .report, .mmu, .model])
        #expect(
            Witness.given(by: .list, .hash, hasHashTable: true)
                == [.kernelList, .hashTable, .mirror, .report, .mmu, .model])
        #expect(Witness.given(by: .list, .radix) == [.kernelList, .pageTables, .mirror, .report, .mmu, .model])
        #expect(Witness.given(by: .pageTables, .radix) == [.pageTables, .mirror, .report, .mmu, .model])
        #expect(Witness.given(by: .list, .unknown) == [.kernelList, .mirror, .report, .mmu, .model])
    }

    /// A list of witnesses that no guest can have is refused by name.
    @Test(
        arguments: [
            [], [.mirror, .report, .mmu, .model], [.kernelList, .pageTables], [.pageTables],
            [.kernelList, .kernelList],
        ] as [[Witness]])
    func impossibleWitnesses(witnesses: [Witness]) {
        var snapshot = GoodSnapshot.hash()
        snapshot.witnesses = witnesses
        let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
        #expect(problem?.field == "witnesses")
    }

    // MARK: - The limit

    private static func windows(_ count: UInt64, byteCount: UInt64) -> [BackedWindow] {
        (0..<count).map {
            BackedWindow(place: 0, virtAddr: 0xc00c_0000_0000_0000 + $0 * byteCount, phys: 0, byteCount: byteCount)
        }
    }

    /// 16,384 windows are asked about completely, of whatever size.
    @Test(
        arguments: [(16384, 4096, 16384), (16384, 65536, 32768), (16384, 2 << 20, 32768), (32768, 4096, 32768)]
            as [(UInt64, UInt64, Int)])
    func aGuestOfOrdinarySizeIsAskedCompletely(count: UInt64, byteCount: UInt64, questions: Int) {
        let windows = Self.windows(count, byteCount: byteCount)
        let addresses = MMUQuestions.addresses(of: windows, known: [])
        #expect(addresses.count == questions)
        #expect(Set(addresses).count == questions)
    }

    /// More is asked by every n-th window from the first to the last, and what came last before all else.
    @Test(arguments: [(262_144, 4096), (40_000, 4096), (20_000, 65536), (1 << 20, 65536)] as [(UInt64, UInt64)])
    func moreIsSpread(count: UInt64, byteCount: UInt64) {
        let windows = Self.windows(count, byteCount: byteCount)
        let limit = MMUQuestions.limit
        let addresses = MMUQuestions.addresses(of: windows, known: [])
        #expect(addresses.count <= limit && addresses.count > limit / 3)
        #expect(Set(addresses).count == addresses.count)
        #expect(addresses.contains(windows[0].virtAddr) && addresses.contains(windows[windows.count - 1].virtAddr))
        // No gap is wider than a few steps.
        let step = 2 * count * byteCount / UInt64(addresses.count) * 4
        #expect(zip(addresses, addresses.dropFirst()).allSatisfy { $1 - $0 <= step })

        let newest = windows.suffix(1000)
        let again = Set(MMUQuestions.addresses(of: windows, known: windows.dropLast(1000)))
        #expect(again.count <= limit)
        #expect(newest.allSatisfy { again.contains($0.virtAddr) })
        #expect(again.contains(windows[0].virtAddr))
    }

    /// What the limit leaves out is unsaid, and says so.
    @Test func whatTheLimitLeavesOutIsUnsaid() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.witnesses = [.kernelList, .mmu]
        (snapshot.history, snapshot.mirror, snapshot.report) = (nil, nil, nil)
        snapshot.formerWindows = Self.windows(40_000, byteCount: 4096).map {
            BackedWindow(place: 0, virtAddr: $0.virtAddr + 1 << 30, phys: 0, byteCount: 4096)
        }
        snapshot.formerTranslations = MMUQuestions.addresses(of: snapshot.formerWindows, known: snapshot.formerWindows)
            .map { .init(virtAddr: $0, answer: .unmapped) }
        let verdict = try Verifier.verdict(on: snapshot)
        let asked = snapshot.formerTranslations.count
        #expect(asked > 10_000 && asked <= MMUQuestions.limit)
        #expect(
            verdict.unsaid == [
                Unsaid(
                    .mmu, count: 40_000 - asked,
                    "of 40000 addresses, 32768 are the most that are asked while the guest is paused")
            ])
        #expect(verdict.findings == [])
    }

    /// A few addresses of each segment show whether the CPU reaches it at all.
    @Test func samplesOfEachSegment() {
        let near = Self.windows(100, byteCount: 4096)
        let far = near.map { BackedWindow(place: 0, virtAddr: $0.virtAddr + 5 << 40, phys: 0, byteCount: 4096) }
        let samples = MMUQuestions.samples(of: near + far, segmentShift: 40).sorted { $0[0] < $1[0] }
        #expect(samples == [near, far].map { [$0[0].virtAddr, $0[50].virtAddr, $0[99].virtAddr] })
        #expect(MMUQuestions.samples(of: [], segmentShift: 40) == [])
        let many = (0..<1000 as Range<UInt64>).map { BackedWindow(place: 0, virtAddr: $0 << 40, phys: 0, byteCount: 0) }
        #expect(MMUQuestions.samples(of: many, segmentShift: 40).count == 16)
    }
}
