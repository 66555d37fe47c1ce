// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import Libvirt
import Plans
import RunFixture
import SystemPackage

/// What a run asks of the host, each requirement looked at by itself.
struct HostChecks {
    let environment: [String: String]
    /// The guest of the run.
    let configuration: GuestConfiguration

    /// The memory that the run takes: boot memory, plugs, and the shared region.
    private var neededByteCount: UInt64 { configuration.sharedMemoryByteCount }

    /// Every check that needs no libvirt.
    func diagnoses() async -> [Diagnosis] {
        [await emulator(), sharedMemory(), availableMemory(), acceleration()]
    }

    /// The program that runs the guest: the one that was named, or the one that libvirt will find.
    func emulatorProgram() -> Diagnosis {
        let name = "qemu"
        if let named = configuration.emulator { return .ok(name, named.string) }
        let program = "qemu-system-ppc64"
        let folders = (environment["PATH"] ?? "").split(separator: ":") + ["/usr/bin"]
        let found = folders.map { "\($0)/\(program)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
        guard let found else { return .fail(name, "no \(program) on PATH", fix: Program.script("setup")) }
        return .ok(name, found)
    }

    /// The same, and whether it makes the machine that a run needs.
    private func emulator() async -> Diagnosis {
        let program = emulatorProgram()
        guard program.status == .ok else { return program }
        let path = FilePath(program.finding)
        do {
            try await EmulatorTrial(program: path, cpu: configuration.cpu).perform()
            return .ok(program.name, "\(path) makes the machine that a run needs, with a DIMM and shared memory")
        } catch {
            return .fail(
                program.name, "\(path) does not make the machine that a run needs: \(error)",
                fix: "take another one: \(Program.script("setup")), or --qemu PATH")
        }
    }

    /// The file system of guests' memory.
    private func sharedMemory() -> Diagnosis {
        let name = "shared memory"
        let folder = RunFolders.standard.memory.string
        guard FileManager.default.isWritableFile(atPath: folder) else {
            return .fail(name, "\(folder) cannot be written", fix: "mount a tmpfs there, writable for this user")
        }
        guard let free = FileSystem.freeByteCount(of: RunFolders.standard.memory) else {
            return .fail(name, "\(folder) does not tell its size", fix: "mount a tmpfs there")
        }
        let numbers =
            "\(folder) has \(ByteCount(free).gibibytes(rounded: .down)) free; the run takes up to "
            + ByteCount(neededByteCount).gibibytes(rounded: .up)
        guard free >= neededByteCount else {
            return .fail(name, numbers, fix: "mount -o remount,size=4G \(folder)")
        }
        return .ok(name, numbers)
    }

    private func availableMemory() -> Diagnosis {
        let name = "memory"
        guard let available = AvailableMemory.ofThisProcess else {
            return .warn(name, "/proc/meminfo does not say what is available", fix: "mount -t proc proc /proc")
        }
        let numbers =
            "\(available.owner) has \(ByteCount(available.byteCount).gibibytes(rounded: .down)) available; the run takes up to "
            + ByteCount(neededByteCount).gibibytes(rounded: .up)
        // What the guest never touches is never taken, so this is no reason to refuse.
        return available.byteCount >= neededByteCount
            ? .ok(name, numbers) : .warn(name, numbers, fix: "end other programs, or give --memory and --plug less")
    }

    private func acceleration() -> Diagnosis {
        .ok(
            "acceleration",
            "guests are emulated (TCG), on any host, with \(PlanLimits.slots) DIMM slots; --slowdown stretches "
                + "the time limits")
    }
}
