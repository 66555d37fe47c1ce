// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import TestSupport
import Testing
import Verification
import VmemmapPopulate

/// Faults of the links, as a walk of damaged memory gives them.
@Suite struct LinkFindingTests {
    /// Where a damaged link leads, and what is found on the kernel's list. The mirror and the report are as they were.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The node whose link is damaged, counted from the head; nil is the head itself.
        let index: Int?
        let link: UInt64
        let end: ListWalk.End
        let name: String
        /// How many nodes are still reached.
        let reached: Int
    }

    static let page = GoodSnapshot.nodePage
    static let damages = [
        Damage(
            testDescription: "cycle through the head", index: 31, link: page + 31 * 24, end: .cycle, name: "list-cycle",
            reached: 32),
        Damage(
            testDescription: "cycle past the head", index: 31, link: page + 12 * 24, end: .cycle, name: "list-cycle",
            reached: 32),
        Damage(
            testDescription: "a node that links to itself", index: 31, link: page, end: .cycle, name: "list-cycle",
            reached: 32),
        Damage(
            testDescription: "link to where no memory is", index: 31, link: page + 32 * 24, end: .unreadable,
            name: "list-link-outside-memory", reached: 32),
        Damage(
            testDescription: "link to no place for a node", index: 31, link: page + 8, end: .misplaced,
            name: "list-misplaced-node", reached: 32),
        Damage(
            testDescription: "head to where no memory is", index: nil, link: page + 65536, end: .unreadable,
            name: "list-link-outside-memory", reached: 0),
        Damage(
            testDescription: "head to no place for a node", index: nil, link: .max, end: .misplaced,
            name: "list-misplaced-node", reached: 0),
    ]

    private func walk(_ list: ListWalk, limit: Int, _ change: (inout SparseWords) -> Void = { _ in }) -> ListWalk {
        var words = SparseWords()
        for entry in list.entries {
            words.content[entry.node] = entry.list
            words.content[entry.node + 8] = entry.phys
            words.content[entry.node + 16] = entry.virtAddr
        }
        change(&words)
        return ListWalk(head: list.head, in: words, pageByteCount: 65536, limit: limit)
    }

    @Test func takesAWalkOver() {
        let list = GoodSnapshot.hash().kernelList
        #expect(walk(list, limit: 32) == list)
    }

    @Test(arguments: damages) func findsTheDamage(damage: Damage) throws {
        var snapshot = GoodSnapshot.hash()
        var list = snapshot.kernelList
        if damage.index == nil { list.head = damage.link }
        snapshot.kernelList = walk(list, limit: 100) { words in
            if let index = damage.index { words.content[list.entries[index].node] = damage.link }
        }
        #expect(snapshot.kernelList.entries.count == damage.reached)
        #expect(snapshot.kernelList.end == damage.end)
        #expect(snapshot.kernelList.endLink == damage.link)
        let findings = try Verifier.verdict(on: snapshot).findings
        // The report still has the good link. A list that cannot be entered lacks everything besides.
        let names = Set(findings.map(\.name))
        let consequences: Set = [
            "list-coverage-hole", "mirror-extra-entry", "report-extra-entry", "model-extra-entry",
        ]
        let expected: Set = [damage.name, "report-other-node"]
        #expect(names == (damage.reached == 0 ? consequences.union(expected) : expected))
        #expect(findings.contains { $0.message.contains(damage.link.hexadecimal) })
    }

    @Test func aListThatMemoryCannotNeedIsTooLong() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.kernelList = walk(snapshot.kernelList, limit: 31)
        #expect(snapshot.kernelList.end == .limitReached)
        #expect(snapshot.kernelList.endLink == GoodSnapshot.nodePage)
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.name)
                == ["list-too-long"] + ListFindingTests.holes(4) + [
                    "mirror-extra-entry", "report-extra-entry", "model-extra-entry",
                ])
    }

    /// The same ends in the other accounts.
    @Test(
        arguments: [
            (.cycle, "cycle"), (.misplaced, "misplaced-node"), (.unreadable, "link-outside-memory"),
            (.limitReached, "too-long"), (.truncated, "truncated"),
        ] as [(ListWalk.End, String)])
    func everyAccountHasItsOwnFinding(end: ListWalk.End, fault: String) throws {
        var snapshot = GoodSnapshot.hash()
        // Where the last link leads to in such a list: back, into a node, to where no memory is.
        func damage(_ list: inout ListWalk) {
            let link: UInt64 =
                end == .misplaced ? 8 : list.entries[end == .cycle ? 3 : 0].node + (end == .cycle ? 0 : 48)
            (list.end, list.endLink, list.entries[31].list) = (end, link, link)
        }
        damage(&snapshot.kernelList)
        if var mirror = snapshot.mirror {
            damage(&mirror.list)
            snapshot.mirror = mirror
        }
        if var report = snapshot.report {
            damage(&report.list)
            snapshot.report = report
        }
        let verdict = try Verifier.verdict(on: snapshot)
        #expect(verdict.findings.map(\.name) == ["list-\(fault)", "mirror-\(fault)", "report-\(fault)"])
        #expect(verdict.witnesses.map(\.standing) == [.contradicts, .contradicts, .contradicts, .agrees, .agrees])
    }
}
