// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Testing
import Verification
import VmemmapPopulate

/// What QEMU read of the memory map through the MMU, against the kernel's account.
@Suite struct ReadBackTests {
    /// A snapshot whose memory map was read.
    static func hash() -> Snapshot { read(GoodSnapshot.hash()) }
    static func radix() -> Snapshot { read(GoodSnapshot.radix()) }
    static func radixTables() -> Snapshot { read(GoodSnapshot.radixTables()) }

    private static func read(_ good: Snapshot) -> Snapshot {
        var snapshot = good
        snapshot.translations = []
        var stamped = MemoryRanges()
        var readBack = ReadBack(nonce: 0x5eed, stamped: [], runs: [], isCutShort: false)
        for window in snapshot.accountEntries.sorted(by: { $0.virtAddr < $1.virtAddr }) {
            stamped.insert(window.phys..<window.phys + window.byteCount)
            for offset in stride(from: 0, to: window.byteCount, by: 4096) {
                readBack.note(virtAddr: window.virtAddr + offset, phys: window.phys + offset)
            }
        }
        readBack.stamped = stamped.ranges.map { .init(base: $0.lowerBound, byteCount: $0.upperBound - $0.lowerBound) }
        snapshot.readBack = readBack
        return snapshot
    }

    /// The account's fourth window.
    private static func window(_ snapshot: Snapshot) -> BackedWindow { snapshot.accountEntries[3] }

    @Test(arguments: [hash(), radix(), radixTables()]) func agrees(snapshot: Snapshot) throws {
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(!verdict.unsaid.contains { $0.witness == .mmu })
        let mmu = try #require(verdict.witnesses.first { $0.witness == .mmu })
        #expect(mmu.standing == .agrees && mmu.agreeingCount == verdict.entryCount)
        #expect(mmu.detail.hasPrefix("every 4 KiB of each block, read by QEMU through the MMU: "))
        #expect(try JSONDecoder().decode(Snapshot.self, from: JSONEncoder().encode(snapshot)) == snapshot)
    }

    static let changes: [Change] = [
        Change("two blocks have changed places", ["mmu-contradiction", "mmu-contradiction"], of: hash) { snapshot in
            let (first, second) = (window(snapshot), snapshot.accountEntries[4])
            snapshot.map(first.virtAddr, first.byteCount, to: second.phys)
            snapshot.map(second.virtAddr, second.byteCount, to: first.phys)
        },
        Change("one page of a block leads to another one", ["mmu-contradiction"], of: hash) {
            $0.map(window($0).virtAddr + 8192, 4096, to: window($0).phys)
        },
        Change("the last page of a block of 2 MiB", ["mmu-contradiction"], of: radixTables) {
            $0.map(window($0).virtAddr + (2 << 20) - 4096, 4096, to: window($0).phys)
        },
        Change("a window is not mapped", ["mmu-unmapped", "mmu-unmapped"], of: hash) {
            $0.unread(window($0).virtAddr, window($0).byteCount)
            for offset: UInt64 in [0, 61440] {
                $0.translations.append(.init(virtAddr: window($0).virtAddr + offset, answer: .unmapped))
            }
        },
        Change("one page is not mapped", ["mmu-unmapped"], of: radix) {
            $0.unread($0.accountEntries[1].virtAddr + 4096, 4096)
            $0.translations = [.init(virtAddr: $0.accountEntries[1].virtAddr + 4096, answer: .unmapped)]
        },
        Change("a block leads to memory without stamps, told once", ["mmu-contradiction"], of: hash) {
            $0.unread(window($0).virtAddr, window($0).byteCount)
            for offset in stride(from: 0, to: window($0).byteCount, by: 4096) {
                $0.translations.append(.init(virtAddr: window($0).virtAddr + offset, answer: .physical(offset)))
            }
        },
        Change("asked, and told the same", [], of: hash) {
            $0.translations = [.init(virtAddr: window($0).virtAddr, answer: .physical(window($0).phys))]
        },
    ]

    @Test(arguments: changes) func findsExactly(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names, "\(verdict.findings)")
        #expect(verdict.hasPassed == change.names.isEmpty)
    }

    @Test func saysWhereItLeads() throws {
        var snapshot = Self.hash()
        let window = Self.window(snapshot)
        snapshot.map(window.virtAddr + 8192, 4096, to: window.phys)
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.message) == [
                "virt \(text(window.virtAddr + 8192)) has phys \(text(window.phys + 8192)) on the kernel's list, and the "
                    + "MMU translates it to \(text(window.phys))"
            ])
    }

    private func text(_ address: UInt64) -> String { "0x" + String(address, radix: 16) }

    /// What was neither read nor answered is unsaid.
    static let silences: [(title: String, reason: String, make: @Sendable (inout Snapshot) -> Void)] = [
        ("one page was not read", "it was not asked", { $0.unread(window($0).virtAddr + 4096, 4096) }),
        (
            "only the ends were asked", "it was not asked",
            { snapshot in
                let window = window(snapshot)
                snapshot.unread(window.virtAddr, window.byteCount)
                snapshot.translations = [0, 61440].map {
                    .init(virtAddr: window.virtAddr + $0, answer: .physical(window.phys + $0))
                }
            }
        ),
        (
            "too much was refused", "32768 questions are the most",
            {
                $0.unread(window($0).virtAddr, window($0).byteCount)
                $0.readBack?.isCutShort = true
            }
        ),
        (
            "two answers", "two answers",
            { $0.translations = [.init(virtAddr: window($0).virtAddr, answer: .physical(0))] }
        ),
        (
            "other bytes", "qemu reads other bytes",
            {
                $0.unread(window($0).virtAddr, 4096)
                $0.translations = [
                    .init(virtAddr: window($0).virtAddr, answer: .cannotSay("qemu reads other bytes there"))
                ]
            }
        ),
    ]

    @Test(arguments: silences.indices) func whatWasNotReadIsUnsaid(index: Int) throws {
        let silence = Self.silences[index]
        var snapshot = Self.hash()
        silence.make(&snapshot)
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [], "\(silence.title)")
        #expect(verdict.unsaid.map(\.witness) == [.mmu] && verdict.unsaid.map(\.count) == [1], "\(silence.title)")
        #expect(verdict.unsaid[0].reason.contains(silence.reason), "\(verdict.unsaid)")
    }

    /// On hash "unmapped" says nothing of a segment of which no address is translated.
    @Test func aSegmentThatNobodyReaches() throws {
        var snapshot = Self.hash()
        snapshot.readBack?.runs = []
        snapshot.translations = snapshot.accountEntries.map { .init(virtAddr: $0.virtAddr, answer: .unmapped) }
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings == [])
        #expect(verdict.unsaid.map(\.count) == [32] && verdict.unsaid[0].reason.contains("SLB"))
        // One that was read decides it.
        snapshot = Self.hash()
        let window = Self.window(snapshot)
        snapshot.unread(window.virtAddr, window.byteCount)
        snapshot.translations = [.init(virtAddr: window.virtAddr, answer: .unmapped)]
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["mmu-unmapped"])
    }

    /// Where QEMU does not read, the first and the last 4 KiB count as ever, and the verdict says why.
    @Test func withoutAReadingTheEndsCount() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.readBackProblem = "qemu refuses 'memsave': Permission denied"
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.hasPassed)
        let mmu = try #require(verdict.witnesses.first { $0.witness == .mmu })
        #expect(mmu.detail.hasPrefix("gva2gpa of each block's first and last 4 KiB: "))
        #expect(mmu.detail.hasSuffix("(no more is read: qemu refuses 'memsave': Permission denied)"))
    }

    /// What no reading gives is refused by name.
    @Test func impossibleReadings() {
        let changes: [(field: String, change: (inout ReadBack) -> Void)] = [
            ("readBack.runs[0]", { $0.runs[0].byteCount = 0 }), ("readBack.runs[0]", { $0.runs[0].byteCount += 8 }),
            ("readBack.runs[0]", { $0.runs[0].virtAddr += 8 }), ("readBack.runs[0]", { $0.runs[0].phys += 8 }),
            ("readBack.runs[0]", { $0.runs[0].byteCount = 0 &- 4096 }), ("readBack.runs[0]", { $0.runs[0].phys = 0 }),
            ("readBack.runs[0]", { $0.runs[0].phys = 0 &- 4096 }), ("readBack.runs[0]", { $0.stamped = [] }),
            ("readBack.runs[1]", { $0.runs.insert($0.runs[0], at: 0) }),
            ("readBack.stamped[0]", { $0.stamped[0].byteCount = 0 }),
            ("readBack.stamped[0]", { $0.stamped[0].base += 8 }),
            ("readBack.stamped[0]", { $0.stamped[0].byteCount = 0 &- 4096 }),
            ("readBack.stamped[1]", { $0.stamped.insert($0.stamped[0], at: 0) }),
        ]
        for (field, change) in changes {
            var snapshot = Self.hash()
            guard var readBack = snapshot.readBack else { continue }
            change(&readBack)
            snapshot.readBack = readBack
            let problem = #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
            #expect(problem?.field == field)
        }
    }
}

extension Snapshot {
    /// Has pages not be read.
    fileprivate mutating func unread(_ virtAddr: UInt64, _ byteCount: UInt64) { change(virtAddr, byteCount, nil) }

    /// Has pages lead elsewhere.
    fileprivate mutating func map(_ virtAddr: UInt64, _ byteCount: UInt64, to phys: UInt64) {
        change(virtAddr, byteCount, phys)
    }

    private mutating func change(_ virtAddr: UInt64, _ byteCount: UInt64, _ phys: UInt64?) {
        guard let old = readBack else { return }
        var new = old
        new.runs = []
        for run in old.runs {
            for offset in stride(from: 0, to: run.byteCount, by: 4096) {
                let address = run.virtAddr + offset
                if address < virtAddr || address >= virtAddr + byteCount {
                    new.note(virtAddr: address, phys: run.phys + offset)
                } else if let phys {
                    new.note(virtAddr: address, phys: phys + (address - virtAddr))
                }
            }
        }
        readBack = new
    }
}
