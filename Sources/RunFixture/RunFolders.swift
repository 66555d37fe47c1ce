// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The folders in which runs make what they have outside of their records.
package struct RunFolders: Sendable {
    /// Where private roots go: a short path, because libvirt's socket paths have to fit 108 bytes.
    package let roots: FilePath
    /// Where the embedded driver puts guests' memory: a folder in a file system in memory.
    package let memory: FilePath

    /// Takes two folders.
    init(roots: FilePath, memory: FilePath) {
        self.roots = roots
        self.memory = memory
    }

    /// This machine's.
    package static let standard = RunFolders(roots: "/tmp", memory: "/dev/shm")

    /// A run's private root.
    func root(of id: RunID) -> FilePath { roots.appending(id.name) }

    /// A run's private root before it is locked.
    func draft(of id: RunID) -> FilePath { roots.appending("." + id.name) }

    /// A run's folder for memory.
    func memory(of id: RunID) -> FilePath { memory.appending(id.name) }
}
