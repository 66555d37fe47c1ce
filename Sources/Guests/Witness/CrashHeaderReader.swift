// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
package import MemoryBackends
package import Verification

extension CrashHeaderSnapshot {
    /// Reads what is loaded for a crash; what keeps it from being read stands in the snapshot.
    ///
    /// - Parameters:
    ///   - memory: the guest's RAM.
    ///   - reservation: the physical addresses that the guest says are reserved.
    ///   - hashTableOrder: log2 of the guest's real hashed page table in bytes, where it is known.
    /// - Throws: when the files behind the memory cannot be looked at.
    package init(reading memory: GuestRAM, reservation: Range<UInt64>, hashTableOrder: UInt64? = nil) throws {
        do {
            let kernel = try CrashKernel(foundIn: memory, reservation: reservation)
            let release = kernel.vmcoreinfo?.value("OSRELEASE").map { $0.printable }
            self.init(
                reservation: reservation,
                header: Header(
                    treeAddress: kernel.treeAddress.rawValue, address: kernel.headerAddress.rawValue,
                    loads: kernel.loads.map(Piece.init), notes: kernel.notes.map(Piece.init), noteRelease: release,
                    hashTableOrders: kernel.hashTableOrders),
                hashTableOrder: hashTableOrder)
        } catch let problem as CrashKernelProblem {
            self.init(reservation: reservation, problem: problem.description)
        }
    }
}

extension CrashHeaderSnapshot.Piece {
    fileprivate init(_ header: ELFProgramHeader) {
        self.init(
            physAddr: header.physAddr, fileOffset: header.fileOffset, byteCount: header.memoryByteCount,
            fileByteCount: header.fileByteCount)
    }
}
