// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunFixture
import Runs
import SystemPackage

extension MatrixCapacity {
    /// What this machine, and the control groups of this process, have for guests whose memory lies in this folder: as much of
    /// that as its file system and memory both have free, less a tenth. `jobs` takes the place of the number of cores.
    static func ofMachine(memoryFolder: FilePath?, jobs: Int?) -> MatrixCapacity {
        let folder = memoryFolder ?? RunFolders.standard.memory
        let room = FileSystem.freeByteCount(of: folder) ?? .max
        let memory = AvailableMemory.ofThisProcess
        let least = min(room, memory?.byteCount ?? .max)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let owner = least == room ? "\(folder)" : memory?.owner ?? "the machine"
        return MatrixCapacity(
            cpuCount: jobs ?? min(cores, ControlGroups.ofThisProcess.cpuCount ?? cores),
            memoryByteCount: least == .max ? least : least / 10 * 9,
            memoryPlace: "\(owner) has free, less a tenth")
    }
}
