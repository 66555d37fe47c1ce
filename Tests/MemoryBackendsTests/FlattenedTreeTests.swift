// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import MemoryBackends

@Suite struct FlattenedTreeTests {
    @Test func readsWhatIsAskedFor() throws {
        let tree = try FlattenedTree(SampleTree(orders: [27, 24, 27]).bytes)
        #expect(tree.bootArguments.map { String(decoding: $0, as: UTF8.self) } == SampleTree().bootArguments)
        #expect(tree.hashTableOrders == [24, 27])
    }

    @Test func takesNothingFromElsewhere() throws {
        let property = SampleTree.property(0, Array("a\0".utf8)) + SampleTree.property(9, [0, 0, 0, 0, 0, 0, 0, 24])
        let structure =
            SampleTree.node(
                "",
                property + SampleTree.node("cpus", property + SampleTree.node("cpu", SampleTree.property(9, [1, 2])))
                    + SampleTree.node("a", SampleTree.node("chosen", property))) + bigEndian(4, 9)
        let tree = try FlattenedTree(SampleTree(structure: structure).bytes)
        #expect(tree.bootArguments == nil)
        #expect(tree.hashTableOrders == [])
    }

    static let headers: [(String, [Int: UInt64], FlattenedTreeProblem)] = [
        ("magic", [0: 0xd00d_feee], .magic(0xd00d_feee)),
        ("no size", [1: 0], .byteCount(0)),
        ("a huge size", [1: 0xffff_ffff], .byteCount(0xffff_ffff)),
        ("old", [5: 16], .version(16, compatibleTo: 17)),
        ("new", [6: 18], .version(17, compatibleTo: 18)),
        ("structure in the header", [2: 36], .block(offset: 36, byteCount: 284, total: 366)),
        ("structure behind the end", [2: 0xffff_fffc], .block(offset: 0xffff_fffc, byteCount: 284, total: 366)),
        ("structure too large", [9: 0xffff_ffff], .block(offset: 56, byteCount: 0xffff_ffff, total: 366)),
        ("strings too large", [8: 27], .block(offset: 340, byteCount: 27, total: 366)),
        ("misaligned", [2: 55], .misaligned(55)),
        ("structure too short", [9: 8], .endless(at: 64)),
        ("no strings", [8: 0], .name(offset: 0, at: 76)),
    ]

    @Test(arguments: headers)
    func refusesHeaders(title: String, header: [Int: UInt64], problem: FlattenedTreeProblem) throws {
        let sample = SampleTree()
        let count = sample.bytes.count
        // The numbers in the table are the sample's.
        let structureCount = count - SampleTree.structureOffset - SampleTree.strings.count
        let expected: FlattenedTreeProblem =
            switch problem {
            case .block(let offset, 284, _):
                .block(offset: offset, byteCount: UInt64(structureCount), total: UInt64(count))
            case .block(340, let byteCount, _):
                .block(
                    offset: UInt64(SampleTree.structureOffset + structureCount), byteCount: byteCount,
                    total: UInt64(count))
            case .block(let offset, let byteCount, _):
                .block(offset: offset, byteCount: byteCount, total: UInt64(count))
            default: problem
            }
        var damaged = sample
        damaged.header = header
        #expect(throws: expected) { try FlattenedTree(damaged.bytes) }
        #expect(!"\(problem)".isEmpty)
    }

    static let structures: [(String, [UInt8], FlattenedTreeProblem)] = [
        ("nothing", [], .endless(at: 56)),
        ("an end alone", bigEndian(9), .token(9, at: 56)),
        ("a node's end alone", bigEndian(2), .token(2, at: 56)),
        ("a property alone", SampleTree.property(0, []), .token(3, at: 56)),
        ("an unknown token", bigEndian(7), .token(7, at: 56)),
        ("an end within a node", bigEndian(1, 0, 9), .token(9, at: 64)),
        ("two roots", SampleTree.node("", []) + SampleTree.node("", []) + bigEndian(9), .token(1, at: 68)),
        ("no end", SampleTree.node("", []), .endless(at: 68)),
        ("a name without end", bigEndian(1, 0x6161_6161), .endless(at: 56)),
        ("a long name", bigEndian(1) + [UInt8](repeating: 97, count: 256) + bigEndian(0), .endless(at: 56)),
        ("a value without end", bigEndian(1, 0, 3, 0xffff_ffff, 0), .endless(at: 76)),
        ("a name nowhere", bigEndian(1, 0, 3, 0, 0xffff_ffff), .name(offset: 0xffff_ffff, at: 64)),
        ("too deep", (0..<40).flatMap { _ in bigEndian(1, 0) }, .tooDeep(at: 56 + 32 * 8)),
        (
            "too many", bigEndian(1, 0) + (0..<65536).flatMap { _ in bigEndian(1, 0, 2) },
            .tooManyNodes(at: 56 + 8 + 65535 * 12)
        ),
    ]

    @Test(arguments: structures)
    func refusesStructures(title: String, structure: [UInt8], problem: FlattenedTreeProblem) {
        #expect(throws: problem) { try FlattenedTree(SampleTree(structure: structure).bytes) }
        #expect(!"\(problem)".isEmpty)
    }

    /// Whatever byte is another, and wherever it ends: there is a tree or a reason.
    @Test func everyDamageHasAnEnd() {
        let bytes = SampleTree().bytes
        var readCount = 0
        for index in bytes.indices {
            for value: UInt8 in [0, 1, 2, 3, 9, 0x7f, 0xff] {
                var damaged = bytes
                damaged[index] = value
                if (try? FlattenedTree(damaged)) != nil { readCount += 1 }
            }
            #expect(throws: FlattenedTreeProblem.self) { try FlattenedTree(Array(bytes[..<index])) }
        }
        #expect(readCount > 0)
    }
}
