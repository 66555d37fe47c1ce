// SPDX-License-Identifier: Apache-2.0

/// What the first bytes of an ELF file say, in 32 and 64 bits alike (`e_ident`, `e_type`, `e_machine`; elf.h).
public struct ELFIdentity: Equatable, Sendable {
    /// How many of the first bytes that is.
    public static var byteCount: Int { 20 }
    /// `EM_PPC64`.
    public static var ppc64Machine: UInt64 { 21 }

    /// Whether the file is of `ELFCLASS64`.
    public let is64Bit: Bool
    /// `EI_DATA`.
    public let order: ByteOrder
    /// `e_type`: 2 is an executable, 4 a core dump.
    public let type: UInt64
    /// `e_machine`.
    public let machine: UInt64

    /// Whether this is a file for ppc64 in either byte order.
    public var isPPC64: Bool { is64Bit && machine == Self.ppc64Machine }

    /// Reads the beginning of a file, ``byteCount`` bytes or more.
    public init(_ bytes: [UInt8]) throws(ELFProblem) {
        guard bytes.count >= Self.byteCount, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { throw .notELF }
        switch bytes[5] {
        case 1: order = .little
        case 2: order = .big
        case let other: throw .byteOrder(other)
        }
        is64Bit = bytes[4] == 2
        type = order.number(in: bytes, at: 16, byteCount: 2)
        machine = order.number(in: bytes, at: 18, byteCount: 2)
    }
}

/// A table of headers in an ELF file. All of it has offsets of 64 bits; whether the file has it is its reader's to check.
public struct ELFTable: Equatable, Sendable {
    /// Where it begins in the file.
    public let offset: UInt64
    /// How many headers it has, ``ELFHeader/programHeaderLimit`` at the most.
    public let count: Int
    /// The bytes of all of them.
    public let byteCount: Int

    fileprivate init(offset: UInt64, count: UInt64, entryByteCount: Int) throws(ELFProblem) {
        self.offset = offset
        self.count = Int(count)
        byteCount = self.count * entryByteCount
        guard offset <= .max - UInt64(byteCount) else { throw .tableWraps(offset: offset) }
    }
}

/// The header of a 64-bit ELF file in either byte order (`Elf64_Ehdr`, elf.h). The file may be anybody's: nothing is taken
/// for true that has not been checked.
public struct ELFHeader: Equatable, Sendable {
    /// `sizeof(Elf64_Ehdr)`.
    public static var byteCount: Int { 64 }
    /// The most program headers that are read. QEMU's dumps have one for each piece of memory that is in one piece for the
    /// guest or for QEMU.
    public static var programHeaderLimit: UInt64 { 1 << 20 }
    /// `PN_XNUM`: there are so many program headers or more, and the first section header says how many (`sh_info`).
    private static var extendedCount: UInt64 { 0xffff }

    /// What kind of file it is.
    public let identity: ELFIdentity
    /// The program headers (`e_phoff`, `e_phnum`); empty when there is none.
    public let programHeaders: ELFTable
    /// The section headers (`e_shoff`, `e_shnum`); empty when there is none.
    public let sectionHeaders: ELFTable

    /// The byte order of all numbers in the file.
    public var order: ByteOrder { identity.order }

    /// Where the first section header is, in a file where that says how many program headers there are; nil in others.
    ///
    /// - Parameter bytes: the beginning of a file.
    /// - Returns: its offset (`e_shoff`), which may be any.
    /// - Throws: what makes it no ELF file.
    public static func offsetOfProgramHeaderCount(_ bytes: [UInt8]) throws(ELFProblem) -> UInt64? {
        let order = try ELFIdentity(bytes).order
        guard bytes.count >= byteCount, order.number(in: bytes, at: 56, byteCount: 2) == extendedCount else {
            return nil
        }
        return order.number(in: bytes, at: 40, byteCount: 8)
    }

    /// Reads a header from the beginning of a file, ``byteCount`` bytes or more.
    ///
    /// - Parameters:
    ///   - bytes: the beginning.
    ///   - firstSection: what stands at ``offsetOfProgramHeaderCount(_:)``, the bytes of an ``ELFSectionHeader`` or more; without
    ///     them a file that has them is refused.
    /// - Throws: what is wrong with the header, or with that section.
    public init(_ bytes: [UInt8], firstSection: [UInt8] = []) throws(ELFProblem) {
        let identity = try ELFIdentity(bytes)
        guard identity.is64Bit, bytes.count >= Self.byteCount else { throw .not64Bit }
        func number(_ offset: Int, _ byteCount: Int) -> UInt64 {
            identity.order.number(in: bytes, at: offset, byteCount: byteCount)
        }
        self.identity = identity
        var programHeaderCount = number(56, 2)
        if programHeaderCount == Self.extendedCount {
            guard firstSection.count >= ELFSectionHeader.byteCount else { throw .tooManyProgramHeaders }
            let section = ELFSectionHeader(firstSection, at: 0, order: identity.order)
            // SHT_NULL, as the first one is. Fewer would stand in the header itself.
            guard section.type == 0, section.info >= Self.extendedCount else {
                throw .programHeaderCount(section.info)
            }
            programHeaderCount = section.info
            guard programHeaderCount <= Self.programHeaderLimit else { throw .tooManyProgramHeaders }
        }
        guard programHeaderCount == 0 || number(54, 2) == UInt64(ELFProgramHeader.byteCount) else {
            throw .programHeaderSize(number(54, 2))
        }
        programHeaders = try ELFTable(
            offset: number(32, 8), count: programHeaderCount, entryByteCount: ELFProgramHeader.byteCount)
        let sectionHeaderCount = number(60, 2)
        guard sectionHeaderCount == 0 || number(58, 2) == UInt64(ELFSectionHeader.byteCount) else {
            throw .sectionHeaderSize(number(58, 2))
        }
        sectionHeaders = try ELFTable(
            offset: number(40, 8), count: sectionHeaderCount, entryByteCount: ELFSectionHeader.byteCount)
    }

    /// The program headers in the bytes of ``programHeaders``; those that the bytes do not hold are left out.
    public func programHeaders(in table: [UInt8]) -> [ELFProgramHeader] {
        (0..<min(programHeaders.count, table.count / ELFProgramHeader.byteCount)).map {
            ELFProgramHeader(table, at: $0 * ELFProgramHeader.byteCount, order: order)
        }
    }

    /// The section headers in the bytes of ``sectionHeaders``; those that the bytes do not hold are left out.
    public func sectionHeaders(in table: [UInt8]) -> [ELFSectionHeader] {
        (0..<min(sectionHeaders.count, table.count / ELFSectionHeader.byteCount)).map {
            ELFSectionHeader(table, at: $0 * ELFSectionHeader.byteCount, order: order)
        }
    }
}

/// A piece of a file, and where it is in memory (`Elf64_Phdr`). The numbers are the file's and may be any.
public struct ELFProgramHeader: Equatable, Sendable {
    /// `sizeof(Elf64_Phdr)`.
    public static var byteCount: Int { 56 }
    /// `PT_LOAD`: memory.
    public static var loadType: UInt64 { 1 }
    /// `PT_NOTE`: notes, each behind an `Elf64_Nhdr`.
    public static var noteType: UInt64 { 4 }

    /// `p_type`.
    public let type: UInt64
    /// `p_offset`.
    public let fileOffset: UInt64
    /// `p_vaddr`.
    public let virtAddr: UInt64
    /// `p_paddr`.
    public let physAddr: UInt64
    /// `p_filesz`: how much of it the file holds.
    public let fileByteCount: UInt64
    /// `p_memsz`.
    public let memoryByteCount: UInt64

    fileprivate init(_ table: [UInt8], at start: Int, order: ByteOrder) {
        func number(_ offset: Int, _ byteCount: Int) -> UInt64 {
            order.number(in: table, at: start + offset, byteCount: byteCount)
        }
        type = number(0, 4)
        fileOffset = number(8, 8)
        virtAddr = number(16, 8)
        physAddr = number(24, 8)
        fileByteCount = number(32, 8)
        memoryByteCount = number(40, 8)
    }

    /// Whether all that the file holds of it has offsets and effective addresses, up to the last ones of 64 bits; false of a
    /// piece of nothing.
    public var isAddressable: Bool {
        guard fileByteCount > 0 else { return false }
        return virtAddr <= .max - (fileByteCount - 1) && fileOffset <= .max - (fileByteCount - 1)
    }

    /// Where the file holds memory; only for a piece that ``isAddressable``.
    ///
    /// - Parameters:
    ///   - address: the first effective address.
    ///   - byteCount: how many bytes.
    /// - Returns: the first byte's offset, or nil where this piece does not hold all of them.
    public func fileOffset(ofVirtAddr address: UInt64, byteCount: UInt64) -> UInt64? {
        guard address >= virtAddr else { return nil }
        let distance = address - virtAddr
        guard distance < fileByteCount, byteCount <= fileByteCount - distance else { return nil }
        return fileOffset &+ distance
    }
}

/// A section of a file (`Elf64_Shdr`). The numbers are the file's and may be any.
public struct ELFSectionHeader: Equatable, Sendable {
    /// `sizeof(Elf64_Shdr)`.
    public static var byteCount: Int { 64 }
    /// `SHT_SYMTAB`: the symbol table.
    public static var symbolTableType: UInt64 { 2 }

    /// `sh_type`.
    public let type: UInt64
    /// `sh_offset`.
    public let fileOffset: UInt64
    /// `sh_size`.
    public let fileByteCount: UInt64
    /// `sh_link`: the number of another section, a symbol table's names.
    public let link: UInt64
    /// `sh_info`: of the first section, where `e_phnum` cannot say it, the number of program headers.
    public let info: UInt64

    fileprivate init(_ table: [UInt8], at start: Int, order: ByteOrder) {
        func number(_ offset: Int, _ byteCount: Int) -> UInt64 {
            order.number(in: table, at: start + offset, byteCount: byteCount)
        }
        type = number(4, 4)
        fileOffset = number(24, 8)
        fileByteCount = number(32, 8)
        link = number(40, 4)
        info = number(44, 4)
    }
}

/// Why bytes are not the header of an ELF file that can be read here.
public enum ELFProblem: Error, Equatable, Sendable {
    /// They are too few, or the magic number is missing.
    case notELF
    /// `EI_DATA` is neither 1, little-endian, nor 2, big-endian.
    case byteOrder(UInt8)
    /// It is not a whole header of `ELFCLASS64`.
    case not64Bit
    /// `e_phentsize` is not 56.
    case programHeaderSize(UInt64)
    /// There are more program headers than ``ELFHeader/programHeaderLimit``; or than `e_phnum` can say (`PN_XNUM`), and no
    /// section header says how many.
    case tooManyProgramHeaders
    /// The first section header says so many program headers where `e_phnum` says that there are 65535 or more.
    case programHeaderCount(UInt64)
    /// `e_shentsize` is not 64.
    case sectionHeaderSize(UInt64)
    /// A table runs over the last offset that there is.
    case tableWraps(offset: UInt64)
}
