// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// A kernel's ELF file with nothing in it but a symbol table.
package struct SampleImage {
    package struct Symbol {
        package let name: String
        package let address: UInt64
        /// `st_info`: STB_GLOBAL and STT_OBJECT.
        package var info: UInt8
        /// `st_shndx`: any section but SHN_UNDEF.
        package var section: UInt16

        package init(name: String, address: UInt64, info: UInt8 = 0x11, section: UInt16 = 5) {
            (self.name, self.address, self.info, self.section) = (name, address, info, section)
        }
    }

    package var order: ByteOrder
    package var symbols = [
        Symbol(name: "init_uts_ns", address: 0xc000_0000_02a1_f5a8),
        Symbol(name: "old_vmemmap_list", address: 0xc000_0000_0000_0010),
        Symbol(name: "vmemmap_list", address: 0xc000_0000_0020_0000),
        Symbol(name: "vmemmap_list_lock", address: 0xc000_0000_0000_0020),
        Symbol(name: "mmu_vmemmap_psize", address: 0xc000_0000_0020_000c),
    ]
    /// SHT_SYMTAB, unless it is stripped.
    package var tableType: UInt64

    /// Where the section headers are: behind the ELF header.
    package static let sectionsOffset = 64
    /// Null, symbols, names.
    package static let sectionCount = 3
    package static let symbolsOffset = sectionsOffset + sectionCount * 64

    package init(order: ByteOrder = .little, tableType: UInt64 = 2) {
        (self.order, self.tableType) = (order, tableType)
    }

    package var bytes: [UInt8] {
        var names: [UInt8] = [0]
        var table = [UInt8](repeating: 0, count: 24)
        for symbol in symbols {
            table += number(UInt64(names.count), 4) + [symbol.info, 0] + number(UInt64(symbol.section), 2)
            table += number(symbol.address, 8) + number(8, 8)
            names += Array(symbol.name.utf8) + [0]
        }
        let header: [UInt8] =
            [0x7f, 0x45, 0x4c, 0x46, 2, order == .little ? 1 : 2, 1] + [UInt8](repeating: 0, count: 33)
            + number(UInt64(Self.sectionsOffset), 8) + number(0, 4) + number(64, 2) + number(0, 4) + number(64, 2)
            + number(UInt64(Self.sectionCount), 2) + number(0, 2)
        return header + [UInt8](repeating: 0, count: 64)
            + section(type: tableType, offset: Self.symbolsOffset, byteCount: table.count, link: 2)
            + section(type: 3, offset: Self.symbolsOffset + table.count, byteCount: names.count, link: 0)
            + table + names
    }

    private func section(type: UInt64, offset: Int, byteCount: Int, link: UInt64) -> [UInt8] {
        number(0, 4) + number(type, 4) + number(0, 16) + number(UInt64(offset), 8) + number(UInt64(byteCount), 8)
            + number(link, 4) + number(0, 4) + number(8, 8) + number(24, 8)
    }

    private func number(_ value: UInt64, _ byteCount: Int) -> [UInt8] {
        let bytes = (0..<byteCount).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) : 0 }
        return order == .little ? bytes : bytes.reversed()
    }
}
