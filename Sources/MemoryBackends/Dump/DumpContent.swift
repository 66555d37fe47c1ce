// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import SystemPackage

/// What a dump's file holds of a guest's memory, in whatever format.
protocol DumpContent: AnyObject {
    /// The format, as a person reads it.
    var format: String { get }
    /// How many bytes of memory it holds.
    var byteCount: UInt64 { get }
    /// What of the memory that its headers promise the file has not got; nil where it has all.
    var lack: String? { get }
    /// The VMCOREINFO note that the format carries; nil where it carries none.
    var note: (info: Vmcoreinfo, order: ByteOrder)? { get }
    /// The memory around a physical address that it holds in one piece, no more than the block of ``DumpMemory`` that the
    /// address is in; nil where it does not hold the address.
    func piece(at address: UInt64) -> Range<UInt64>?
    /// The bytes of a piece.
    func bytes(of piece: Range<UInt64>) throws -> [UInt8]
    /// The parts of memory that can hold anything but zeros, ascending.
    func dataExtents() throws -> [Range<UInt64>]
}

/// A dump as memory. Blocks of it are kept, so many and no more: reading takes as much of this process's memory for a large
/// dump as for a small one.
public final class DumpMemory: SearchableMemory {
    private let content: any DumpContent
    private let descriptor: FileDescriptor?
    private var blocks: [UInt64: [UInt8]] = [:]
    /// The kept blocks' addresses, the next to go at `oldest`.
    private var kept: [UInt64] = []
    private var oldest = 0
    /// The pages of 4 KiB that were read, by their numbers; nil as long as nobody asks.
    private var recorded: Set<UInt64>?
    private var newest: (start: UInt64, bytes: [UInt8]) = (0, [])

    /// Told, each time that a block is read from the file, how many bytes were by then.
    public var onRead: ((UInt64) -> Void)?
    private var readByteCount: UInt64 = 0

    static let blockByteCount: UInt64 = 65536
    private static let blockLimit = 256

    /// Reads a file through its content, and closes it in the end.
    init(_ content: any DumpContent, of descriptor: FileDescriptor?) {
        (self.content, self.descriptor) = (content, descriptor)
    }

    deinit { try? descriptor?.close() }

    /// The format, as a person reads it.
    public var format: String { content.format }
    /// How many bytes of memory it holds.
    public var byteCount: UInt64 { content.byteCount }
    /// What of the memory that its headers promise the file has not got; nil where it has all.
    public var lack: String? { content.lack }

    /// The VMCOREINFO note that the format carries; nil where it carries none.
    var note: (info: Vmcoreinfo, order: ByteOrder)? { content.note }

    /// The parts of memory that can hold anything but zeros, ascending.
    func dataExtents() throws -> [Range<UInt64>] { try content.dataExtents() }

    /// Whether it holds the word at a physical address.
    public func holds(_ address: PhysicalAddress) -> Bool {
        content.piece(at: address.rawValue).map { $0.upperBound - address.rawValue >= 8 } ?? false
    }

    /// The 64 bits at a guest physical address.
    public func storedWord(at address: PhysicalAddress) throws(MemoryAccessError) -> UInt64 {
        let address = address.rawValue
        guard address % 8 == 0 else { throw .misaligned(address) }
        if address < newest.start || address - newest.start + 8 > UInt64(newest.bytes.count) {
            try load(address)
        }
        recorded?.insert(address / 4096)
        let offset = Int(address - newest.start)
        guard offset + 8 <= newest.bytes.count else { throw .unmapped(address) }
        return ByteOrder.native.number(in: newest.bytes, at: offset, byteCount: 8)
    }

    /// Notes from now on which pages are read by words, for ``ReducedDump``.
    public func recordReads() { recorded = [] }

    /// The pages of 4 KiB that were read since, by their numbers.
    var readPages: Set<UInt64> { recorded ?? [] }

    /// The parts of a range that the dump holds.
    func held(in range: Range<UInt64>) -> [Range<UInt64>] {
        var held: [Range<UInt64>] = []
        var position = range.lowerBound
        while position < range.upperBound {
            guard let piece = content.piece(at: position)?.clamped(to: position..<range.upperBound) else {
                position = (position + 8).alignedDown(to: 8)
                continue
            }
            if let last = held.last, last.upperBound == piece.lowerBound {
                held[held.count - 1] = last.lowerBound..<piece.upperBound
            } else {
                held.append(piece)
            }
            position = piece.upperBound
        }
        return held
    }

    /// Copies bytes out; fewer than asked for where the dump holds no more of them.
    func bytes(at address: UInt64, byteCount: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < byteCount {
            let position = address + UInt64(bytes.count)
            guard let piece = content.piece(at: position), let part = try? content.bytes(of: piece) else { break }
            bytes += part.dropFirst(Int(position - piece.lowerBound)).prefix(byteCount - bytes.count)
        }
        return bytes
    }

    private func load(_ address: UInt64) throws(MemoryAccessError) {
        guard let piece = content.piece(at: address) else { throw .unmapped(address) }
        if let bytes = blocks[piece.lowerBound] {
            newest = (piece.lowerBound, bytes)
            return
        }
        // What cannot be read is not there: a file that shrinks, a page that does not decompress.
        guard let bytes = try? content.bytes(of: piece), bytes.count == piece.count else { throw .unmapped(address) }
        readByteCount += UInt64(bytes.count)
        onRead?(readByteCount)
        if kept.count < Self.blockLimit {
            kept.append(piece.lowerBound)
        } else {
            blocks[kept[oldest]] = nil
            kept[oldest] = piece.lowerBound
            oldest = (oldest + 1) % Self.blockLimit
        }
        blocks[piece.lowerBound] = bytes
        newest = (piece.lowerBound, bytes)
    }
}

extension Range<UInt64> {
    /// The part of it that is in the block around an address.
    func block(at address: UInt64) -> Range<UInt64> {
        let start = address.alignedDown(to: DumpMemory.blockByteCount)
        let (end, overflows) = start.addingReportingOverflow(DumpMemory.blockByteCount)
        return clamped(to: start..<(overflows ? .max : end))
    }
}
