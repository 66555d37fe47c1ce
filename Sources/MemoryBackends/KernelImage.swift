// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import SystemPackage

/// The symbol table of a kernel's ELF file (vmlinux, or a vmlinuz that is one).
///
/// The file comes from the user and may be anything: every offset and size is held against the file and against a
/// limit before it is used.
public struct KernelImage {
    /// The byte order that the kernel was built for (`EI_DATA`).
    public let order: ByteOrder
    private let path: FilePath
    private let symbols: ELFSectionHeader
    private let names: ELFSectionHeader

    /// A whole debug build of Linux has less than a tenth of it.
    static let tableByteLimit: UInt64 = 256 << 20
    /// `Elf64_Sym` (elf.h).
    private static let symbolByteCount = 24

    /// Finds the symbol table of a file; throws ``KernelImageError`` when there is none that can be read.
    public init(_ path: FilePath) throws {
        self.path = path
        (order, symbols, names) = try Self.reading(path) { file in
            let header = try file.header()
            let sections = header.sectionHeaders(
                in: try file.bytes(at: header.sectionHeaders.offset, byteCount: UInt64(header.sectionHeaders.byteCount))
            )
            guard let symbols = sections.first(where: { $0.type == ELFSectionHeader.symbolTableType }),
                symbols.link < UInt64(sections.count)
            else { throw KernelImageError.noSymbolTable(path) }
            let names = sections[Int(symbols.link)]
            for section in [symbols, names] where section.fileByteCount > Self.tableByteLimit {
                throw KernelImageError.tooLarge(path, byteCount: section.fileByteCount)
            }
            return (header.order, symbols, names)
        }
    }

    /// The addresses of global and of local variables that the table defines, by their names. A name that it defines twice is
    /// left out, as is one that it does not define.
    public func addresses(ofGlobal globals: [String], local locals: [String] = []) throws -> [String: UInt64] {
        try Self.reading(path) { file in
            let texts = try file.bytes(at: names.fileOffset, byteCount: names.fileByteCount)
            // STB_LOCAL and STB_GLOBAL (elf.h).
            let spellings = [locals, globals].map { $0.map { (name: $0, bytes: Array($0.utf8) + [0]) } }
            var found: [String: Set<UInt64>] = [:]
            let step = UInt64(Self.symbolByteCount)
            let end = symbols.fileByteCount / step * step
            var position: UInt64 = 0
            while position < end {
                let part = try file.bytes(
                    at: symbols.fileOffset &+ position, byteCount: min(end - position, step << 12))
                for start in stride(from: 0, to: part.count, by: Self.symbolByteCount) {
                    let binding = Int(part[start + 4] >> 4)
                    // STT_OBJECT of the local ones, and not SHN_UNDEF.
                    guard binding < spellings.count, !spellings[binding].isEmpty,
                        binding == 1 || part[start + 4] & 0xf == 1, part[start + 6] | part[start + 7] != 0
                    else { continue }
                    let nameStart = Int(order.number(in: part, at: start, byteCount: 4))
                    guard nameStart < texts.count else { continue }
                    for spelling in spellings[binding] where texts[nameStart...].starts(with: spelling.bytes) {
                        found[spelling.name, default: []].insert(order.number(in: part, at: start + 8, byteCount: 8))
                    }
                }
                position += UInt64(part.count)
            }
            return found.compactMapValues { $0.count == 1 ? $0.first : nil }
        }
    }

    private static func reading<Value>(_ path: FilePath, _ body: (ImageFile) throws -> Value) throws -> Value {
        do {
            // Should it be a FIFO, its opening does not wait for a writer, and measuring it is an error.
            let descriptor = try FileDescriptor.open(path, .readOnly, options: [.nonBlocking])
            return try descriptor.closeAfter {
                let byteCount = UInt64(try descriptor.seek(offset: 0, from: .end))
                return try body(ImageFile(path: path, descriptor: descriptor, byteCount: byteCount))
            }
        } catch let error as Errno {
            throw KernelImageError.cannotRead(path, error)
        }
    }
}

/// An open file whose parts are read with bounds.
private struct ImageFile {
    let path: FilePath
    let descriptor: FileDescriptor
    let byteCount: UInt64

    /// The ELF header.
    func header() throws -> ELFHeader {
        let beginning = try bytes(at: 0, byteCount: UInt64(ELFHeader.byteCount))
        do throws(ELFProblem) {
            return try ELFHeader(beginning)
        } catch {
            switch error {
            case .notELF, .byteOrder, .not64Bit: throw KernelImageError.noImage(path)
            case .programHeaderSize, .tooManyProgramHeaders, .programHeaderCount, .sectionHeaderSize:
                throw KernelImageError.noSymbolTable(path)
            case .tableWraps: throw KernelImageError.cutOff(path, byteCount: byteCount)
            }
        }
    }

    /// All of the bytes asked for, or an error: a part behind the file's end cannot be read.
    func bytes(at offset: UInt64, byteCount count: UInt64) throws -> [UInt8] {
        guard offset <= byteCount, count <= byteCount - offset else {
            throw KernelImageError.cutOff(path, byteCount: byteCount)
        }
        let bytes = try descriptor.bytes(at: offset, byteCount: Int(count))
        // Someone may have cut it since it was measured.
        guard bytes.count == Int(count) else { throw KernelImageError.cutOff(path, byteCount: byteCount) }
        return bytes
    }
}

/// Why a kernel's file tells no symbols.
public enum KernelImageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It cannot be read.
    case cannotRead(FilePath, Errno)
    /// It is no 64-bit ELF file.
    case noImage(FilePath)
    /// It has no symbol table: it was stripped.
    case noSymbolTable(FilePath)
    /// One of its tables is larger than any kernel's.
    case tooLarge(FilePath, byteCount: UInt64)
    /// It ends before what its headers promise.
    case cutOff(FilePath, byteCount: UInt64)

    /// What a person reads.
    public var description: String {
        switch self {
        case .cannotRead(let path, let error): "the kernel's file \(path) cannot be read: \(error)"
        case .noImage(let path): "the kernel's file \(path) is no 64-bit ELF file"
        case .noSymbolTable(let path): "the kernel's file \(path) has no symbol table"
        case .tooLarge(let path, let byteCount):
            "the kernel's file \(path) has a symbol table of \(byteCount) bytes; \(KernelImage.tableByteLimit) is the limit"
        case .cutOff(let path, let byteCount):
            "the kernel's file \(path) ends at byte \(byteCount), before its symbol table does"
        }
    }
}
