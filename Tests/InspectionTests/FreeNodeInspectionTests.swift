// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Inspection
import KernelState
import MemoryBackends
import RunRecord
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import OfflineCommands

/// The nodes that a dead kernel's list does not have: its file tells where they are, and its dump may lack them.
@Suite struct FreeNodeInspectionTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Where the kernel keeps `next`; `num_left` and `num_freed` are behind it.
    private static let next: UInt64 = 0x20_2000
    /// A page of a present section that is in no dump.
    private static let lacking: UInt64 = 0x60_0000
    private static let nodesPerPage: UInt64 = 2730

    private static func node(_ index: UInt64) -> UInt64 { LinearMap.base + SampleKernel.node + index * 24 }

    /// What the variables say, and what is found.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let next: UInt64
        let leftCount: UInt64
        let freedCount: UInt64
        /// What freed nodes lead to.
        var links: [UInt64: UInt64] = [:]
        var findings: [String] = []
        var unsaid: [Unsaid] = []
    }

    static let cases = [
        Case(testDescription: "none was freed", next: node(16), leftCount: nodesPerPage - 16, freedCount: 0),
        Case(
            testDescription: "two were freed", next: node(17), leftCount: nodesPerPage - 18, freedCount: 2,
            links: [node(17): node(16), node(16): node(18)]),
        Case(
            testDescription: "a node of the list is free", next: node(15), leftCount: nodesPerPage - 15, freedCount: 0,
            findings: ["list-free-node"]),
        Case(
            testDescription: "a node is nowhere", next: node(17), leftCount: nodesPerPage - 17, freedCount: 0,
            findings: ["list-lost-node"]),
        Case(
            testDescription: "num_freed is too large", next: node(16), leftCount: nodesPerPage - 16, freedCount: 2,
            links: [node(16): node(16) + 8], findings: ["list-free-chain"]),
        Case(
            testDescription: "a freed node in memory that the kernel has not", next: LinearMap.base + 0x5000_0000,
            leftCount: nodesPerPage - 16, freedCount: 1, findings: ["list-free-chain"]),
        Case(
            testDescription: "a freed node that the dump lacks", next: node(16), leftCount: nodesPerPage - 17,
            freedCount: 3, links: [node(16): LinearMap.base + lacking],
            unsaid: [
                Unsaid(
                    .kernelList, count: 2, "the free node 0xc000000000600000 is not in the dump, nor what it leads to")
            ]),
    ]

    private func inspection(_ kernel: SampleKernel, symbols: [SampleImage.Symbol]?) throws -> Inspection {
        let dump = try DumpMemory(FilePath(folder.write(kernel.bytes, to: "dump")))
        guard let symbols else { return try Inspection(of: dump) }
        var image = SampleImage(order: kernel.order)
        image.symbols += symbols
        return try Inspection(of: dump, image: FilePath(folder.write(image.bytes, to: "vmlinux")))
    }

    private static let symbols = zip(["next", "num_left", "num_freed"], [0, 8, 12]).map {
        SampleImage.Symbol(name: $0, address: LinearMap.base + next + $1, info: 0x01)
    }

    private static func kernel(_ spoilt: Case, _ order: ByteOrder) -> SampleKernel {
        var kernel = SampleKernel(order: order)
        kernel.put(spoilt.next, 8, at: next)
        kernel.put(spoilt.leftCount, 4, at: next + 8)
        kernel.put(spoilt.freedCount, 4, at: next + 12)
        for (node, link) in spoilt.links { kernel.words[node - LinearMap.base] = link }
        return kernel
    }

    @Test(arguments: cases, [ByteOrder.little, .big]) func areJudged(spoilt: Case, order: ByteOrder) throws {
        let inspection = try inspection(Self.kernel(spoilt, order), symbols: Self.symbols)
        #expect(inspection.verdict.findings.map(\.name) == spoilt.findings)
        #expect(inspection.verdict.unsaid == spoilt.unsaid)
        let isGood = spoilt.findings.isEmpty && spoilt.unsaid.isEmpty
        #expect((inspection.outcome == .passed) == isGood)
        #expect(!inspection.unjudged.contains { $0.contains("which nodes are free") })
        #expect((inspection.snapshot.freeNodes == nil) == !spoilt.unsaid.isEmpty)
    }

    /// Where nothing tells of them, that is said, and nothing is wrong.
    @Test func areLeftUnjudgedWhereNothingTellsOfThem() throws {
        var kernel = Self.kernel(Self.cases[2], .little)
        func reason(_ symbols: [SampleImage.Symbol]?) throws -> String? {
            let inspection = try inspection(kernel, symbols: symbols)
            #expect(inspection.verdict.findings == [])
            #expect(inspection.outcome == .passed)
            return inspection.unjudged.first { $0.contains("free") }
        }
        #expect(
            try reason(nil) == "which nodes are free: only the kernel's file tells where it keeps that (--vmlinux)")
        #expect(
            try reason(Array(Self.symbols.dropLast()))
                == "which nodes are free: the kernel's file has none of this name, or several")
        kernel.lacking = [Self.next]
        #expect(
            try reason(Self.symbols) == "which nodes are free: next, num_left or num_freed is not in the dump")
    }

    /// What is needed of them goes into a reduced dump.
    @Test func comeAlongWhereADumpIsReduced() throws {
        let kernel = Self.kernel(Self.cases[1], .little)
        let full = try inspection(kernel, symbols: Self.symbols)
        let (file, image) = (folder.path("reduced"), FilePath(folder.path("vmlinux")))
        let dump = try DumpMemory(FilePath(folder.path("dump")))
        _ = try Inspection(of: dump, image: image, reducingTo: FilePath(file))
        let reduced = try Inspection(of: DumpMemory(FilePath(file)), image: image)
        #expect(reduced.snapshot == full.snapshot)
        #expect(reduced.snapshot.freeNodes?.freed == [Self.node(17), Self.node(16)])
    }
}
