// SPDX-License-Identifier: Apache-2.0

package import SystemPackage

/// The ID of a run, after which everything is named that the run has outside of its record.
package struct RunID: Hashable, Sendable, CustomStringConvertible {
    /// Letters, digits and hyphens.
    package let description: String

    /// Takes a text for an ID, which has to be new for every run.
    ///
    /// - Throws: `RunFixtureError.badRunID` unless it is letters, digits and hyphens.
    package init(_ text: String) throws(RunFixtureError) {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }) else {
            throw .badRunID(text)
        }
        description = text
    }

    private init(unchecked text: String) {
        description = text
    }

    /// Eight random letters and digits: unique on this machine, short enough for a socket's path.
    package static func random() -> RunID {
        RunID(unchecked: String((0..<8).map { _ in "abcdefghijkmnpqrstuvwxyz23456789".randomElement() ?? "x" }))
    }

    /// The ID of the run that has a root of this name, nil if no run's is named so.
    init?(rootName: some StringProtocol) {
        guard rootName.hasPrefix(Self.prefix), let id = try? RunID(String(rootName.dropFirst(Self.prefix.count))) else {
            return nil
        }
        self = id
    }

    /// The name of the run's domain, its private root and its folder for memory.
    package var name: String { Self.prefix + description }

    /// The name of the file that the guest shares with the host, as libvirt is told it.
    package var sharedRegionName: String { name + ".shared" }

    /// That file: QEMU looks for it in /dev/shm, wherever RAM goes.
    package var sharedRegionFile: FilePath { FilePath("/dev/shm").appending(sharedRegionName) }

    /// The name of the file through which dumps leave the guest, as libvirt is told it.
    package var dumpAreaName: String { name + ".dump" }

    /// That file, where the run has one.
    package var dumpAreaFile: FilePath { FilePath("/dev/shm").appending(dumpAreaName) }

    /// The initramfs that was made for the run's guest, where the agent's own is not enough.
    package var initramfsFile: FilePath { FilePath("/tmp").appending(name + ".initramfs") }

    private static let prefix = "qh-"
}
