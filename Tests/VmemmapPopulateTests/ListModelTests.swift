// SPDX-License-Identifier: Apache-2.0

import Testing
import VmemmapPopulate

private let vmemmap: UInt64 = 0xc00c_0000_0000_0000
private let gibibyte: UInt64 = 1 << 30

struct ListModelTests {
    private static func entry(window: UInt64, node: UInt64) -> ListModel.Entry {
        ListModel.Entry(virtAddr: vmemmap + window << 16, place: .init(page: 0, offset: node * 24))
    }

    private let layout: EmulatedLayout
    private let boot = [0..<gibibyte]
    private let plugged = gibibyte..<2 * gibibyte

    init() throws {
        layout = try EmulatedLayout(rules: .hash, pageByteCount: 65536)
    }

    @Test func boot1GiB() throws {
        let model = try ListModel(layout: layout, bootMemory: boot)
        #expect(model.entries == (0..<16).reversed().map { Self.entry(window: $0, node: $0) })
        #expect(model.entries.first?.virtAddr == 0xc00c_0000_000f_0000)
        #expect(model.entries.first?.place.offset == 360)
    }

    @Test func plug() throws {
        let model = try ListModel(layout: layout, bootMemory: boot, history: [.add(plugged)])
        #expect(model.entries == (0..<32).reversed().map { Self.entry(window: $0, node: $0) })
        #expect(model.entries.first?.virtAddr == 0xc00c_0000_001f_0000)
        #expect(model.entries.first?.place.offset == 744)
    }

    @Test func unplug() throws {
        let model = try ListModel(layout: layout, bootMemory: boot, history: [.add(plugged), .remove(plugged)])
        #expect(model.entries == (0..<16).reversed().map { Self.entry(window: $0, node: $0) })
    }

    /// Windows go in ascending order, so the highest one's node is on top of the stack of freed ones. The lowest window takes the node of the highest: the newest entry, window 31, stands at 16 × 24.
    @Test func replug() throws {
        let model = try ListModel(
            layout: layout, bootMemory: boot, history: [.add(plugged), .remove(plugged), .add(plugged)])
        #expect(
            model.entries.prefix(16).map(\.place.offset) == [
                384, 408, 432, 456, 480, 504, 528, 552, 576, 600, 624, 648, 672, 696, 720, 744,
            ])
        #expect(model.entries.map(\.virtAddr) == (0..<32).reversed().map { vmemmap + $0 << 16 })
        #expect(model.entries.dropFirst(16).map(\.place.offset) == (0..<16).reversed().map { $0 * 24 })
        // The same again: the stack is popped and pushed in the same order, so that the nodes change places back.
        let again = try ListModel(
            layout: layout, bootMemory: boot,
            history: [.add(plugged), .remove(plugged), .add(plugged), .remove(plugged), .add(plugged)])
        #expect(again == (try ListModel(layout: layout, bootMemory: boot, history: [.add(plugged)])))
    }

    /// More than is free: freed nodes first, then the page's next fresh one.
    @Test func replugOfMore() throws {
        let model = try ListModel(
            layout: layout, bootMemory: boot,
            history: [.add(plugged), .remove(plugged), .add(gibibyte..<3 * gibibyte)])
        #expect(model.entries.count == 48)
        #expect(model.entries[0] == Self.entry(window: 47, node: 47))
        #expect(model.entries[15] == Self.entry(window: 32, node: 32))
        #expect(model.entries[16] == Self.entry(window: 31, node: 16))
        #expect(model.entries[31] == Self.entry(window: 16, node: 31))
    }

    struct Guest: Sendable, CustomTestStringConvertible {
        let rules: PopulateRules
        let page: UInt64
        let vmemmapPage: UInt64
        let boot: UInt64
        let plug: Range<UInt64>
        let entries: [Int]

        var testDescription: String { "\(rules), \(page), \(vmemmapPage): \(entries)" }
    }

    /// What guests have shown: entries after boot, after the plug, after the unplug.
    @Test(arguments: [
        Guest(
            rules: .hash, page: 65536, vmemmapPage: 65536, boot: 1, plug: 1..<4, entries: [16, 64, 16]),
        Guest(rules: .radixList, page: 65536, vmemmapPage: 2 << 20, boot: 1, plug: 1..<4, entries: [1, 2, 1]),
        Guest(rules: .hash, page: 65536, vmemmapPage: 16 << 20, boot: 2, plug: 2..<10, entries: [1, 1, 1]),
        Guest(rules: .hash, page: 4096, vmemmapPage: 4096, boot: 1, plug: 1..<2, entries: [4096, 8192, 4096]),
        Guest(rules: .hash, page: 4096, vmemmapPage: 16 << 20, boot: 1, plug: 1..<4, entries: [1, 4, 1]),
        Guest(rules: .hash, page: 65536, vmemmapPage: 4096, boot: 1, plug: 1..<2, entries: [256, 512, 256]),
        Guest(rules: .radixTables, page: 65536, vmemmapPage: 2 << 20, boot: 1, plug: 1..<4, entries: [0, 0, 0]),
    ])
    func guests(guest: Guest) throws {
        let layout = try EmulatedLayout(
            rules: guest.rules, pageByteCount: guest.page, vmemmapPageByteCount: guest.vmemmapPage)
        let plug = guest.plug.lowerBound * gibibyte..<guest.plug.upperBound * gibibyte
        let histories: [[ListModel.Step]] = [[], [.add(plug)], [.add(plug), .remove(plug)]]
        let counts = try histories.map {
            try ListModel(layout: layout, bootMemory: [0..<guest.boot * gibibyte], history: $0).entries.count
        }
        #expect(counts == guest.entries)
    }

    /// 4K hash, 1 GiB unplugged: 24 of the 49 pages are without an entry, and are filled again before there is another.
    @Test func emptyPagesAreKept() throws {
        let layout = try EmulatedLayout(rules: .hash, pageByteCount: 4096)
        func entriesPerPage(_ history: [ListModel.Step]) throws -> [UInt64: Int] {
            let model = try ListModel(layout: layout, bootMemory: boot, history: history)
            return Dictionary(grouping: model.entries, by: \.place.page).mapValues(\.count)
        }
        let full = try entriesPerPage([.add(plugged)])
        #expect(full.keys.sorted() == Array(0...48))
        let unplugged = try entriesPerPage([.add(plugged), .remove(plugged)])
        #expect(unplugged.keys.sorted() == Array(0...24))
        #expect(unplugged[24] == 4096 - 24 * 170)
        #expect(try entriesPerPage([.add(plugged), .remove(plugged), .add(plugged)]) == full)
    }

    @Test func historiesThatCannotBe() throws {
        func error(_ history: [ListModel.Step]) -> HotplugError? {
            do throws(HotplugError) {
                _ = try ListModel(layout: layout, bootMemory: boot, history: history)
                return nil
            } catch { return error }
        }
        let block = gibibyte..<gibibyte + 256 << 20
        #expect(error([.remove(plugged)]) == .notPresent(block))
        #expect(error([.add(plugged), .add(plugged)]) == .overlaps(block))
        let odd = gibibyte..<gibibyte + 8 << 20
        #expect(error([.add(odd)]) == .unaligned(odd, unit: 16 << 20))
    }
}
