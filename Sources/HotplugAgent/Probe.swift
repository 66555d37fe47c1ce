// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A kprobe event (Documentation/trace/kprobetrace.rst) that the agent asks the kernel for.
struct Probe {
    /// What a hit means.
    let kind: Kind
    /// The kernel function.
    let function: StaticString

    /// The group that all of the agent's events are in.
    static let group: StaticString = "qemu_harness"

    /// What a hit means; the words that it carries are read in `ProbeEvent`.
    enum Kind: CaseIterable {
        case populate, populated, allocate, allocated, map, unmap, free

        /// The event's name.
        var name: StaticString {
            switch self {
            case .populate: "qh_populate"
            case .populated: "qh_populated"
            case .allocate: "qh_allocate"
            case .allocated: "qh_allocated"
            case .map: "qh_map"
            case .unmap: "qh_unmap"
            case .free: "qh_free"
            }
        }

        /// Whether it is the function's return that is probed.
        var isReturn: Bool { self == .populated || self == .allocated }

        /// What the kernel fetches at each hit: arguments by their registers in the ppc64 calling convention.
        var words: StaticString {
            switch self {
            case .populate: "start=%gpr3:x64 end=%gpr4:x64 node=%gpr5:x64 altmap=%gpr6:x64"
            case .populated: "result=$retval:x64"
            case .allocate: "bytes=%gpr3:x64 altmap=%gpr5:x64"
            case .allocated: "pointer=$retval:x64"
            case .map: "virt=%gpr3:x64 bytes=%gpr4:x64 phys=%gpr5:x64"
            case .unmap: "virt=%gpr3:x64 bytes=%gpr4:x64"
            case .free: "start=%gpr3:x64 end=%gpr4:x64"
            }
        }
    }

    /// The probes that say everything about a kernel that keeps a list: each block is linked and then mapped, unlinked
    /// and then unmapped, and the mapping functions are told which one.
    static func forList(mmu: MMU) -> [Probe] {
        let isRadix = mmu == .radix
        return [
            Probe(kind: .populate, function: "vmemmap_populate"),
            Probe(kind: .populated, function: "vmemmap_populate"),
            Probe(kind: .allocated, function: "vmemmap_alloc_block_buf"),
            Probe(
                kind: .map, function: isRadix ? "radix__vmemmap_create_mapping" : "hash__vmemmap_create_mapping"),
            Probe(
                kind: .unmap, function: isRadix ? "radix__vmemmap_remove_mapping" : "hash__vmemmap_remove_mapping"),
            Probe(kind: .free, function: "vmemmap_free"),
        ]
    }

    /// The probes that say everything about a kernel that keeps page tables and no list: which sizes were asked for, and
    /// what came, in the order in which the kernel's own rule puts it to use. What a free takes, the rule alone says.
    static var forTables: [Probe] {
        [
            Probe(kind: .populate, function: "radix__vmemmap_populate"),
            Probe(kind: .populated, function: "radix__vmemmap_populate"),
            Probe(kind: .allocate, function: "vmemmap_alloc_block_buf"),
            Probe(kind: .allocated, function: "vmemmap_alloc_block_buf"),
            Probe(kind: .free, function: "vmemmap_free"),
        ]
    }

    /// The line that defines it in kprobe_events.
    var definition: [UInt8] {
        var line = bytes(kind.isReturn ? "r:" : "p:")
        line += path
        line.append(0x20)
        line.append(text: function)
        line.append(0x20)
        line.append(text: kind.words)
        line.append(0x0a)
        return line
    }

    /// The line that takes it out of kprobe_events.
    var removal: [UInt8] {
        bytes("-:") + path + [0x0a]
    }

    private var path: [UInt8] {
        var path = bytes(Self.group)
        path.append(0x2f)
        path.append(text: kind.name)
        return path
    }
}
