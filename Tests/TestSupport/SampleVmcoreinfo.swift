// SPDX-License-Identifier: Apache-2.0

package import GuestMemory

/// VMCOREINFO as a 6.1 ppc64le kernel with 64 KiB pages writes it, shortened to what matters and its neighbours.
package struct SampleVmcoreinfo: Sendable {
    package var lines: [(key: String, value: String)] = [
        ("OSRELEASE", "6.1.0-37-powerpc64le"),
        ("BUILD-ID", "3f1d0a2c4b5e69788796a5b4c3d2e1f001122334"),
        ("PAGESIZE", "65536"),
        ("SYMBOL(init_uts_ns)", "c000000002a1f5a8"),
        ("OFFSET(uts_namespace.name)", "0"),
        ("SYMBOL(swapper_pg_dir)", "c000000002740000"),
        ("SYMBOL(_stext)", "c000000000000000"),
        ("SYMBOL(mem_section)", "c000000000300000"),
        ("LENGTH(mem_section)", "65536"),
        ("SIZE(mem_section)", "32"),
        ("OFFSET(mem_section.section_mem_map)", "0"),
        ("NUMBER(SECTION_SIZE_BITS)", "24"),
        ("NUMBER(MAX_PHYSMEM_BITS)", "51"),
        ("SIZE(page)", "64"),
        ("SIZE(pglist_data)", "19712"),
        ("KERNELOFFSET", "0"),
        ("SYMBOL(vmemmap_list)", "c000000000200000"),
        ("SYMBOL(mmu_vmemmap_psize)", "c00000000020000c"),
        ("SYMBOL(mmu_psize_defs)", "c000000000201000"),
        ("SIZE(vmemmap_backing)", "24"),
        ("OFFSET(vmemmap_backing.list)", "0"),
        ("OFFSET(vmemmap_backing.phys)", "8"),
        ("OFFSET(vmemmap_backing.virt_addr)", "16"),
        ("SIZE(mmu_psize_def)", "96"),
        ("OFFSET(mmu_psize_def.shift)", "0"),
    ]

    package init() {}

    /// The text with one key's value replaced.
    package func replacing(_ key: String, with value: String) -> SampleVmcoreinfo {
        var copy = self
        copy.lines = lines.map { $0.key == key ? (key, value) : $0 }
        return copy
    }

    /// The text with one more key, as a newer kernel has it.
    package func adding(_ key: String, _ value: String) -> SampleVmcoreinfo {
        var copy = self
        copy.lines.append((key, value))
        return copy
    }

    /// The text without a key.
    package func removing(_ key: String) -> SampleVmcoreinfo {
        var copy = self
        copy.lines.removeAll { $0.key == key }
        return copy
    }

    package var text: [UInt8] {
        Array(lines.map { "\($0.key)=\($0.value)\n" }.joined().utf8)
    }

    package var parsed: Vmcoreinfo { Vmcoreinfo(text: text) }

    /// The ELF note around the text.
    package func note(order: ByteOrder) -> [UInt8] {
        Self.note(text: text, order: order)
    }

    /// An ELF note of the kernel's kind around any text.
    package static func note(text: [UInt8], order: ByteOrder) -> [UInt8] {
        var note: [UInt8] = []
        for number: UInt32 in [11, UInt32(text.count), 0] {
            let bytes = (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
            note += order == .little ? bytes : bytes.reversed()
        }
        return note + Array("VMCOREINFO\0\0".utf8) + text
    }
}
