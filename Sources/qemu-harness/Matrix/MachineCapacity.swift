// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunFixture
import Runs
import SystemPackage

extension MatrixCapacity {
    /// What this machine has for guests whose memory lies in this folder: as much of that as its file system and the machine's
    /// memory both have free, less a tenth. `jobs` takes the place of its number of cores.
    static func ofMachine(memoryFolder: FilePath?, jobs: Int?) -> MatrixCapacity {
        let folder = memoryFolder ?? RunFolders.standard.memory
        let room = FileSystem.freeByteCount(of: folder) ?? .max
        let memory = availableByteCount ?? .max
        let least = min(room, memory)
        return MatrixCapacity(
            cpuCount: jobs ?? ProcessInfo.processInfo.activeProcessorCount,
            memoryByteCount: least == .max ? least : least / 10 * 9,
            memoryPlace: room < memory ? "\(folder) has free, less a tenth" : "the machine has free, less a tenth")
    }

    /// `MemAvailable` of /proc/meminfo, which says it in KiB; nil where it does not.
    private static var availableByteCount: UInt64? {
        guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
    }
}
