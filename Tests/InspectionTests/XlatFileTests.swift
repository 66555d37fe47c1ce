// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Testing
import Verification

/// The fixtures in the form of libkdumpfile's tests: what stands in them leads to the entries that the host has read.
@Suite struct XlatFileTests {
    /// `.sym` and `.data`: what stands behind each line that begins with `@`.
    private static func values(_ lines: [String]) -> [String: [UInt64]] {
        var values: [String: [UInt64]] = [:]
        var key = ""
        for line in lines where !line.hasPrefix("#") {
            if line.hasPrefix("@") {
                key = String(line.dropFirst())
            } else {
                values[key, default: []] += line.split(separator: " ").compactMap { UInt64($0, radix: 16) }
            }
        }
        return values
    }

    private static func physical(_ address: UInt64) -> String { (address & 0x0fff_ffff_ffff_ffff).hexadecimal }

    /// A walk of the list in `.data`, as any reader of `vmemmap_list` does it.
    @Test(arguments: Fixture.all.filter(\.hasList)) func theListIsTheHosts(fixture: Fixture) throws {
        let expected = try fixture.expected()
        let symbols = try Self.values(fixture.lines("xlat-linux-ppc64-\(fixture.name).sym"))
        let data = try Self.values(fixture.lines("xlat-linux-ppc64-\(fixture.name).data"))
        let head = try #require(symbols["VALUE(vmemmap_list)"]?.first)
        let offsets = try ["list", "phys", "virt_addr"].map {
            Int(try #require(symbols["OFFSETOF(vmemmap_backing, \($0))"]?.first)) / 8
        }
        var node = try #require(data[Self.physical(head)]?.first)
        var entries: [BackedWindow] = []
        while node != 0, entries.count <= expected.entries.count {
            let words = try #require(data[Self.physical(node)])
            #expect(words.count == 3)
            entries.append(
                BackedWindow(
                    place: node, virtAddr: words[offsets[2]], phys: words[offsets[1]],
                    byteCount: try Self.vmemmapPageByteCount(symbols, data)))
            node = words[offsets[0]]
        }
        #expect(entries == expected.entries)
        // The table that has to come of it.
        let table = try fixture.lines("xlat-linux-ppc64-\(fixture.name).expect")
        #expect(table.contains("  endoff=\(((entries.first?.byteCount ?? 0) - 1).hexadecimal)"))
        #expect(
            table.filter { $0.contains(" -> ") && $0.hasPrefix("  ") }
                == entries.map { "  \($0.virtAddr.hexadecimal.dropFirst(2)) -> \($0.phys.hexadecimal.dropFirst(2))" })
    }

    private static func vmemmapPageByteCount(_ symbols: [String: [UInt64]], _ data: [String: [UInt64]]) throws -> UInt64
    {
        func symbol(_ name: String) throws -> UInt64 { try #require(symbols[name]?.first) }
        let index = try #require(data[physical(symbol("VALUE(mmu_vmemmap_psize)"))]?.first)
        let definition =
            try symbol("VALUE(mmu_psize_defs)") + index * symbol("SIZEOF(mmu_psize_def)")
            + symbol("OFFSETOF(mmu_psize_def, shift)")
        return 1 << (try #require(data[physical(definition)]?.first))
    }

    /// A walk of the page tables in `.data` (Power ISA 3.0, 5.7.10), for the first byte of each leaf.
    @Test(arguments: Fixture.all.filter { !$0.hasList }) func theTablesAreTheHosts(fixture: Fixture) throws {
        let expected = try fixture.expected()
        let symbols = try Self.values(fixture.lines("xlat-linux-ppc64-\(fixture.name).sym"))
        let data = try Self.values(fixture.lines("xlat-linux-ppc64-\(fixture.name).data"))
        let list = try #require(symbols["VALUE(vmemmap_list)"]?.first)
        #expect(data[Self.physical(list)] == [0])
        let root = try #require(symbols["VALUE(swapper_pg_dir)"]?.first) & 0x0fff_ffff_ffff_ffff
        for window in expected.entries {
            var (table, shift, bits) = (root, 52 as UInt64, 13 as UInt64)
            while true {
                try #require(bits > 0 && bits < shift)
                shift -= bits
                let entry = table + ((window.virtAddr >> shift) & (1 << bits - 1)) * 8
                let value = try #require(data[entry.hexadecimal]?.first)
                guard value >> 62 & 1 == 0 else {
                    #expect(entry == window.place)
                    #expect(value & 0x01ff_ffff_ffff_f000 == window.phys)
                    #expect(1 << shift == window.byteCount)
                    break
                }
                (table, bits) = (value & 0x0fff_ffff_ffff_ff00, value & 0x1f)
            }
        }
    }

    /// `sys-xlat`'s lines: first and last byte of windows, and where they lead.
    @Test(arguments: Fixture.all) func theTranslationsAreTheHosts(fixture: Fixture) throws {
        let expected = try fixture.expected()
        let lines = try fixture.lines("sys-xlat-linux-ppc64-\(fixture.name).expect")
        var wanted: [String] = []
        let step = expected.entries.count > 256 ? 64 : 1
        for window in expected.entries.enumerated().filter({ $0.offset % step == 0 }).map(\.element) {
            for offset in [0, window.byteCount - 1] {
                wanted.append(
                    "KVADDR:\((window.virtAddr + offset).hexadecimal) -> KPHYSADDR:\((window.phys + offset).hexadecimal)"
                )
            }
        }
        #expect(lines == wanted)
    }
}
