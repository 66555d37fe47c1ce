// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics

/// A flattened device tree, as much of it as a crash kernel is told by (Devicetree Specification 0.4, chapter 5). Its bytes
/// were copied out of a guest and may be anything.
public struct FlattenedTree: Equatable, Sendable {
    /// The first number of every tree, in its first four bytes.
    static let magic: UInt64 = 0xd00d_feed
    /// `struct fdt_header`: ten numbers of 32 bits.
    static let headerByteCount = 40
    /// The largest tree that is read. A pseries guest's has some tens of KiB, and 24 bytes for each piece of memory.
    static let byteCountLimit: UInt64 = 4 << 20
    /// The deepest node that is read, the root being 1.
    static let depthLimit = 32
    /// The longest name that is read, its NUL included. The specification has 31 letters.
    static let nameLimit = 256
    /// The most nodes that are read.
    static let nodeLimit = 65536

    /// `bootargs` of `/chosen`, without the NUL at its end; nil where there is none.
    public let bootArguments: [UInt8]?
    /// `ibm,pft-size` of each node below `/cpus` that has it: its second cell, log2 of the hashed page table in bytes.
    /// Each number once, ascending.
    public let hashTableOrders: [UInt64]

    /// Reads a tree, `totalsize` bytes.
    public init(_ bytes: [UInt8]) throws(FlattenedTreeProblem) {
        let header = try Header(bytes)
        guard UInt64(bytes.count) >= header.byteCount else { throw .tooShort(bytes.count) }
        var reader = Reader(bytes: bytes, header: header)
        try reader.readAll()
        bootArguments = reader.bootArguments
        hashTableOrders = reader.hashTableOrders.sorted()
    }

    /// The header of a tree, checked.
    struct Header: Equatable {
        /// `totalsize`.
        let byteCount: UInt64
        /// Where the structure block is in the tree.
        let structure: Range<Int>
        /// Where the properties' names are.
        let strings: Range<Int>

        /// Reads a header from the beginning of a tree.
        init(_ bytes: [UInt8]) throws(FlattenedTreeProblem) {
            guard bytes.count >= FlattenedTree.headerByteCount else { throw .tooShort(bytes.count) }
            func number(_ index: Int) -> UInt64 { ByteOrder.big.number(in: bytes, at: index * 4, byteCount: 4) }
            guard number(0) == FlattenedTree.magic else { throw .magic(number(0)) }
            // The blocks' sizes, and no padding in front of values, are what 17 brought.
            guard number(5) >= 17, number(6) <= 17 else { throw .version(number(5), compatibleTo: number(6)) }
            let total = number(1)
            guard (UInt64(FlattenedTree.headerByteCount)...FlattenedTree.byteCountLimit).contains(total) else {
                throw .byteCount(total)
            }
            func block(_ offset: UInt64, _ byteCount: UInt64) throws(FlattenedTreeProblem) -> Range<Int> {
                // Numbers of 32 bits: their sum does not wrap.
                guard offset >= UInt64(FlattenedTree.headerByteCount), offset + byteCount <= total else {
                    throw .block(offset: offset, byteCount: byteCount, total: total)
                }
                return Int(offset)..<Int(offset + byteCount)
            }
            byteCount = total
            structure = try block(number(2), number(9))
            strings = try block(number(3), number(8))
            guard structure.lowerBound % 4 == 0 else { throw .misaligned(structure.lowerBound) }
        }
    }
}

/// Goes once over a structure block. Every token takes it at least four bytes further.
private struct Reader {
    let bytes: [UInt8]
    let header: FlattenedTree.Header
    private var position: Int
    private var path: [ArraySlice<UInt8>] = []
    private var nodeCount = 0
    private(set) var bootArguments: [UInt8]?
    private(set) var hashTableOrders: Set<UInt64> = []

    init(bytes: [UInt8], header: FlattenedTree.Header) {
        self.bytes = bytes
        self.header = header
        position = header.structure.lowerBound
    }

    mutating func readAll() throws(FlattenedTreeProblem) {
        while true {
            let start = position
            switch try takeNumber() {
            case 1: try beginNode(at: start)
            case 2:
                guard path.popLast() != nil else { throw .token(2, at: start) }
            case 3: try takeProperty(at: start)
            case 4: break
            case 9:
                guard path.isEmpty, nodeCount > 0 else { throw .token(9, at: start) }
                return
            case let other: throw .token(other, at: start)
            }
        }
    }

    private mutating func beginNode(at start: Int) throws(FlattenedTreeProblem) {
        // There is one root.
        guard !path.isEmpty || nodeCount == 0 else { throw .token(1, at: start) }
        guard path.count < FlattenedTree.depthLimit else { throw .tooDeep(at: start) }
        guard nodeCount < FlattenedTree.nodeLimit else { throw .tooManyNodes(at: start) }
        var rest = bytes[position..<header.structure.upperBound]
        guard rest.prefix(FlattenedTree.nameLimit).contains(0) else { throw .endless(at: start) }
        let name = rest.takeField(until: 0)
        try skip(name.count + 1)
        path.append(name)
        nodeCount += 1
    }

    private mutating func takeProperty(at start: Int) throws(FlattenedTreeProblem) {
        guard !path.isEmpty else { throw .token(3, at: start) }
        let byteCount = Int(try takeNumber())
        let nameOffset = Int(try takeNumber())
        let valueStart = position
        try skip(byteCount)
        guard nameOffset < header.strings.count else { throw .name(offset: nameOffset, at: start) }
        var names = bytes[(header.strings.lowerBound + nameOffset)..<header.strings.upperBound]
        guard names.prefix(FlattenedTree.nameLimit).contains(0) else { throw .name(offset: nameOffset, at: start) }
        note(names.takeField(until: 0), bytes[valueStart..<valueStart + byteCount])
    }

    /// Keeps a property's value if it is one of those that are asked for.
    private mutating func note(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
        if path.count == 2, path[1].equals("chosen"), name.equals("bootargs") {
            var text = value
            bootArguments = Array(text.takeField(until: 0))
        } else if path.count == 3, path[1].equals("cpus"), name.equals("ibm,pft-size"), value.count == 8 {
            hashTableOrders.insert(ByteOrder.big.number(in: bytes, at: value.startIndex + 4, byteCount: 4))
        }
    }

    private mutating func takeNumber() throws(FlattenedTreeProblem) -> UInt64 {
        let start = position
        try skip(4)
        return ByteOrder.big.number(in: bytes, at: start, byteCount: 4)
    }

    /// Goes on behind so many bytes, and what pads them to a multiple of four.
    private mutating func skip(_ byteCount: Int) throws(FlattenedTreeProblem) {
        let padded = (byteCount + 3) / 4 * 4
        guard padded <= header.structure.upperBound - position else { throw .endless(at: position) }
        position += padded
    }
}

/// Why bytes are no flattened device tree that can be read. Places are offsets in the tree.
public enum FlattenedTreeProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// There are fewer bytes than it takes.
    case tooShort(Int)
    /// The first number is another.
    case magic(UInt64)
    /// It is of a version that is not read here.
    case version(UInt64, compatibleTo: UInt64)
    /// `totalsize` is smaller than a header or larger than any tree.
    case byteCount(UInt64)
    /// A block is not inside the tree.
    case block(offset: UInt64, byteCount: UInt64, total: UInt64)
    /// The structure block is at no multiple of four.
    case misaligned(Int)
    /// A token has no place there.
    case token(UInt64, at: Int)
    /// The structure block ends in the middle of something, or a node's name does not end.
    case endless(at: Int)
    /// A property's name is none of the strings block's, or too long.
    case name(offset: Int, at: Int)
    /// A node is deeper than any.
    case tooDeep(at: Int)
    /// There are more nodes than any tree has.
    case tooManyNodes(at: Int)

    /// What a person reads.
    public var description: String {
        switch self {
        case .tooShort(let count): "only \(count) bytes are there"
        case .magic(let number): "it begins with \(number.hexadecimal), not \(FlattenedTree.magic.hexadecimal)"
        case .version(let version, let compatible):
            "version \(version), compatible to \(compatible); version 17 can be read"
        case .byteCount(let count):
            "it has \(count) bytes; a tree has \(FlattenedTree.headerByteCount) to \(FlattenedTree.byteCountLimit)"
        case .block(let offset, let count, let total):
            "a block of \(count) bytes at \(offset) is not inside its \(total) bytes"
        case .misaligned(let offset): "the structure block is at \(offset), not a multiple of 4"
        case .token(let token, let place): "token \(token) has no place at \(place)"
        case .endless(let place): "the structure block ends within what begins at \(place)"
        case .name(let offset, let place): "the property at \(place) has no name at \(offset) of the strings"
        case .tooDeep(let place): "the node at \(place) is deeper than \(FlattenedTree.depthLimit)"
        case .tooManyNodes(let place): "the node at \(place) is one more than \(FlattenedTree.nodeLimit)"
        }
    }
}
