// SPDX-License-Identifier: Apache-2.0

import CWalks
import Glibc
import GuestMemory
import KernelState
import VmemmapPopulate

/// What the host takes to read a kernel's bookkeeping in mapped guest RAM, beside C that follows the same links in the same
/// file and keeps the same of them; and what it takes to judge a snapshot.
///
/// The C code checks that it stays in memory, and counts. The walks do more than that: they tell apart how a list or a table
/// can be damaged. Exits with 1 when one of them takes more than twice as long, or the
/// verifier more than 1 µs an entry.
@main
struct Walks {
    static let roundCount = 101
    static let listLimit = 2.0
    static let tablesLimit = 2.0
    static let judgingLimit = 1.0

    struct Failure: Error {}

    static func main() throws {
        var isGood = true
        for order in [ByteOrder.little, .big] {
            let guest = try MadeGuest(order: order)
            isGood = try walkList(guest) && isGood
            isGood = try walkTables(guest) && isGood
        }
        for memory: UInt64 in [4 << 30, 256 << 30] { isGood = try Judging.measure(memory) && isGood }
        exit(isGood ? 0 : 1)
    }

    private static func walkList(_ guest: MadeGuest) throws -> Bool {
        var entries: UnsafeMutablePointer<list_entry>?
        defer { free(entries) }
        var count = 0
        var walk: ListWalk?
        let times = try compare {
            walk = try guest.kernel.list(in: guest.memory, within: guest.bounds)
        } with: {
            free(entries)
            count = list_walk(&guest.mapped, guest.head, MadeGuest.nodeCount, &entries)
        }
        guard let walk, walk.end == .terminated, count == MadeGuest.nodeCount,
            walk.entries.elementsEqual(
                UnsafeBufferPointer(start: entries, count: count),
                by: { $0 == ListEntry(node: $1.node, list: $1.list, phys: $1.phys, virtAddr: $1.virt_addr) }
            )
        else { throw Failure() }
        return show("list walk, \(guest.order)-endian", "node", times, count, limit: listLimit)
    }

    private static func walkTables(_ guest: MadeGuest) throws -> Bool {
        var leaves: UnsafeMutablePointer<table_leaf>?
        defer { free(leaves) }
        let range = guest.mapRange
        var count = 0
        var walk: RadixWalk?
        let times = compare {
            walk = guest.kernel.memoryMapTables(of: guest.map, in: guest.memory, within: guest.bounds)
        } with: {
            free(leaves)
            count = table_walk(
                &guest.mapped, MadeGuest.root, range.lowerBound, range.upperBound, MadeGuest.leafCount, &leaves)
        }
        guard let walk, walk.faults.isEmpty, count == MadeGuest.leafCount,
            walk.leaves.elementsEqual(
                UnsafeBufferPointer(start: leaves, count: count),
                by: {
                    $0
                        == RadixWalk.Leaf(
                            entryAddress: PhysicalAddress($1.entry), virtAddr: $1.virt_addr, phys: $1.phys,
                            byteCount: $1.size)
                })
        else { throw Failure() }
        return show("table walk, \(guest.order)-endian", "leaf", times, count, limit: tablesLimit)
    }

    /// The medians of rounds in turn.
    private static func compare(
        _ swift: () throws -> Void, with c: () throws -> Void
    ) rethrows -> (swift: Duration, c: Duration) {
        let clock = ContinuousClock()
        var times: (swift: [Duration], c: [Duration]) = ([], [])
        for _ in 0..<roundCount {
            times.swift.append(try clock.measure(swift))
            times.c.append(try clock.measure(c))
        }
        return (median(times.swift), median(times.c))
    }

    static func median(_ times: [Duration]) -> Duration { times.sorted()[times.count / 2] }

    private static func show(
        _ what: String, _ unit: String, _ times: (swift: Duration, c: Duration), _ count: Int, limit: Double
    ) -> Bool {
        func each(_ time: Duration) -> String { decimal(time / .nanoseconds(1) / Double(count)) }
        let ratio = times.swift / times.c
        print(
            "\(padded(what)) \(count): \(each(times.swift)) ns a \(unit), C \(each(times.c)) ns, ratio "
                + decimal(ratio))
        if ratio > limit { print("more than \(limit)") }
        return ratio <= limit
    }

    static func padded(_ text: String) -> String { text + String(repeating: " ", count: max(0, 25 - text.count)) }

    /// With two digits behind the point.
    static func decimal(_ number: Double) -> String {
        let hundredths = Int((number * 100).rounded())
        return "\(hundredths / 100)." + (hundredths % 100 < 10 ? "0" : "") + "\(hundredths % 100)"
    }
}
