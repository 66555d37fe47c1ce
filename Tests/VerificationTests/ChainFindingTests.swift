// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Testing
import Verification
import VmemmapPopulate

/// Walks that contradict themselves, and a header that does not fit its region: in a snapshot nobody reads memory again.
@Suite struct ChainFindingTests {
    /// What is done to a walk of 32 nodes, or of three; nodes are those of the list.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let faults: [String]
        let make: @Sendable (inout ListWalk) -> Void

        init(_ title: String, _ faults: [String], _ make: @escaping @Sendable (inout ListWalk) -> Void) {
            testDescription = title
            self.faults = faults
            self.make = make
        }
    }

    static let damages: [Damage] = [
        Damage("a link is another node's", ["broken-chain"]) { $0.entries[0].list += 24 },
        Damage("a link is zero", ["broken-chain"]) { $0.entries[1].list = 0 },
        Damage("the last link leads on", ["broken-chain"]) { $0.entries[$0.entries.count - 1].list = $0.head },
        Damage("the head is another node's", ["broken-chain"]) { $0.head -= 24 },
        Damage("the head is zero", ["broken-chain"]) { $0.head = 0 },
        Damage("a node is between two", ["broken-chain", "misplaced-node"]) { $0.entries[1].node += 8 },
        Damage("a node is nowhere", ["broken-chain", "misplaced-node"]) { $0.entries[1].node = 0x18 },
        Damage("two nodes change places", ["broken-chain", "broken-chain"]) {
            ($0.entries[0].node, $0.entries[1].node) = ($0.entries[1].node, $0.entries[0].node)
        },
        Damage("a node is told of twice", ["broken-chain", "broken-chain"]) { $0.entries[1].node = $0.entries[0].node },
        Damage("the end's link leads on", ["broken-chain"]) { $0.endLink = $0.head },
        Damage("it is said to end in a cycle", ["cycle", "broken-chain"]) { $0.end = .cycle },
        Damage("it is said to end where no node can stand", ["misplaced-node", "broken-chain"]) { $0.end = .misplaced },
        Damage("it is said to end outside memory", ["link-outside-memory", "broken-chain"]) {
            ($0.end, $0.endLink) = (.unreadable, $0.head)
        },
        Damage("it is said to go on", ["too-long", "broken-chain"]) { $0.end = .limitReached },
    ]

    @Test(arguments: damages) func inTheKernelsList(damage: Damage) throws {
        try expect(damage, "list") { damage.make(&$0.kernelList) }
    }

    @Test(arguments: damages) func inTheReport(damage: Damage) throws {
        try expect(damage, "report") { if var report = $0.report { damage.make(&report.list); $0.report = report } }
    }

    /// The mirror is the only witness of its own chain, beside a list and without one.
    @Test(arguments: damages) func inTheMirror(damage: Damage) throws {
        try expect(damage, "mirror") { if var mirror = $0.mirror { damage.make(&mirror.list); $0.mirror = mirror } }
    }

    private func expect(_ damage: Damage, _ subject: String, _ change: (inout Snapshot) -> Void) throws {
        let goods =
            [GoodSnapshot.hash(), GoodSnapshot.radix()] + (subject == "mirror" ? [GoodSnapshot.radixTables()] : [])
        for good in goods {
            var snapshot = good
            #expect(try Verifier.verdict(on: snapshot).findings == [])
            change(&snapshot)
            let verdict = try Verifier.verdict(on: snapshot)
            let others: Set<Finding.Fault> = [.header, .otherNode, .nodePages, .outsideMemory]
            let names = verdict.findings.filter { !others.contains($0.fault) }.map(\.name)
            // Of three nodes, some damage reaches the next.
            let expected = damage.faults.map { "\(subject)-\($0)" }
            #expect(Set(names).isSuperset(of: expected), "\(names)")
            #expect(
                good.account == .pageTables || snapshot.kernelList.entries.count < 32
                    || names.sorted() == expected.sorted())
            #expect(!verdict.hasPassed)
        }
    }

    /// The agent's allocator puts nodes into the node pages of the region's layout, and nowhere else.
    @Test(
        arguments: [0, 24, 65536, GoodSnapshot.mirrorPage - 65536, GoodSnapshot.mirrorPage + 65536 * 64, 1 << 40]
            as [UInt64])
    func aMirrorNodeOutsideTheNodePages(node: UInt64) throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.mirror?.list.entries[3].node = node
        snapshot.mirror?.list.entries[2].list = node
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["mirror-misplaced-node"])
    }

    /// Every word of the header, wrong in turn: all of them have to be what the format, the list or somebody else says.
    @Test(arguments: 0..<36) func everyHeaderWord(index: Int) throws {
        let good = GoodSnapshot.hash()
        let word = try #require(good.mirror?.header[index])
        for value in [word.value ^ 1, word.value &+ 1 << 32 | 1, .max] {
            var snapshot = good
            snapshot.mirror?.header[index].value = value
            let findings = try Verifier.verdict(on: snapshot).findings
            #expect(findings.allSatisfy { $0.name == "mirror-header" } && !findings.isEmpty, "\(word.field)")
            let text = "header word \(word.field) is \(value.hexadecimal); "
            #expect(findings.contains { $0.message.hasPrefix(text) }, "\(findings.map(\.message))")
        }
    }

    /// All words in order and each once, and all that is stated of them.
    static let forms: [(String, @Sendable (inout MirrorSnapshot) -> Void)] = [
        ("a word is missing", { $0.header.remove(at: 5) }), ("the last word is missing", { $0.header.removeLast() }),
        ("no word is there", { $0.header = [] }), ("a word stands twice", { $0.header.insert($0.header[5], at: 5) }),
        ("two words change places", { $0.header.swapAt(5, 6) }),
        ("a word has another name", { $0.header[13].field = "eventcount" }),
        ("one more word", { $0.header.append(.init(field: "release[9]", value: 0)) }),
        ("a statement is missing", { $0.statements.remove(at: 2) }), ("nothing is stated", { $0.statements = [] }),
        ("two statements change places", { $0.statements.swapAt(2, 3) }),
        ("a statement twice", { $0.statements.append($0.statements[0]) }),
        ("a region of another size", { $0.statements[0].value = 8 << 20 }),
        ("a region of no size", { $0.statements[0].value = 0 }),
        ("another head is stated", { $0.statements[1].value += 24 }),
        ("another number of freed nodes", { $0.statements[2].value = 5 }),
        ("the list was walked from elsewhere", { $0.set(.head, $0.list.head - 24) }),
    ]

    @Test(arguments: forms) func theHeadersForm(title: String, change: @Sendable (inout MirrorSnapshot) -> Void) throws
    {
        for good in [GoodSnapshot.hash(), GoodSnapshot.radixTables()] {
            var snapshot = good
            if var mirror = snapshot.mirror {
                change(&mirror)
                snapshot.mirror = mirror
            }
            let names = Set(try Verifier.verdict(on: snapshot).findings.map(\.name))
            #expect(names.contains("mirror-header"), "\(title): \(names)")
        }
    }

    /// As many origins as entries, and as many sizes where entries have them.
    static let origins: [(String, @Sendable (inout MirrorSnapshot) -> Void)] = [
        ("doubled", { $0.provenance += $0.provenance }), ("one too many", { $0.provenance.append(.seeded) }),
        ("cut", { $0.provenance.removeLast() }), ("none", { $0.provenance = [] }),
        ("sizes doubled", { $0.leafByteCounts = $0.leafByteCounts.map { $0 + $0 } ?? [0] }),
        ("sizes cut", { $0.leafByteCounts = $0.leafByteCounts.map { $0.dropLast() } ?? [] }),
    ]

    @Test(arguments: origins) func asManyOriginsAsEntries(
        title: String, change: @Sendable (inout MirrorSnapshot) -> Void
    ) throws {
        for good in [GoodSnapshot.hash(), GoodSnapshot.radixTables()] {
            var snapshot = good
            if var mirror = snapshot.mirror {
                change(&mirror)
                snapshot.mirror = mirror
            }
            let names = try Verifier.verdict(on: snapshot).findings.map(\.name)
            #expect(names.contains("mirror-origin"), "\(title): \(names)")
        }
    }
}
