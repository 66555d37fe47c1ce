// SPDX-License-Identifier: Apache-2.0

internal import Foundation
public import SystemPackage

/// The files that hold a running guest's memory.
public struct MemoryFiles: Equatable, Sendable {
    /// The files of the memory that the guest booted with, one for each NUMA node.
    public let boot: [FilePath]
    /// The file of each DIMM, by the DIMM's alias.
    public let dimms: [String: FilePath]
}

/// QEMU answered a monitor command with something else than was asked for.
public struct MonitorAnswerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The command.
    public let command: String
    /// QEMU's answer.
    public let answer: String

    /// The command and QEMU's answer to it.
    public var description: String { "qemu answered '\(answer)' to the monitor command '\(command)'" }
}

extension Domain {
    /// Asks QEMU itself which files hold the guest's memory; libvirt's names for them are its own affair.
    ///
    /// A replugged DIMM can reuse the name of an unplugged one for a new file.
    ///
    /// - Parameter live: The domain's memory at this moment.
    /// - Returns: The file of boot memory and that of each DIMM in `live`.
    /// - Throws: `LibvirtError` if the domain is gone, `MonitorAnswerError` if QEMU does not name a file.
    public func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles {
        var boot: [FilePath] = []
        for node in live.bootMemoryByNode.indices {
            boot.append(FilePath(try await property("mem-path", of: "/objects/ram-node\(node)")))
        }
        var dimms: [String: FilePath] = [:]
        for dimm in live.dimms {
            // libvirt names the memory behind a device after the device.
            dimms[dimm.alias] = FilePath(try await property("mem-path", of: "/objects/mem\(dimm.alias)"))
        }
        return MemoryFiles(boot: boot, dimms: dimms)
    }

    /// A text property of an object inside QEMU.
    private func property(_ property: String, of path: String) async throws -> String {
        let command = "qom-get \(path) \(property)"
        let answer = try await monitor(hmp: command).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let value = try? JSONDecoder().decode(String.self, from: Data(answer.utf8)) else {
            throw MonitorAnswerError(command: command, answer: answer)
        }
        return value
    }
}
