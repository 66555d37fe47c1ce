// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Testing
import Verification

/// A crash header against the machine's memory and the kernel's account. 256 MiB are reserved from 128 MiB on; the nodes and
/// the blocks behind the memory map are outside.
@Suite struct CrashHeaderFindingTests {
    static let reservation: Range<UInt64> = 0x0800_0000..<0x1800_0000
    private static let gibibyte: UInt64 = 1 << 30

    static func piece(_ range: Range<UInt64>, at offset: UInt64? = nil) -> CrashHeaderSnapshot.Piece {
        let count = range.upperBound - range.lowerBound
        return .init(
            physAddr: range.lowerBound, fileOffset: offset ?? range.lowerBound, byteCount: count, fileByteCount: count)
    }

    /// The loads that kexec-tools writes: the first 64 KiB from their copy, the rest, a piece of firmware's in the
    /// reservation, and each piece of hotplugged memory.
    static func header(dimmByteCount: UInt64) -> CrashHeaderSnapshot.Header {
        .init(
            treeAddress: 0x17ff_0000, address: 0x1000_0000,
            loads: [
                piece(0..<0x1_0000, at: 0x0900_0000), piece(0x1_0000..<0x0800_0000),
                piece(0x1800_0000..<gibibyte), piece(0x0a00_0000..<0x0a10_0000),
            ]
                + (0..<dimmByteCount >> 28).map {
                    piece(gibibyte + $0 << 28..<gibibyte + ($0 + 1) << 28)
                }, notes: [piece(0x200_8000..<0x200_8200), piece(0x200_0000..<0x200_2000)],
            noteRelease: "6.1.0-37-powerpc64le", hashTableOrders: [24])
    }

    @Sendable static func good(_ base: Snapshot) -> Snapshot {
        var snapshot = base
        snapshot.witnesses.append(.crashHeader)
        snapshot.crashHeader = CrashHeaderSnapshot(
            reservation: reservation, header: header(dimmByteCount: snapshot.memory[1].byteCount),
            hashTableOrder: snapshot.kernel.mmu == .hash ? 24 : nil)
        return snapshot
    }

    @Sendable static func hash() -> Snapshot { good(GoodSnapshot.hash()) }

    @Test(arguments: [
        GoodSnapshot.hash(), GoodSnapshot.hashOfSmallWindows(), GoodSnapshot.radix(), GoodSnapshot.radixTables(),
    ])
    func nothingIsWrongWithAGoodOne(snapshot: Snapshot) throws {
        let verdict = try Verifier.verdict(on: Self.good(snapshot))
        #expect(verdict.findings == [])
        let statement = try #require(verdict.witnesses.first { $0.witness == .crashHeader })
        #expect(statement.standing == .agrees)
        #expect(statement.agreeingCount == verdict.entryCount)
        #expect(statement.unsaidCount == 0)
    }

    /// makedumpfile counts so: 57,345 pages of 64 KiB in what kexec made for 2 GiB and two DIMMs of 1 GiB on 6.1, 917,505 of
    /// 4 KiB in what the kernel made on 6.12.
    @Test func pagesAreCountedForEachLoad() {
        func count(_ loads: [(UInt64, UInt64)], _ pageByteCount: UInt64) -> UInt64? {
            var header = Self.header(dimmByteCount: 0)
            header.loads = loads.map {
                .init(physAddr: $0.0, fileOffset: $0.0, byteCount: $0.1, fileByteCount: $0.1)
            }
            return header.pageCount(pageByteCount: pageByteCount)
        }
        let kexec: [(UInt64, UInt64)] = [
            (0, 0x10000), (0x10000, 0x1fff_0000), (0x4000_0000, 0x4000_0000), (0x8000_0000, 0x8000_0000),
            (0x2fff_0000, 0x10000),
        ]
        #expect(count(kexec, 65536) == 57345)
        let kernel: [(UInt64, UInt64)] = [
            (0, 0x10000), (0x10000, 0x1fff_0000), (0x2fff_f000, 0x82c), (0x4000_0000, 0xc000_0000),
        ]
        #expect(count(kernel, 4096) == 917_505)
        #expect(count([(0x1000, 0), (0x1fff, 2)], 4096) == 2)
        #expect(count([(0x1000, .max)], 4096) == nil)
        #expect(count([(0, 1 << 63)], 4096) == nil)
    }

    static func change(
        _ title: String, _ names: [String],
        _ change: @escaping @Sendable (inout Snapshot, inout CrashHeaderSnapshot.Header) -> Void
    ) -> Change {
        Change(title, names, of: hash) { snapshot in
            guard var header = snapshot.crashHeader?.header else { return }
            change(&snapshot, &header)
            snapshot.crashHeader?.header = header
        }
    }

    static let changes: [Change] = [
        change("a DIMM missing", ["crash-header-missing-memory"]) { $1.loads.removeLast(4) },
        change("memory missing in both pieces", ["crash-header-missing-memory", "crash-header-missing-memory"]) {
            $1.loads[1] = piece(0x2_0000..<0x0800_0000)
            $1.loads[6].byteCount -= 65536
            $1.loads[6].fileByteCount -= 65536
        },
        change("the first 64 KiB missing", ["crash-header-missing-memory"]) { $1.loads.removeFirst() },
        change("the copy where it is", []) { $1.loads[0].fileOffset = 0 },
        change("the pieces in another order", []) { $1.loads.reverse() },
        change("smaller pieces", []) {
            $1.loads[2] = piece(0x1800_0000..<0x2000_1000)
            $1.loads.append(piece(0x2000_1000..<gibibyte))
        },
        change("offline memory missing", []) {
            $0.report?.blocks[4].state = "offline"
            $0.takeOffline(64..<80)
            $1.loads.remove(at: 4)
        },
        change("memory gone", ["crash-header-memory-gone"]) { $1.loads.append(piece(2 * gibibyte..<3 * gibibyte)) },
        change("memory gone in part", ["crash-header-memory-gone"]) {
            $1.loads[7] = piece(2 * gibibyte - 1 << 28..<3 * gibibyte)
        },
        change("an overlap", ["crash-header-overlap"]) { $1.loads.append(piece(0x1000_0000 * 4..<0x4000_1000)) },
        change("a load twice", ["crash-header-overlap"]) { $1.loads.append($1.loads[2]) },
        change("a load over everything", ["crash-header-overlap"] + Array(repeating: "crash-header-overlap", count: 7))
        {
            $1.loads.append(piece(0..<2 * gibibyte))
        },
        change("a load of nothing", ["crash-header-load-size"]) { $1.loads.append(piece(0..<0)) },
        change("a load of less in the dump", ["crash-header-load-size", "crash-header-missing-memory"]) {
            $1.loads[7].fileByteCount -= 1
        },
        change("a hot-remove gone wrong", ["crash-header-load-size", "crash-header-missing-memory"]) {
            $1.loads[7].byteCount = 0xffff_ffff_c000_0000
            $1.loads[7].fileByteCount = 0xffff_ffff_c000_0000
        },
        change("a load at the end of everything", ["crash-header-load-size"]) {
            $1.loads.append(piece(UInt64.max - 1..<UInt64.max))
        },
        change("a load whose place wraps", ["crash-header-load-size"]) {
            $1.loads.append(piece(0x0b00_0000..<0x0b10_0000, at: .max - 1))
        },
        change("nodes and blocks missing", ["crash-header-missing-memory"] + twice("crash-header-not-in-dump")) {
            $1.loads.removeSubrange(1...2)
        },
        change("blocks missing", ["crash-header-missing-memory", "crash-header-not-in-dump"]) {
            $1.loads[2] = piece(0x2001_0000..<gibibyte)
        },
        change(
            "no load", twice("crash-header-missing-memory") + twice("crash-header-not-in-dump")
        ) { $1.loads = [] },
        change("no VMCOREINFO", ["crash-header-note"]) { $1.noteRelease = nil },
        change("another kernel's VMCOREINFO", ["crash-header-note"]) { $1.noteRelease = "6.12" },
        change("another hash table", ["crash-header-hpt-size"]) { $1.hashTableOrders = [24, 27] },
        change("no hash table", ["crash-header-hpt-size"]) { $1.hashTableOrders = [] },
        change("an unknown hash table", []) {
            $0.crashHeader?.hashTableOrder = nil
            $1.hashTableOrders = [27]
        },
        Change("no header", ["crash-header-unreadable"], of: hash) {
            $0.crashHeader = CrashHeaderSnapshot(reservation: reservation, problem: "no device tree")
        },
    ]

    private static func twice(_ name: String) -> [String] { [name, name] }

    @Test(arguments: changes) func findsExactly(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
        #expect(verdict.hasPassed == change.names.isEmpty)
    }

    @Test func saysHowMuchAndWhere() throws {
        func messages(_ change: (inout CrashHeaderSnapshot.Header) -> Void) throws -> [String] {
            var snapshot = Self.hash()
            guard var header = snapshot.crashHeader?.header else { return [] }
            change(&header)
            snapshot.crashHeader?.header = header
            return try Verifier.verdict(on: snapshot).findings.map(\.message)
        }
        #expect(
            try messages { $0.loads.removeLast(4) } == [
                "0x40000000 of the 0x40000000 bytes of ua-dimm1 at 0x40000000 are in no PT_LOAD, the first at 0x40000000"
            ])
        #expect(
            try messages { $0.hashTableOrders = [27] } == [
                "the crash kernel's device tree has ibm,pft-size 27, and the guest's hashed page table is of 2^24 bytes"
            ])
        #expect(
            try messages { $0.loads[2] = Self.piece(0x2001_0000..<Self.gibibyte) }.last
                == "1 of 32 blocks are not in a PT_LOAD, the first at 0x20000000")
        #expect(
            try messages { $0.loads.append(Self.piece(2 * Self.gibibyte..<3 * Self.gibibyte)) } == [
                "0x40000000 of the 0x40000000 bytes of the PT_LOAD at 0x80000000 are no memory of the machine, the first at "
                    + "0x80000000"
            ])
    }

    @Test func isSilentWhereNobodyAsks() throws {
        let verdict = try Verifier.verdict(on: GoodSnapshot.hash())
        #expect(!verdict.witnesses.contains { $0.witness == .crashHeader })
        var snapshot = Self.hash()
        snapshot.crashHeader = nil
        let asked = try Verifier.verdict(on: snapshot)
        #expect(asked.findings == [])
        #expect(asked.unsaid.map(\.witness) == [.crashHeader])
        #expect(asked.witnesses.last?.standing == .absent)
    }

    @Test func impossibleOnesAreRefused() throws {
        var snapshot = Self.hash()
        snapshot.crashHeader?.reservationByteCount = .max
        #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
        snapshot = Self.hash()
        snapshot.crashHeader?.problem = "no header"
        #expect(
            #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }?.description
                == "the snapshot's crashHeader has a header and a problem; it is either a header or a problem")
        snapshot = Self.hash()
        snapshot.crashHeader?.header = nil
        #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
        snapshot = Self.hash()
        snapshot.crashHeader?.header?.loads = Array(repeating: Self.piece(0..<8), count: 65535)
        #expect(throws: SnapshotProblem.self) { try Verifier.verdict(on: snapshot) }
    }

    @Test func comesBackFromJSON() throws {
        for change in Self.changes {
            let snapshot = change.snapshot()
            let read = try JSONDecoder().decode(Snapshot.self, from: JSONEncoder().encode(snapshot))
            #expect(read == snapshot)
        }
    }
}
