// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import HarnessBasics
package import SystemPackage

/// What a run puts into files of memory at most, and whether there is room for it where they lie.
///
/// The room is looked at once, before the run: two that begin at the same time may both find it.
package struct MemoryDemand {
    /// Boot memory and the most that is plugged at once.
    package let guestByteCount: UInt64
    /// What the shared region's file takes, and that for dumps.
    package let sharedByteCount: UInt64

    /// Takes both, in bytes.
    package init(guestByteCount: UInt64, sharedByteCount: UInt64) {
        self.guestByteCount = guestByteCount
        self.sharedByteCount = sharedByteCount
    }

    /// Refuses to start a guest whose memory the file system cannot hold: the guest would die of SIGBUS in the middle.
    ///
    /// `memoryFolder` is where libvirt puts the guest's memory, nil where that is not known: then only what is
    /// shared is looked at, which always lies in /dev/shm, and `tell` is told.
    ///
    /// Throws an infrastructure error that names what is needed and what is free.
    package func check(memoryFolder: FilePath?, tell: (String) -> Void) throws {
        let shared = RunFolders.standard.memory
        let free = FileSystem.freeByteCount(of: shared)
        guard let folder = memoryFolder else {
            tell(
                "where the daemon puts guests' memory cannot be told, so whether there is room for "
                    + "\(ByteCount(guestByteCount).gibibytes(rounded: .up)) is not checked")
            return try Self.check("the shared files take", need: sharedByteCount, free: free, in: shared)
        }
        if FileSystem.isSame(folder, shared) {
            return try Self.check(
                "the guest's memory, its plugs and the shared files take", need: guestByteCount + sharedByteCount,
                free: free, in: shared)
        }
        try Self.check(
            "the guest's memory and its plugs take", need: guestByteCount, free: FileSystem.freeByteCount(of: folder),
            in: folder)
        try Self.check("the shared files take", need: sharedByteCount, free: free, in: shared)
    }

    /// A file system that does not tell its free space is left to try.
    static func check(_ what: String, need: UInt64, free: UInt64?, in folder: FilePath) throws {
        guard let free, free < need else { return }
        throw HarnessError.infrastructure(
            "\(what) up to \(ByteCount(need).gibibytes(rounded: .up)), and \(folder) has "
                + "\(ByteCount(free).gibibytes(rounded: .down)) free: plug less, or make room there")
    }
}
