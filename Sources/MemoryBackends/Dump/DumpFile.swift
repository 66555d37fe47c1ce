// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics
public import SystemPackage

#if canImport(Glibc)
import Glibc
#endif

extension DumpMemory {
    /// Opens a dump: an ELF core dump, one of makedumpfile's compressed ones, either in makedumpfile's flattened format, or,
    /// where `base` says where it begins, a raw image of memory.
    ///
    /// What is flattened is put together in a file among the temporary ones, which takes as much room.
    ///
    /// - Throws: ``DumpFileProblem``, or `Errno`.
    public convenience init(_ path: FilePath, base: PhysicalAddress? = nil) throws {
        // Should it be a FIFO, its opening does not wait for a writer.
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.nonBlocking, .closeOnExec])
        var file = descriptor
        do {
            if base == nil, let byteCount = try Self.flattenedByteCount(of: descriptor) {
                do {
                    file = try FlattenedDump.file(of: descriptor, byteCount: byteCount)
                } catch {
                    throw DumpFileProblem.flattened("\(error)")
                }
                try? descriptor.close()
            }
            self.init(try Self.content(of: file, base: base), of: file)
        } catch {
            try? file.close()
            throw error
        }
    }

    /// The size of a file that begins as the flattened format does; nil of others.
    private static func flattenedByteCount(of descriptor: FileDescriptor) throws -> UInt64? {
        let byteCount = try byteCount(ofFile: descriptor)
        let beginning = try descriptor.dumpBytes(at: 0, byteCount: FlattenedDump.signature.count)
        return beginning == FlattenedDump.signature ? byteCount : nil
    }

    private static func byteCount(ofFile descriptor: FileDescriptor) throws -> UInt64 {
        var status = stat()
        // SAFETY: the status lives for the length of the call.
        guard unsafe fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw DumpFileProblem.notRegular }
        return UInt64(status.st_size)
    }

    /// Whether a file begins as a dump that a library of others reads. It may end this process, so hostile is what can be in
    /// such a file.
    public static func isLibrarys(_ path: FilePath) -> Bool {
        guard let descriptor = try? FileDescriptor.open(path, .readOnly, options: [.nonBlocking, .closeOnExec]) else {
            return false
        }
        defer { try? descriptor.close() }
        return (try? descriptor.dumpBytes(at: 0, byteCount: 16)).map(isCompressed) ?? false
    }

    private static let compressedSignature = Array("KDUMP   ".utf8)

    private static func isCompressed(_ beginning: [UInt8]) -> Bool {
        beginning.starts(with: compressedSignature) || beginning == FlattenedDump.signature
    }

    private static func content(of descriptor: FileDescriptor, base: PhysicalAddress?) throws -> any DumpContent {
        let byteCount = try byteCount(ofFile: descriptor)
        if let base { return try RawDump(descriptor, byteCount: byteCount, base: base.rawValue) }
        let beginning = try descriptor.dumpBytes(at: 0, byteCount: 16)
        if beginning.starts(with: [0x7f, 0x45, 0x4c, 0x46]) { return try ELFDump(descriptor, byteCount: byteCount) }
        if beginning.starts(with: compressedSignature) { return try CompressedDump(descriptor) }
        throw DumpFileProblem.unknown
    }
}

/// Why a file cannot be read as a dump.
public enum DumpFileProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// It is a folder, a FIFO, a device.
    case notRegular
    /// Its beginning is that of no dump that is known here.
    case unknown
    /// It is an ELF file with such a header.
    case elf(ELFProblem)
    /// It is an ELF file of another kind or machine.
    case otherELF(type: UInt64, machine: UInt64)
    /// It ends before its program headers do.
    case endsInHeaders(byteCount: UInt64)
    /// It has memory where none can be.
    case load(physAddr: UInt64, byteCount: UInt64)
    /// Its PT_LOADs have more bytes than it.
    case repeats
    /// It has no memory.
    case noMemory
    /// It is of another machine.
    case otherArchitecture(String)
    /// It begins as makedumpfile's flattened format does, and its pieces make no dump.
    case flattened(String)
    /// libkdumpfile does not read it, in its words.
    case library(String)

    /// What a person reads.
    public var description: String {
        switch self {
        case .notRegular: "it is no regular file"
        case .unknown:
            "it begins neither as an ELF file nor as one of makedumpfile's; --base says where the memory of a raw image begins"
        case .elf(let problem): "its ELF header cannot be: \(problem)"
        case .otherELF(let type, let machine):
            "it is no core dump of a ppc64 machine: e_type is \(type), e_machine \(machine), where 4 and \(ELFIdentity.ppc64Machine) "
                + "are to be"
        case .endsInHeaders(let byteCount): "it ends at byte \(byteCount), before its program headers do"
        case .load(let physAddr, let byteCount):
            "it has \(byteCount) bytes of memory at \(physAddr.hexadecimal), and memory ends at "
                + "\(LinearMap.byteCount.hexadecimal) at the latest"
        case .repeats: "its PT_LOADs have more bytes than the file: some stand in several"
        case .noMemory: "it has no memory"
        case .otherArchitecture(let name): "it is of a \(name.utf8.printable) machine, and not of a ppc64 one"
        case .flattened(let words): "it begins as makedumpfile's flattened format does, but \(words)"
        case .library(let words): "libkdumpfile does not read it: \(words.utf8.printable)"
        }
    }
}

extension FileDescriptor {
    /// A copy of so many bytes at an offset, or of as many as there are.
    func dumpBytes(at offset: UInt64, byteCount: Int) throws -> [UInt8] {
        guard offset <= UInt64(Int64.max) - UInt64(byteCount) else { return [] }
        return try bytes(at: offset, byteCount: byteCount)
    }
}
