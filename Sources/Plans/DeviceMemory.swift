// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// The guest physical addresses that are set aside for plugged memory, and what lies there: QEMU's device memory.
///
/// It begins at the first multiple of 1 GiB behind the boot memory and has as many bytes as the maximum memory is more than
/// the boot memory (hw/ppc/spapr.c, `spapr_machine_init`). Everything in it is a multiple of 256 MiB, so the alignment that
/// QEMU asks for, the page size of the file behind a DIMM, moves nothing.
public struct DeviceMemory: Equatable, Sendable {
    /// All of it.
    public let range: Range<UInt64>
    /// What is taken, ascending.
    public private(set) var taken: [Range<UInt64>] = []

    /// `SPAPR_DEVICE_MEM_ALIGN` (include/hw/ppc/spapr.h).
    private static let alignment: UInt64 = 1 << 30

    /// The device memory of a machine, with nothing in it; sizes in bytes, neither above ``PlanLimits/memory`` by much.
    public init(bootMemory: UInt64, maximumMemory: UInt64) {
        let start = (bootMemory + Self.alignment - 1) / Self.alignment * Self.alignment
        self.init(range: start..<start + (max(maximumMemory, bootMemory) - bootMemory))
    }

    /// Addresses of which none is taken.
    init(range: Range<UInt64>) {
        self.range = range
    }

    /// Where QEMU puts a DIMM that has no place of its own, nil when there is no room: the lowest place that is free
    /// (hw/mem/memory-device.c, `memory_device_get_free_addr`).
    public func place(for byteCount: UInt64) -> Range<UInt64>? {
        free.first { $0.upperBound - $0.lowerBound >= byteCount }.map { $0.lowerBound..<$0.lowerBound + byteCount }
    }

    /// What is free, ascending.
    public var free: [Range<UInt64>] {
        var start = range.lowerBound
        var free: [Range<UInt64>] = []
        for taken in taken {
            if start < taken.lowerBound { free.append(start..<taken.lowerBound) }
            start = taken.upperBound
        }
        if start < range.upperBound { free.append(start..<range.upperBound) }
        return free
    }

    /// Says how large the largest free piece is, and where.
    public var largestFreeText: String {
        let largest = free.max { $0.upperBound - $0.lowerBound < $1.upperBound - $1.lowerBound }
        guard let largest else { return "nothing is free" }
        return "the largest free piece has \(ByteCount(largest.upperBound - largest.lowerBound).text), at "
            + ByteCount(largest.lowerBound).text
    }

    /// Takes addresses, of which none is taken.
    public mutating func take(_ place: Range<UInt64>) {
        let index = taken.firstIndex { $0.lowerBound >= place.upperBound } ?? taken.count
        taken.insert(place, at: index)
    }

    /// Gives back what was taken.
    public mutating func release(_ place: Range<UInt64>) {
        taken.removeAll { $0 == place }
    }
}
