// SPDX-License-Identifier: Apache-2.0

import GuestMemory
public import SystemPackage

/// A piece of a machine's memory that another program has, and where it is read.
public struct MemoryPiece: Sendable {
    /// Where it is read.
    public enum Source: Sendable {
        /// In a file that the machine's hypervisor maps too.
        case file(FilePath)
        /// Through the hypervisor: a function of a guest physical address and a number of bytes. It blocks.
        case hypervisor(@Sendable (_ address: UInt64, _ byteCount: Int) throws -> [UInt8])
    }

    /// Its guest physical addresses.
    public let range: Range<UInt64>
    /// Where it is read.
    public let source: Source

    /// Describes a piece.
    public init(range: Range<UInt64>, source: Source) {
        self.range = range
        self.source = source
    }
}

extension DumpMemory {
    /// Opens the memory of a machine that may run: each block is copied when it is first asked for, and read as it was then.
    ///
    /// - Parameters:
    ///   - pieces: the machine's memory, without overlaps.
    ///   - peekByteCount: how much the hypervisor is asked for at once.
    ///   - isCancelled: whether nothing more is to be read; then no address holds memory.
    /// - Throws: `Errno` for a file that cannot be opened, ``DumpFileProblem`` for memory that cannot be.
    public convenience init(
        _ pieces: [MemoryPiece], peekByteCount: Int, isCancelled: @escaping () -> Bool = { false }
    ) throws {
        self.init(try LiveMemory(pieces, peekByteCount: UInt64(peekByteCount), isCancelled), of: nil)
    }
}

/// The memory of a machine, read while that may run.
private final class LiveMemory: DumpContent {
    /// A file's descriptor; nil where the hypervisor is asked.
    private var descriptors: [FileDescriptor?] = []
    private let pieces: [MemoryPiece]
    private let peekByteCount: UInt64
    private let isCancelled: () -> Bool
    /// What the hypervisor gave last.
    private var peeked: (start: UInt64, bytes: [UInt8]) = (0, [])

    let format: String
    var lack: String? { nil }
    var note: (info: Vmcoreinfo, order: ByteOrder)? { nil }

    init(_ pieces: [MemoryPiece], peekByteCount: UInt64, _ isCancelled: @escaping () -> Bool) throws {
        self.pieces = pieces.sorted { $0.range.lowerBound < $1.range.lowerBound }
        self.peekByteCount = peekByteCount
        self.isCancelled = isCancelled
        var peekCount = 0
        for piece in self.pieces where !piece.source.isFile { peekCount += 1 }
        format =
            switch peekCount {
            case 0: "guest's memory files"
            case pieces.count: "guest, through its hypervisor"
            default: "guest's memory files, in part through its hypervisor"
            }
        for piece in self.pieces {
            guard piece.range.upperBound <= LinearMap.byteCount else {
                throw DumpFileProblem.load(
                    physAddr: piece.range.lowerBound, byteCount: piece.range.upperBound - piece.range.lowerBound)
            }
            if case .file(let path) = piece.source {
                descriptors.append(try FileDescriptor.open(path, .readOnly, options: [.noFollow, .closeOnExec]))
            } else {
                descriptors.append(nil)
            }
        }
    }

    deinit { for descriptor in descriptors { try? descriptor?.close() } }

    var byteCount: UInt64 { pieces.reduce(0) { $0 + UInt64($1.range.count) } }

    private func index(at address: UInt64) -> Int? {
        pieces.firstIndex { $0.range.contains(address) }
    }

    func piece(at address: UInt64) -> Range<UInt64>? {
        index(at: address).map { pieces[$0].range.block(at: address) }
    }

    func bytes(of block: Range<UInt64>) throws -> [UInt8] {
        guard !isCancelled(), let index = index(at: block.lowerBound) else { return [] }
        let range = pieces[index].range
        switch pieces[index].source {
        case .file:
            return try descriptors[index]?.dumpBytes(at: block.lowerBound - range.lowerBound, byteCount: block.count)
                ?? []
        case .hypervisor(let read):
            let end = peeked.start + UInt64(peeked.bytes.count)
            if block.lowerBound < peeked.start || block.upperBound > end {
                let start = max(range.lowerBound, block.lowerBound.alignedDown(to: peekByteCount))
                peeked = (start, try read(start, Int(min(range.upperBound - start, peekByteCount))))
            }
            return Array(peeked.bytes.dropFirst(Int(block.lowerBound - peeked.start)).prefix(block.count))
        }
    }

    func dataExtents() throws -> [Range<UInt64>] {
        var extents: [Range<UInt64>] = []
        for (piece, descriptor) in zip(pieces, descriptors) {
            let base = piece.range.lowerBound
            let inFile = try descriptor?.dataExtents(of: 0..<UInt64(piece.range.count))
            extents += inFile?.map { base + $0.lowerBound..<base + $0.upperBound } ?? [piece.range]
        }
        return extents
    }
}

extension MemoryPiece.Source {
    fileprivate var isFile: Bool {
        if case .file = self { true } else { false }
    }
}
