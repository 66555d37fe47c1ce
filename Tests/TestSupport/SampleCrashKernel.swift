// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// Bytes of numbers, as trees have them.
package func bigEndian(_ numbers: UInt64..., byteCount: Int = 4) -> [UInt8] {
    numbers.flatMap { number in (0..<byteCount).reversed().map { UInt8(truncatingIfNeeded: number >> (UInt64($0) * 8)) }
    }
}

/// A flattened device tree of a few nodes, as kexec-tools writes them.
package struct SampleTree {
    package var bootArguments: String
    package var orders: [UInt64]
    /// Numbers of the header that are not what they should be, by their place.
    package var header: [Int: UInt64]
    /// What stands in the structure block in place of a correct one.
    package var structure: [UInt8]?

    package init(
        bootArguments: String = "quiet elfcorehdr=2048K savemaxmem=4M", orders: [UInt64] = [24, 24],
        header: [Int: UInt64] = [:], structure: [UInt8]? = nil
    ) {
        (self.bootArguments, self.orders, self.header, self.structure) = (bootArguments, orders, header, structure)
    }

    /// Behind the header and one empty reservation.
    package static let structureOffset = 56

    private static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
    }

    package static func node(_ name: String, _ content: [UInt8]) -> [UInt8] {
        bigEndian(1) + padded(Array(name.utf8) + [0]) + content + bigEndian(2)
    }

    package static func property(_ name: UInt64, _ value: [UInt8]) -> [UInt8] {
        bigEndian(3, UInt64(value.count), name) + padded(value)
    }

    package static let strings = Array("bootargs\0ibm,pft-size\0reg\0".utf8)

    private var correctStructure: [UInt8] {
        var cpus: [UInt8] = []
        for (index, order) in orders.enumerated() {
            let content = Self.property(22, bigEndian(UInt64(index))) + Self.property(9, bigEndian(0, order))
            cpus += Self.node("PowerPC,POWER8@\(index)", content)
        }
        var content = Self.node("chosen", Self.property(0, Array(bootArguments.utf8) + [0]))
        content += Self.node("cpus", cpus)
        content += Self.node("memory@0", Self.property(22, bigEndian(0, 4 << 20, byteCount: 8)))
        return Self.node("", content) + bigEndian(9)
    }

    package var bytes: [UInt8] {
        let structure = structure ?? correctStructure
        let stringsOffset = Self.structureOffset + structure.count
        let total = stringsOffset + Self.strings.count
        let numbers: [UInt64] = [
            0xd00d_feed, UInt64(total), UInt64(Self.structureOffset), UInt64(stringsOffset), 40, 17, 17, 0,
            UInt64(Self.strings.count), UInt64(structure.count),
        ]
        return numbers.enumerated().flatMap { bigEndian(header[$0.offset] ?? $0.element) }
            + [UInt8](repeating: 0, count: 16) + structure + Self.strings
    }
}

/// An ELF core header as kexec-tools writes it: notes, then memory.
package struct SampleCoreHeader {
    package struct Piece {
        package var type: UInt64 = 1
        package var offset: UInt64
        package var physAddr: UInt64
        package var byteCount: UInt64

        package init(type: UInt64 = 1, offset: UInt64, physAddr: UInt64, byteCount: UInt64) {
            (self.type, self.offset, self.physAddr, self.byteCount) = (type, offset, physAddr, byteCount)
        }
    }

    package var order: ByteOrder
    package var type: UInt64
    package var machine: UInt64
    package var entryByteCount: UInt64
    package var tableOffset: UInt64
    package var pieces = [
        Piece(type: 4, offset: 0x8000, physAddr: 0x8000, byteCount: 0x200),
        Piece(type: 4, offset: 0x3000, physAddr: 0x3000, byteCount: 0x1000),
        Piece(offset: 0x21_0000, physAddr: 0, byteCount: 0x1_0000),
        Piece(offset: 0x1_0000, physAddr: 0x1_0000, byteCount: 0xf_0000),
        Piece(offset: 0x30_0000, physAddr: 0x30_0000, byteCount: 0x10_0000),
    ]

    package init(
        order: ByteOrder = .little, type: UInt64 = 4, machine: UInt64 = 21, entryByteCount: UInt64 = 56,
        tableOffset: UInt64 = 64
    ) {
        (self.order, self.type, self.machine) = (order, type, machine)
        (self.entryByteCount, self.tableOffset) = (entryByteCount, tableOffset)
    }

    private func number(_ value: UInt64, _ byteCount: Int) -> [UInt8] {
        let bytes = bigEndian(value, byteCount: byteCount)
        return order == .little ? bytes.reversed() : bytes
    }

    package var bytes: [UInt8] {
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, order == .little ? 1 : 2, 1]
        bytes += [UInt8](repeating: 0, count: 9)
        let fields: [(UInt64, Int)] = [
            (type, 2), (machine, 2), (1, 4), (0, 8), (tableOffset, 8), (0, 8), (0, 4), (64, 2), (entryByteCount, 2),
            (UInt64(pieces.count), 2), (0, 6),
        ]
        for (value, byteCount) in fields { bytes += number(value, byteCount) }
        for piece in pieces {
            let fields: [(UInt64, Int)] = [
                (piece.type, 4), (7, 4), (piece.offset, 8), (0, 8), (piece.physAddr, 8), (piece.byteCount, 8),
                (piece.byteCount, 8), (0, 8),
            ]
            for (value, byteCount) in fields { bytes += number(value, byteCount) }
        }
        return bytes
    }
}
