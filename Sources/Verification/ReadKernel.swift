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
            vmemmapBase: memoryMap.base ?? 0, mmu: MMU(kernel.mmu))
    }
}

extension MMU {
    /// Takes over what the kernel's note or the guest says.
    public init(_ unit: MemoryManagementUnit) {
        self =
            switch unit {
            case .hash: .hash
            case .radix: .radix
            case .unknown: .unknown
            }
    }
}

extension PresentSection {
    /// Takes over a section of the kernel's table.
    public init(_ section: MemorySection) {
        self.init(number: section.number, vmemmapBase: section.vmemmapBase, isOnline: section.isOnline)
    }
}

extension KernelState {
    /// What the list says, or where it is empty the page tables.
    public var windows: [BackedWindow] {
        guard list.nodes.isEmpty else {
            let byteCount: UInt64 = memoryMap.pageShift.map { 1 << $0 } ?? 0
            return list.nodes.map {
                BackedWindow(
                    place: $0.address, virtAddr: $0.backing.virtAddr, phys: $0.backing.phys, byteCount: byteCount)
            }
        }
        return tables?.leaves.map(BackedWindow.init) ?? []
    }
}
