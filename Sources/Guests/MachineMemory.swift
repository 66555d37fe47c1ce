// SPDX-License-Identifier: Apache-2.0

package import GuestMemory
import HarnessBasics
import Libvirt
package import MemoryBackends
import SystemPackage
import Verification

/// The memory of a guest's machine, boot RAM and DIMMs, mapped from the files that QEMU has it in.
package actor MachineMemory {
    private let domain: any GuestDomain
    /// Boot RAM and DIMMs.
    package private(set) var ram = GuestRAM([])
    /// The NUMA nodes of the pieces, by their names.
    private var nodes: [String: UInt64] = [:]
    /// The end of the highest memory that the guest ever had.
    package private(set) var endAddress = PhysicalAddress(0)

    init(of domain: any GuestDomain) {
        self.domain = domain
    }

    /// Maps the files of memory that libvirt says the domain has now.
    func refresh() async throws {
        let live = try await domain.live()
        let files = try await domain.memoryFiles(of: live)
        let known = Dictionary(ram.regions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        func region(_ name: String, base: UInt64, byteCount: UInt64, path: FilePath) throws -> GuestRAM.Region {
            if let region = known[name], region.base.rawValue == base, region.file.words.byteCount == byteCount {
                return region
            }
            return GuestRAM.Region(
                name: name, base: PhysicalAddress(base), file: try MappedFile(path, byteCount: byteCount))
        }
        var regions: [GuestRAM.Region] = []
        let bootNodes = live.bootMemoryByNode
        var nodes: [String: UInt64] = [:]
        var base: UInt64 = 0
        for (node, (byteCount, path)) in zip(bootNodes, files.boot).enumerated() {
            let name = bootNodes.count == 1 ? "boot" : "boot-node\(node)"
            nodes[name] = UInt64(node)
            regions.append(try region(name, base: base, byteCount: byteCount, path: path))
            base += byteCount
        }
        guard base == live.bootMemoryByteCount else {
            throw HarnessError.infrastructure(
                "the NUMA nodes have \(ByteCount(base).text) of boot memory, the domain has "
                    + ByteCount(live.bootMemoryByteCount).text)
        }
        for dimm in live.dimms {
            guard let path = files.dimms[dimm.alias] else {
                throw HarnessError.infrastructure("qemu names no file for the memory of \(dimm.alias)")
            }
            regions.append(try region(dimm.alias, base: dimm.base, byteCount: dimm.byteCount, path: path))
            nodes[dimm.alias] = UInt64(dimm.node)
        }
        self.nodes = nodes
        ram = GuestRAM(regions)
        endAddress = max(endAddress, ram.endAddress)
    }

    /// Where a DIMM lies; nil when it is not plugged.
    package func range(of alias: String) -> Range<UInt64>? {
        ram.regions.first { $0.name == alias }?.range
    }

    /// The NUMA node of a DIMM; nil when it is not plugged.
    func node(of alias: String) -> UInt64? { nodes[alias] }

    /// How many DIMMs are plugged.
    package var dimmCount: Int { ram.regions.count { $0.name.hasPrefix(DIMMs.aliasPrefix) } }

    /// The memory that the guest may use: all of it but the LMBs that it was seen to give up.
    func usable(_ lmbs: LMBLedger) -> [MemoryRange] {
        ram.regions.flatMap { region in
            lmbs.usable(of: region.range).map { range, isProbed in
                MemoryRange(
                    name: region.name, base: range.lowerBound, byteCount: range.upperBound - range.lowerBound,
                    node: isProbed ? nil : nodes[region.name])
            }
        }
    }
}

extension MemoryRange {
    /// What libvirt says of a piece of memory.
    init(_ region: GuestRAM.Region) {
        self.init(name: region.name, base: region.base.rawValue, byteCount: region.file.words.byteCount)
    }
}
