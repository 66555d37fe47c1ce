// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Testing

@testable import MemoryBackends

/// QEMU's migration stream, built as QEMU 7.2 does for a guest whose memory is in shared files.
@Suite struct HashedTableTests {
    private static func number(_ value: UInt64, _ byteCount: Int) -> [UInt8] {
        (0..<byteCount).reversed().map { UInt8(truncatingIfNeeded: value >> (UInt64($0) * 8)) }
    }

    private static func name(_ name: String) -> [UInt8] { number(UInt64(name.utf8.count), 1) + Array(name.utf8) }

    private static func footer(_ section: UInt64) -> [UInt8] { [0x7e] + number(section, 4) }

    private static let beginning = number(0x5145_564d, 4) + number(3, 4)
    private static let configuration =
        [0x07] + number(12, 4) + Array("pseries-7.2\0".utf8) + [0x05] + name("configuration/capabilities")
        + number(1, 4)
        + number(1, 4) + name("x-ignore-shared")
    private static let memory =
        [0x01] + number(2, 4) + name("ram") + number(0, 4) + number(4, 4) + number(0x4001_0000 | 4, 8)
        + name("ram-node0") + number(0x4000_0000, 8) + number(0, 8) + name("rom") + number(0x1_0000, 8)
        + number(0x10_0000, 8) + number(0x10, 8) + footer(2)
    private static let pages =
        [0x02] + number(2, 4) + number(0x2, 8) + name("rom") + [0] + number(0x1028, 8)
        + [UInt8](repeating: 0x7e, count: 4096) + number(0x10, 8) + footer(2)

    private static func start(shift: UInt64) -> [UInt8] {
        [0x01] + number(34, 4) + name("spapr/htab") + number(0, 4) + number(1, 4) + number(shift, 4) + footer(34)
    }

    /// Chunks of a part: from which index on, which entries, and how many behind them are no more.
    private static func part(
        _ kind: UInt8, _ chunks: [(index: UInt64, entries: [(v: UInt64, r: UInt64)], goneCount: UInt64)]
    ) -> [UInt8] {
        let content = chunks.flatMap { chunk in
            number(chunk.index, 4) + number(UInt64(chunk.entries.count), 2) + number(chunk.goneCount, 2)
                + chunk.entries.flatMap { number($0.v, 8) + number($0.r, 8) }
        }
        return [kind] + number(34, 4) + number(0, 4) + content + number(0, 8) + footer(34)
    }

    private static let end = [0x03] + number(2, 4) + number(0x10, 8) + footer(2)
    private static let devices: [UInt8] = [0x04] + [UInt8](repeating: 1, count: 100)

    private static let good =
        beginning + configuration + memory + start(shift: 18) + pages
        + part(0x02, [(8, [(0x11, 0x1000), (0x13, 0x2000)], 0), (16376, [(0x15, 0x3000)], 0)]) + end
        + part(0x03, []) + devices

    private static let entries = [
        HashedEntry(index: 8, v: 0x11, r: 0x1000), HashedEntry(index: 9, v: 0x13, r: 0x2000),
        HashedEntry(index: 16376, v: 0x15, r: 0x3000),
    ]

    @Test func readsATable() throws {
        let table = try HashedTable(inStream: Self.good)
        #expect(table.shift == 18)
        #expect(table.groupCount == 2048)
        #expect(table.entries == Self.entries)
    }

    /// A guest's table may change while it is sent: what was told last counts.
    @Test func whatWasToldLastCounts() throws {
        let stream =
            Self.beginning + Self.configuration + Self.start(shift: 18)
            + Self.part(0x02, [(8, [(0x11, 0x1000), (0x13, 0x2000)], 0), (20, [(0x15, 0x3000)], 0)])
            + Self.part(0x02, [(9, [(0x17, 0x5000)], 0), (20, [], 1)])
            + Self.part(0x03, [(8, [], 1), (30, [(0, 1)], 0)])
        #expect(try HashedTable(inStream: stream).entries == [HashedEntry(index: 9, v: 0x17, r: 0x5000)])
    }

    @Test func cutOffAnywhereIsAnError() throws {
        let byteCount = Self.good.count - Self.devices.count - Self.footer(34).count
        for count in 0..<byteCount {
            let error = #expect(throws: MigrationStreamProblem.self, "\(count)") {
                try HashedTable(inStream: Array(Self.good.prefix(count)))
            }
            #expect(error == .endsEarly(offset: count))
        }
        #expect(try HashedTable(inStream: Array(Self.good.prefix(byteCount))).entries == Self.entries)
    }

    /// Each byte in turn, to several values: another table, or an error, and no end of the program.
    @Test func anyByteMayBeAnything() throws {
        for position in Self.good.indices.dropLast(Self.devices.count) where Self.good[position] != 0x7e {
            for value: UInt8 in [0, 1, 0x7f, 0x80, 0xff] {
                var stream = Self.good
                stream[position] = value
                guard let table = try? HashedTable(inStream: stream) else { continue }
                #expect(table.entries.allSatisfy { $0.isValid && $0.index < 1 << (table.shift - 4) })
            }
        }
    }

    @Test(
        arguments: [
            ([], "ends at byte 0"),
            (Array("QEVM".utf8) + number(2, 4), "has the version 2 at byte 4"),
            (beginning + [0x08], "has a section of kind 8 at byte 8"),
            (beginning + devices, "has no hashed page table"),
            (beginning + [0x00], "has no hashed page table"),
            (beginning + start(shift: 0xffff_ffff), "has no hashed page table"),
            (beginning + start(shift: 17), "has a table of log2 size 17"),
            (beginning + start(shift: 31), "has a table of log2 size 31"),
            (
                beginning + start(shift: 18) + part(0x03, [(16383, [(1, 0), (1, 0)], 0)]),
                "entries behind the table's end"
            ),
            (beginning + start(shift: 18) + part(0x03, [(16383, [], 2)]), "entries behind the table's end"),
            (beginning + [0x02] + number(7, 4), "has a part of section 7"),
            (beginning + [0x01] + number(7, 4) + name("block") + number(0, 8), "has a section with a name of length 5"),
            (beginning + [0x01] + number(2, 4) + name("ram") + number(0, 4) + number(5, 4), "has ram of version 5"),
            (
                beginning + [0x07] + number(1, 4) + [0x70, 0x05] + name("configuration/uuid") + number(1, 4),
                "has a configuration of length 18"
            ),
            (
                beginning + [0x01] + number(2, 4) + name("ram") + number(0, 4) + number(4, 4) + number(0x41, 8),
                "has memory with flags 65"
            ),
            (
                beginning + [0x01] + number(2, 4) + name("ram") + number(0, 4) + number(4, 4) + number(0x1004, 8)
                    + name("a")
                    + number(0x2000, 8) + number(0, 8), "has memory of size 8192"
            ),
        ] as [([UInt8], String)]) func saysWhatIsWrong(stream: [UInt8], words: String) throws
    {
        let error = try #require(throws: MigrationStreamProblem.self) { try HashedTable(inStream: stream) }
        #expect("\(error)".contains(words), "\(error)")
    }
}
