// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import Testing
import Verification
import VmemmapPopulate

/// Nodes that the kernel's list does not have.
@Suite struct FreeNodeFindingTests {
    /// 32 nodes on the list, behind them three that were freed, the newest first, and the rest of the page.
    static func sample() -> Snapshot {
        var snapshot = GoodSnapshot.hash()
        let nodes = (0..<3).map { node(32 + $0) }
        snapshot.add(
            FreeNodes(next: nodes[0], leftCount: 2730 - 35, freedCount: 3, freed: nodes, unused: node(35)))
        return snapshot
    }

    static func node(_ index: Int) -> UInt64 { GoodSnapshot.nodePage + UInt64(index) * 24 }

    static let changes: [Change] = [
        Change("nothing", [], of: sample) { _ in },
        Change("no node page was ever needed", ["list-lost-node"], of: sample) {
            $0.freeNodes = FreeNodes(next: 0, leftCount: 0, freedCount: 0, freed: [], unused: 0)
        },
        Change("a node that was freed and stayed", ["list-free-node"], of: sample) {
            $0.freeNodes?.freed[1] = node(7)
        },
        Change("a node that will be handed out again", ["list-free-node"], of: sample) {
            $0.freeNodes = FreeNodes(next: node(31), leftCount: 2730 - 31, freedCount: 0, freed: [], unused: node(31))
        },
        Change("num_freed is too large", ["list-free-chain"], of: sample) { $0.freeNodes?.freedCount += 1 },
        Change("num_freed is negative", ["list-free-chain"], of: sample) { $0.freeNodes?.freedCount = -1 },
        Change("num_freed is far too large", ["list-free-chain"], of: sample) { $0.freeNodes?.freedCount = .max },
        Change("num_left is too large", ["list-free-chain"], of: sample) { $0.freeNodes?.leftCount += 1 },
        Change("num_left is negative", ["list-free-chain"], of: sample) { $0.freeNodes?.leftCount = -5 },
        Change("num_left is a whole page", ["list-free-chain"], of: sample) { $0.freeNodes?.leftCount = 2730 },
        Change("num_left has wrapped", ["list-free-chain"], of: sample) { $0.freeNodes?.leftCount = .max },
        Change("next leads elsewhere", ["list-free-chain"], of: sample) { $0.freeNodes?.next = node(34) },
        Change("a freed node leads back", ["list-free-chain"], of: sample) { $0.freeNodes?.freed[2] = node(32) },
        Change("a freed node that was never handed out", ["list-free-chain"], of: sample) {
            $0.freeNodes?.freed[2] = node(40)
        },
        Change("a freed node in the middle of others", ["list-free-chain"], of: sample) {
            $0.freeNodes?.freed[1] = node(33) + 8
        },
        Change("the freed nodes lead out of memory", ["list-free-chain"], of: sample) {
            $0.freeNodes?.unused = 0x5a5a_5a5a_5a5a_5a5a
        },
        Change("no freed node, and next is none", ["list-free-chain"], of: sample) {
            $0.freeNodes = FreeNodes(next: 0, leftCount: 5, freedCount: 0, freed: [], unused: 0)
        },
        Change("a freed node in memory that is not there", ["list-outside-memory", "list-lost-node"], of: sample) {
            $0.freeNodes?.freed[1] = 0xc000_0000_0000_0000 + 3 << 30
        },
        Change("a freed node in a block", ["list-in-block", "list-lost-node"], of: sample) {
            $0.freeNodes?.freed[1] = 0xc000_0000_0000_0000 + GoodSnapshot.firstBlock + 24
        },
        Change("a freed node less", ["list-lost-node"], of: sample) {
            $0.freeNodes?.freedCount -= 1
            $0.freeNodes?.freed.removeLast()
        },
        Change("a node that the list has lost", ["list-coverage-hole"], of: sample) {
            // Its node was freed: the kernel took the entry off, and should not have.
            $0.changeList { $0.entries.removeFirst() }
            $0.freeNodes?.freed.insert(node(31), at: 0)
            $0.freeNodes?.freedCount += 1
            $0.freeNodes?.next = node(31)
        },
    ]

    @Test(arguments: changes) func changeIsFound(change: Change) throws {
        let names = try Verifier.verdict(on: change.snapshot()).findings.map(\.name)
        #expect(Set(names) == Set(change.names), "\(names)")
    }

    @Test func aNodeOfAKernelThatDiedAtWorkMayBeOnItsWay() throws {
        var snapshot = Self.sample()
        snapshot.freeNodes?.freedCount -= 1
        snapshot.freeNodes?.freed.removeFirst()
        snapshot.freeNodes?.next = Self.node(33)
        #expect(try Verifier.verdict(on: snapshot).findings.map(\.name) == ["list-lost-node"])
        snapshot.interruptedAdd = snapshot.memory[1]
        snapshot.witnesses = Witness.afterCrash(of: snapshot.witnesses)
        (snapshot.report, snapshot.translations) = (nil, [])
        #expect(try !Verifier.verdict(on: snapshot).findings.contains { $0.name == "list-lost-node" })
    }

    @Test func aKernelWithoutAListHasNone() {
        var snapshot = GoodSnapshot.radixTables()
        snapshot.add(FreeNodes(next: 0, leftCount: 0, freedCount: 0, freed: [], unused: 0))
        #expect(snapshot.freeNodes == nil)
    }
}
