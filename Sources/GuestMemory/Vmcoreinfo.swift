// SPDX-License-Identifier: Apache-2.0

/// The kernel's own notes for dump tools: `KEY=value` lines (Documentation/admin-guide/kdump/vmcoreinfo.rst).
public struct Vmcoreinfo: Sendable {
    /// The largest text that is read. The kernel's buffer is one page, 64 KiB on the largest page size.
    public static let maximumByteCount = 65536

    /// The text, as it stands in the guest.
    public let text: [UInt8]

    /// Takes a text; false keys simply do not occur in it.
    public init(text: [UInt8]) {
        self.text = text
    }

    /// The value of `KEY=`, or nil. The first line with the key counts.
    public func value(_ key: StaticString) -> ArraySlice<UInt8>? {
        var rest = text[...]
        while !rest.isEmpty {
            var line = rest.takeField(until: 0x0a)
            if line.skip(key), line.first == 0x3d {
                return line.dropFirst()
            }
        }
        return nil
    }

    /// The value of a key whose number the kernel prints in hexadecimal without prefix: `SYMBOL(…)`.
    public func hexadecimal(_ key: StaticString) -> UInt64? {
        guard var digits = value(key), let number = digits.takeNumber(radix: 16), digits.isEmpty else { return nil }
        return number
    }

    /// The value of a key whose number the kernel prints in decimal: `SIZE(…)`, `OFFSET(…)`, `LENGTH(…)`, `NUMBER(…)`.
    public func decimal(_ key: StaticString) -> UInt64? {
        guard var digits = value(key), let number = digits.takeNumber(radix: 10), digits.isEmpty else { return nil }
        return number
    }
}

extension Vmcoreinfo {
    /// The variables that a ``KernelLayout`` needs and whose address a symbol table tells as well.
    ///
    /// `mem_section` is none of them: the line has the array's address, the symbol is the pointer to it.
    public static var symbolNames: [StaticString] {
        ["vmemmap_list", "mmu_vmemmap_psize", "mmu_psize_defs", "swapper_pg_dir"]
    }

    /// The value of `SYMBOL(name)=`, or nil.
    public func symbol(_ name: StaticString) -> UInt64? {
        var rest = text[...]
        while !rest.isEmpty {
            var line = rest.takeField(until: 0x0a)
            guard line.skip("SYMBOL("), line.skip(name), line.skip(")=") else { continue }
            guard let address = line.takeNumber(radix: 16), line.isEmpty else { return nil }
            return address
        }
        return nil
    }

    /// This text with lines of symbols behind it. What the kernel itself says comes first, so it counts.
    public func adding(_ symbols: [(name: StaticString, address: UInt64)]) -> Vmcoreinfo {
        var text = text
        for symbol in symbols {
            text.append(text: "\nSYMBOL(")
            text.append(text: symbol.name)
            text.append(text: ")=")
            text.append(hexDigits: symbol.address)
        }
        return Vmcoreinfo(text: text)
    }
}

extension Vmcoreinfo {
    /// The name field of the ELF note that carries the text: 11 bytes with its NUL, padded to 12.
    public static var noteName: [UInt8] {
        var name: [UInt8] = []
        name.append(text: "VMCOREINFO\0\0")
        return name
    }

    /// The note's header: name size, description size, type (`Elf64_Nhdr`), before the name.
    public static let noteHeaderByteCount = 12

    /// The largest note: `VMCOREINFO_NOTE_SIZE` is the text's page, two note headers and two names.
    public static let maximumNoteByteCount = maximumByteCount + 4096

    /// How many bytes tell whether a note begins there: header, name, and the text's first key.
    public static let noteBeginningByteCount = 40

    /// How long an ELF note is that begins so (`vmcoreinfo_note`, kernel/crash_core.c).
    ///
    /// - Parameters:
    ///   - note: bytes from the note's header on, ``noteBeginningByteCount`` or more.
    ///   - order: the kernel's byte order.
    /// - Returns: the note's bytes, or nil when it is not valid: wrong name, an impossible size, or a text that does not begin
    ///   with `OSRELEASE=`.
    public static func noteByteCount(beginning note: [UInt8], order: ByteOrder) -> Int? {
        func field(_ offset: Int) -> Int { Int(order.number(in: note, at: offset, byteCount: 4)) }
        let textStart = noteHeaderByteCount + noteName.count
        guard note.count >= textStart, field(0) == 11, field(8) == 0 else { return nil }
        guard note[noteHeaderByteCount..<textStart].elementsEqual(noteName) else { return nil }
        let byteCount = field(4)
        guard byteCount > 0, byteCount <= maximumByteCount else { return nil }
        guard note[textStart...].starts(with: "OSRELEASE=") else { return nil }
        return textStart + byteCount
    }

    /// Reads the text out of an ELF note, or returns nil when the bytes are not one, or not all of it.
    ///
    /// - Parameters:
    ///   - note: bytes from the note's header on, possibly more than the note.
    ///   - order: the kernel's byte order.
    public init?(note: [UInt8], order: ByteOrder) {
        guard let byteCount = Self.noteByteCount(beginning: note, order: order), byteCount <= note.count else {
            return nil
        }
        self.init(text: Array(note[Self.noteHeaderByteCount + Self.noteName.count..<byteCount]))
    }
}
