// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import MemoryBackends
import SystemPackage

/// The reference of an inspection: somebody who knows which pages it needs, and reads them and nothing else.
enum NeededPages {
    /// The seconds that it takes to read of a dump what a reduced dump of it has.
    static func read(of dump: String, asIn small: String) throws -> Double {
        let file = try FileDescriptor.open(FilePath(dump), .readOnly)
        return try file.closeAfter {
            let needed = try loads(FileDescriptor.open(FilePath(small), .readOnly))
            let clock = ContinuousClock()
            var byteCount: UInt64 = 0
            let time = try clock.measure {
                let held = try loads(file)
                for piece in needed {
                    guard let load = held.first(where: { $0.physAddr <= piece.physAddr }) else { continue }
                    let offset = load.fileOffset + (piece.physAddr - load.physAddr)
                    byteCount += UInt64(try file.bytes(at: offset, byteCount: Int(piece.fileByteCount)).count)
                }
            }
            guard byteCount > 0, byteCount == needed.reduce(0, { $0 + $1.fileByteCount }) else {
                throw Inspect.Failure(text: "the dump has not the pages of the reduced one")
            }
            return time / .seconds(1)
        }
    }

    private static func loads(_ file: FileDescriptor) throws -> [ELFProgramHeader] {
        let header = try ELFHeader(file.bytes(at: 0, byteCount: ELFHeader.byteCount))
        let table = try file.bytes(at: header.programHeaders.offset, byteCount: header.programHeaders.byteCount)
        return header.programHeaders(in: table).filter { $0.type == ELFProgramHeader.loadType }
    }
}
