// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import KernelState
import VmemmapPopulate

/// What was read of a kernel's memory, in the terms of a snapshot.
extension KernelFacts {
    /// Takes over a kernel's constants and its memory map.
    public init(_ kernel: Kernel, _ memoryMap: MemoryMap) {
        self.init(
            release: String(decoding: kernel.release, as: UTF8.self), isBigEndian: kernel.order == .big,
            pageByteCount: kernel.layout.pageByteCount, sectionSizeBits: kernel.layout.sectionSizeBits,
            structPageByteCount: kernel.layout.structPageByteCount, vmemmapPageShift: memoryMap.pageShift,
            vmemmapBase: memoryMap.base ?? 0, mmu: kernel.mmu)
    }
}

extension PresentSection {
    /// Takes over a section of the kernel's table, with its `subsection_map` where that is known.
    public init(_ section: MemorySection, subsections: UInt64? = nil) {
        self.init(
            number: section.number, vmemmapBase: section.vmemmapBase, isOnline: section.isOnline,
            flags: section.flags.rawValue, subsections: subsections)
    }
}

extension KernelState {
    /// What the list says, or where it is empty the page tables.
    public var windows: [BackedWindow] {
        guard list.entries.isEmpty else {
            let byteCount: UInt64 = memoryMap.pageShift.map { 1 << $0 } ?? 0
            return list.entries.map {
                BackedWindow(place: $0.node, virtAddr: $0.virtAddr, phys: $0.phys, byteCount: byteCount)
            }
        }
        return tables?.leaves.map(BackedWindow.init) ?? []
    }
}
