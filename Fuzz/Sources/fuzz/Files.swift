// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import SystemPackage

@testable import Libvirt
@testable import MemoryBackends

extension Harness {
    /// Dumps, what is loaded for a crash, QEMU's migration stream, libvirt's XML.
    static let files = [
        Harness("flattened", byteLimit: 16384) { bytes in
            ScratchFile.input.fill(bytes)
            ScratchFile.target.clear()
            let limit: UInt64 = 1 << 20
            let range = 0..<UInt64(bytes.count)
            let byteCount = try FlattenedDump.rearrange(
                ScratchFile.input.descriptor, range, into: ScratchFile.target.descriptor, limit: limit, takesELF: true)
            require(byteCount <= limit, "a dump has a limit")
            let end = try ScratchFile.target.descriptor.seek(offset: 0, from: .end)
            require(UInt64(end) <= byteCount, "nothing stands behind a dump's end")
            let again = try FlattenedDump.rearrange(
                ScratchFile.input.descriptor, range, into: nil, limit: limit, takesELF: true)
            require(again == byteCount, "a stream that is only looked at makes as much")
        },
        Harness("elf-dump", byteLimit: 16384) { bytes in
            // Others' library reads what is compressed, in a process of its own.
            guard bytes.starts(with: [0x7f]) else { return }
            ScratchFile.input.fill(bytes)
            let dump = try DumpMemory(ScratchFile.input.path)
            require(dump.byteCount <= UInt64(bytes.count), "a dump has no more memory than bytes")
            let extents = try dump.dataExtents()
            for extent in extents.prefix(16) {
                require(dump.bytes(at: extent.lowerBound, byteCount: 1).count == 1, "what is said to be there is there")
                let address = PhysicalAddress(extent.lowerBound.alignedDown(to: 8))
                let isHeld = dump.holds(address)
                require(((try? dump.storedWord(at: address)) != nil) == isHeld, "a word that is held is read")
            }
            _ = dump.held(in: 0..<4096)
            _ = try KernelNote(of: dump)
        },
        Harness("device-tree", byteLimit: 4096) { bytes in
            _ = MemoryBackends.CrashKernel.headerAddress(in: bytes)
            let tree = try FlattenedTree(bytes)
            require(zip(tree.hashTableOrders, tree.hashTableOrders.dropFirst()).allSatisfy(<), "orders ascend")
            if let arguments = tree.bootArguments { _ = CrashKernel.headerAddress(in: arguments) }
        },
        Harness("guest-ram", byteLimit: 16384) { bytes in
            // A hole before and behind.
            let byteCount = 65536
            ScratchFile.input.fill(bytes, byteCount: byteCount)
            let file = try MappedFile(ScratchFile.input.path, byteCount: UInt64(byteCount))
            let memory = GuestRAM([GuestRAM.Region(name: "boot", base: PhysicalAddress(0), file: file)])
            if let note = try? KernelNote(foundIn: memory) {
                require(note.stands(in: memory), "a note that was found stands there")
            }
            let kernel = try CrashKernel(foundIn: memory, reservation: 0..<UInt64(byteCount))
            require(kernel.headerAddress.rawValue < UInt64(byteCount), "a header lies in the reservation")
        },
        Harness("migration", byteLimit: 8192) { bytes in
            let table = try HashedTable(inStream: bytes)
            require(
                zip(table.entries, table.entries.dropFirst()).allSatisfy { $0.index < $1.index }, "entries ascend")
            require(table.entries.allSatisfy { $0.index < table.groupCount * 8 }, "entries are in the table")
            let segments = HashedSegments.candidates
            for entry in table.entries.prefix(16) {
                for shift: UInt64 in [12, 16, 24] {
                    for segment in segments {
                        _ = segment.offset(of: entry, pageShift: shift, groupCount: table.groupCount)
                    }
                }
            }
        },
        Harness("domain-xml", byteLimit: 8192) { bytes in
            let domain = try LiveDomain(xml: String(decoding: bytes, as: UTF8.self))
            require(
                domain.dimms.allSatisfy { !$0.base.addingReportingOverflow($0.byteCount).overflow },
                "DIMMs have addresses: \(domain.dimms)")
        },
    ]
}
