// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import MemoryBackends
import SystemPackage

extension Harness {
    /// What a kernel says of itself, in its note and in its file.
    static let kernels = [
        Harness("vmcoreinfo", byteLimit: 4096) { bytes in
            var input = Input(bytes)
            let order: ByteOrder = input.byte() & 1 == 0 ? .little : .big
            if let info = Vmcoreinfo(note: Array(input.rest), order: order) {
                require(info.text.count <= Vmcoreinfo.maximumByteCount, "a note's text has a limit")
                try readConstants(info, order)
            }
            try readConstants(Vmcoreinfo(text: Array(input.rest)), order)
        },
        Harness("elf", byteLimit: 2048) { bytes in
            let header = try ELFHeader(bytes, firstSection: Array(bytes.dropFirst(64)))
            _ = try? ELFHeader.offsetOfProgramHeaderCount(bytes)
            let table = Array(bytes.dropFirst(64))
            for segment in header.programHeaders(in: table) where segment.isAddressable {
                for address in [segment.virtAddr, segment.virtAddr &+ segment.fileByteCount &- 1] {
                    require(segment.fileOffset(ofVirtAddr: address, byteCount: 1) != nil, "a segment holds its ends")
                }
                let behind = segment.virtAddr &+ segment.fileByteCount
                require(segment.fileOffset(ofVirtAddr: behind, byteCount: 1) == nil, "and nothing behind them")
            }
            _ = header.sectionHeaders(in: table)
        },
        Harness("kernel-image", byteLimit: 4096) { bytes in
            ScratchFile.input.fill(bytes)
            let path = ScratchFile.input.path
            let names = ["vmemmap_list", "a", "mem_section"]
            let addresses = try KernelImage(path).addresses(ofGlobal: names, local: names)
            require(Set(addresses.keys).isSubset(of: names), "only what was asked for is answered")
            _ = try Kernel(note: KernelNote(info: Vmcoreinfo(text: bytes), order: .little, addresses: []), image: path)
        },
    ]

    private static func readConstants(_ info: Vmcoreinfo, _ order: ByteOrder) throws {
        let symbols = Vmcoreinfo.symbolNames.map { (name: $0, address: LinearMap.base + 0x10000) }
        let added = info.adding(symbols)
        for name in Vmcoreinfo.symbolNames {
            if let address = info.symbol(name) {
                require(added.symbol(name) == address, "what the note says counts")
            }
        }
        let kernel = try Kernel(note: KernelNote(info: info, order: order, addresses: [])) { missing in
            SymbolLookup(
                addresses: symbols.filter { symbol in missing.contains { "\($0)" == "\(symbol.name)" } }, reason: [])
        }
        require(
            (1...UInt64(1 << 12)).contains(kernel.layout.sectionsPerRoot), "a root has sections: \(kernel.layout)")
        require(kernel.layout.memoryMapBytesPerSection > 0, "a section has a memory map")
    }
}
