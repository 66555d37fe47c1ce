// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import Guests
import Libvirt
import Subprocess
import SystemPackage

/// Whether a QEMU makes the machine that a run needs.
///
/// QEMU is asked for the machine's device tree (`dumpdtb`): it makes the machine, writes that, and ends before the guest
/// runs. libvirt does not know the machine's options, and so cannot tell.
struct EmulatorTrial {
    let program: FilePath
    let cpu: DomainDescription.CPUModel

    /// Why it does not.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// How long QEMU may take; it takes a tenth of a second.
    private static let limit = Duration.seconds(20)

    /// Throws QEMU's own words when it refuses.
    func perform() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "qh-doctor-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        // A comma in a value is written twice.
        let tree = folder.appending(path: "tree").path
        let arguments = Arguments(arguments(deviceTree: tree.replacing(",", with: ",,")))
        let words = try await withThrowingTaskGroup(of: String.self) { group in
            group.addTask {
                let result = try await Subprocess.run(
                    .path(program), arguments: arguments, input: .none, output: .discarded,
                    error: .string(limit: 1 << 16))
                guard result.terminationStatus.isSuccess else {
                    throw Refusal(description: "\(result.standardError) (\(result.terminationStatus))")
                }
                return result.standardError
            }
            group.addTask {
                try await Task.sleep(for: Self.limit)
                throw Refusal(description: "it has not answered within \(Self.limit)")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? ""
        }
        // Any program may end well.
        guard FileManager.default.fileExists(atPath: tree) else {
            throw Refusal(description: "it has written no device tree; it says '\(words.prefix(200))'")
        }
    }

    /// The machine of ``DomainDescription`` with a DIMM, as small as can be.
    private func arguments(deviceTree: String) -> [String] {
        let size = "\(LMB.byteCount)"
        return [
            "-accel", "tcg", "-display", "none", "-nodefaults", "-S",
            "-machine", "pseries,\(DomainDescription.machineOptions),dumpdtb=\(deviceTree)",
            "-cpu", cpu.rawValue, "-smp", "1", "-m",
            "size=\(size)B,slots=1,maxmem=\(LMB.byteCount * 4)B",
            "-object", "memory-backend-ram,id=boot,size=\(size)", "-numa", "node,nodeid=0,memdev=boot",
            "-object", "memory-backend-ram,id=plugged,size=\(size)", "-device", "pc-dimm,memdev=plugged,node=0",
            "-object", "memory-backend-ram,id=shared,share=on,size=1048576", "-device", "ivshmem-plain,memdev=shared",
            "-chardev", "null,id=console", "-device", "spapr-vty,chardev=console",
        ]
    }
}
