// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics

// What no walk of radix page tables gives, whatever they hold: its tables, leaves and faults are told of the same entries.

extension WalkedTables {
    /// Refuses tables, leaves and faults that no walk has come to together. Nothing is asked of a walk that does not tell its
    /// tables, or that was cut.
    func checkConsistency(of kernel: KernelFacts, field: String) throws(SnapshotProblem) {
        guard let tables, isCut != true else { return }
        var walk = Walk(levels: RadixWalk.levels(pageByteCount: kernel.pageByteCount), start: kernel.vmemmapBase)
        for (index, table) in tables.enumerated() where !walk.enter(table) {
            throw SnapshotProblem(
                field: "\(field).tables[\(index)]",
                value: "is of level \(table.level), \(table.byteCount) bytes, for \(table.virtAddr.hexadecimal)",
                limit: "a table to which one of the level above leads, behind all for lower addresses")
        }
        for (index, window) in windows.enumerated() where !walk.note(window) {
            throw SnapshotProblem(
                field: "\(field).windows[\(index)]",
                value: "is \(window.byteCount) bytes at \(window.virtAddr.hexadecimal) by the entry at "
                    + window.place.hexadecimal,
                limit: "by an entry of a table that is told")
        }
        for fault in faults { walk.note(fault) }
        for (index, table) in tables.enumerated() where (table.state == .used) != walk.isUsed[index] {
            throw SnapshotProblem(
                field: "\(field).tables[\(index)]", value: "is \(table.state.rawValue)",
                limit: "empty where no entry of it is told, and used where one is")
        }
    }

    /// The tables that were entered, and what was found in them.
    private struct Walk {
        /// A table's level and the first address that a whole one would be for.
        private struct Key: Hashable {
            let level: Int
            let start: UInt64
        }

        let levels: [4 of RadixWalk.Level]
        /// Where the walk began.
        let start: UInt64
        /// Of each table, in order: whether an entry of it is told.
        private(set) var isUsed: [Bool] = []
        private var tables: [Table] = []
        private var places: [Key: Int] = [:]
        /// The last table of each level: the way down to the one that was entered last.
        private var last: [Int?] = [nil, nil, nil, nil]
        /// Where the last window was.
        private var current: (key: Key, place: Int)?

        init(levels: [4 of RadixWalk.Level], start: UInt64) { (self.levels, self.start) = (levels, start) }

        /// The table of a level that an address belongs to.
        private func key(_ level: Int, _ virtAddr: UInt64) -> Key {
            Key(level: level, start: virtAddr >> (levels[level].shift + levels[level].indexSize))
        }

        mutating func enter(_ table: Table) -> Bool {
            guard (1...3).contains(table.level) else { return false }
            let level = Int(table.level)
            guard table.byteCount == 8 << levels[level].indexSize, table.base % table.byteCount == 0 else {
                return false
            }
            let byteCount: UInt64 = 1 << levels[level - 1].shift
            guard table.virtAddr == max(table.virtAddr.alignedDown(to: byteCount), start) else { return false }
            if let before = tables.last, table.virtAddr < before.virtAddr { return false }
            if level > 1 {
                guard let parent = last[level - 1],
                    key(level - 1, tables[parent].virtAddr) == key(level - 1, table.virtAddr)
                else { return false }
                isUsed[parent] = true
            }
            let place = tables.count
            guard places.updateValue(place, forKey: key(level, table.virtAddr)) == nil else { return false }
            tables.append(table)
            isUsed.append(false)
            last[level] = place
            for below in level + 1..<4 { last[below] = nil }
            return true
        }

        mutating func note(_ window: BackedWindow) -> Bool {
            guard let level = (1...3).first(where: { 1 << levels[$0].shift == window.byteCount }) else { return false }
            let key = key(level, window.virtAddr)
            if current?.key != key { current = places[key].map { (key, $0) } }
            guard let place = current?.place, current?.key == key else { return false }
            let index = window.virtAddr >> levels[level].shift & (1 << levels[level].indexSize - 1)
            isUsed[place] = true
            return window.place == tables[place].base &+ index * 8
        }

        /// An entry that leads nowhere is one of the tables that its address leads to, or the root's.
        mutating func note(_ fault: Fault) {
            for level in 1...3 {
                guard let place = places[key(level, fault.virtAddr)], tables[place].holds(fault.entry) else { continue }
                isUsed[place] = true
            }
        }
    }
}

extension WalkedTables.Table {
    /// Whether a place is one of its entries'.
    fileprivate func holds(_ entry: UInt64) -> Bool { entry >= base && entry - base < byteCount }
}
