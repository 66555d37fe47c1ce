// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// A machine's hashed page table, as QEMU's migration stream carries it (`htab_save_setup`, `htab_save_first_pass`,
/// hw/ppc/spapr.c).
public struct HashedTable: Sendable {
    /// log2 of its size in bytes.
    public let shift: UInt64
    /// Its valid entries, ascending by index.
    public let entries: [HashedEntry]

    /// How many groups it has.
    public var groupCount: UInt64 { 1 << (shift - 7) }

    /// log2 of the largest table that is read, in bytes: one of a guest with 128 GiB.
    public static let largestShift: UInt64 = 30
    /// The sizes that a table can have: QEMU makes none smaller than 256 KiB.
    static let shifts = 18...largestShift

    /// Finds the table in a whole stream.
    ///
    /// - Throws: ``MigrationStreamProblem``.
    public init(inStream stream: [UInt8]) throws(MigrationStreamProblem) {
        var reader = MigrationStreamReader(stream)
        (shift, entries) = try reader.hashedTable()
    }
}

/// Why no hashed page table can be read in a migration stream.
public enum MigrationStreamProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// It ends before the table does.
    case endsEarly(offset: Int)
    /// Something stands in it that is not known here.
    case unknown(what: String, value: UInt64, offset: Int)
    /// The machine has no table: it uses radix, or KVM keeps it.
    case noTable

    /// What a person reads.
    public var description: String {
        switch self {
        case .endsEarly(let offset): "QEMU's migration stream ends at byte \(offset), before the hashed page table does"
        case .unknown(let what, let value, let offset):
            "QEMU's migration stream has \(what) \(value) at byte \(offset), which is not known here"
        case .noTable: "QEMU's migration stream has no hashed page table"
        }
    }
}

/// Reads a migration stream up to the end of its hashed page table (migration/savevm.c, migration/ram.c). Behind that are
/// devices, whose length nobody tells.
private struct MigrationStreamReader {
    private let bytes: [UInt8]
    private var offset = 0
    /// What the sections are that may come in parts, by their numbers.
    private var sections: [UInt64: Section] = [:]
    private var shift: UInt64?
    private var entries: [HashedEntry] = []
    /// Whether an entry came out of order: then it is one that was told before.
    private var isAscending = true

    private enum Section { case memory, table }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func number(_ byteCount: Int) throws(MigrationStreamProblem) -> UInt64 {
        guard bytes.count - offset >= byteCount else { throw .endsEarly(offset: bytes.count) }
        var number: UInt64 = 0
        for position in offset..<offset + byteCount { number = number << 8 | UInt64(bytes[position]) }
        offset += byteCount
        return number
    }

    private mutating func text() throws(MigrationStreamProblem) -> [UInt8] {
        let byteCount = Int(try number(1))
        try skip(byteCount)
        return Array(bytes[offset - byteCount..<offset])
    }

    private mutating func skip(_ byteCount: Int) throws(MigrationStreamProblem) {
        guard bytes.count - offset >= byteCount else { throw .endsEarly(offset: bytes.count) }
        offset += byteCount
    }

    private mutating func expect(_ what: String, _ byteCount: Int, _ expected: UInt64) throws(MigrationStreamProblem) {
        let value = try number(byteCount)
        guard value == expected else { throw .unknown(what: what, value: value, offset: offset - byteCount) }
    }

    mutating func hashedTable() throws(MigrationStreamProblem) -> (shift: UInt64, entries: [HashedEntry]) {
        try expect("the beginning", 4, 0x5145_564d)  // QEVM
        try expect("the version", 4, 3)
        while true {
            let kind = try number(1)
            switch kind {
            case 0x07: try skipConfiguration()
            case 0x01: try readStart()
            case 0x02, 0x03:
                if try readPart(isLast: kind == 0x03) { return (try finished()) }
            // The end, or a device: behind all that comes in parts.
            case 0x00, 0x04: throw .noTable
            default: throw .unknown(what: "a section of kind", value: kind, offset: offset - 1)
            }
        }
    }

    /// The machine's name, and the capabilities that were on (`vmstate_configuration`).
    private mutating func skipConfiguration() throws(MigrationStreamProblem) {
        try skip(Int(try number(4)))
        while offset < bytes.count, bytes[offset] == 0x05 {
            offset += 1
            let name = try text()
            _ = try number(4)
            guard name == Array("configuration/capabilities".utf8) else {
                throw .unknown(what: "a configuration of length", value: UInt64(name.count), offset: offset)
            }
            for _ in 0..<(try number(4)) { _ = try text() }
        }
    }

    private mutating func readStart() throws(MigrationStreamProblem) {
        let identifier = try number(4)
        let name = try text()
        _ = try number(4)
        let version = try number(4)
        switch name {
        case Array("ram".utf8):
            guard version == 4 else { throw .unknown(what: "ram of version", value: version, offset: offset - 4) }
            sections[identifier] = .memory
            try skipMemory()
        case Array("spapr/htab".utf8):
            guard version == 1 else {
                throw .unknown(what: "spapr/htab of version", value: version, offset: offset - 4)
            }
            sections[identifier] = .table
            let shift = try number(4)
            guard shift != 0xffff_ffff else { throw .noTable }
            guard HashedTable.shifts.contains(shift) else {
                throw .unknown(what: "a table of log2 size", value: shift, offset: offset - 4)
            }
            self.shift = shift
        default: throw .unknown(what: "a section with a name of length", value: UInt64(name.count), offset: offset)
        }
        try readFooter(identifier)
    }

    /// A part of a section; whether it was the table's last.
    private mutating func readPart(isLast: Bool) throws(MigrationStreamProblem) -> Bool {
        let identifier = try number(4)
        switch sections[identifier] {
        case .memory: try skipMemory()
        case .table:
            try readTable()
            if isLast { return true }
        case nil: throw .unknown(what: "a part of section", value: identifier, offset: offset - 4)
        }
        try readFooter(identifier)
        return false
    }

    private mutating func readFooter(_ identifier: UInt64) throws(MigrationStreamProblem) {
        try expect("a footer", 1, 0x7e)
        try expect("a footer of section", 4, identifier)
    }

    /// Memory that no file holds: names and lengths of all, pages of some (`ram_save_setup`, `ram_save_page`).
    private mutating func skipMemory() throws(MigrationStreamProblem) {
        while true {
            let word = try number(8)
            let flags = word & 0xfff
            switch flags & ~0x20 {
            case 0x04:  // RAM_SAVE_FLAG_MEM_SIZE
                var rest = word & ~0xfff
                while rest > 0 {
                    _ = try text()
                    let byteCount = try number(8)
                    // With x-ignore-shared, the address of each.
                    _ = try number(8)
                    guard byteCount > 0, byteCount <= rest else {
                        throw .unknown(what: "memory of size", value: byteCount, offset: offset - 16)
                    }
                    rest -= byteCount
                }
            case 0x02, 0x08:  // ZERO, PAGE; 0x20 is CONTINUE: the memory of the page before
                if flags & 0x20 == 0 { _ = try text() }
                try skip(flags & 0x02 != 0 ? 1 : 4096)
            case 0x10: return  // EOS
            default: throw .unknown(what: "memory with flags", value: flags, offset: offset - 8)
            }
        }
    }

    private mutating func readTable() throws(MigrationStreamProblem) {
        try expect("a part of the table of kind", 4, 0)
        guard let shift else { throw .noTable }
        let limit: UInt64 = 1 << (shift - 4)
        while true {
            let (index, validCount, invalidCount) = (try number(4), try number(2), try number(2))
            if index == 0, validCount == 0, invalidCount == 0 { return }
            guard index + validCount + invalidCount <= limit else {
                throw .unknown(what: "entries behind the table's end, at", value: index, offset: offset - 8)
            }
            // Those that were told before and are no more.
            if invalidCount > 0, let last = entries.last, index + validCount <= last.index { isAscending = false }
            if validCount > 0, let last = entries.last, last.index >= index { isAscending = false }
            try readEntries(from: index, count: validCount)
            for number in index + validCount..<index + validCount + invalidCount where !isAscending {
                entries.append(HashedEntry(index: number, v: 0, r: 0))
            }
        }
    }

    /// The words of entries in a row, of which a table has many: they are not taken byte by byte.
    private mutating func readEntries(from index: UInt64, count: UInt64) throws(MigrationStreamProblem) {
        let start = offset
        try skip(Int(count) * Int(HashedEntry.byteCount))
        // SAFETY: all that is read lies between start and offset, which skip has found inside the array.
        unsafe bytes.withUnsafeBytes { bytes in
            var (position, number) = (start, index)
            while position < offset {
                let v = UInt64(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                let r = UInt64(bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt64.self))
                entries.append(HashedEntry(index: number, v: v, r: r))
                position += Int(HashedEntry.byteCount)
                number += 1
            }
        }
    }

    /// What was told last of each entry counts.
    private func finished() throws(MigrationStreamProblem) -> (shift: UInt64, entries: [HashedEntry]) {
        guard let shift else { throw .noTable }
        guard !isAscending else { return (shift, entries.filter { $0.isValid }) }
        var last: [UInt64: HashedEntry] = [:]
        for entry in entries { last[entry.index] = entry }
        return (shift, last.values.filter(\.isValid).sorted { $0.index < $1.index })
    }
}
