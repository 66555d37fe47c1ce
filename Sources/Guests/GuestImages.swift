// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import GuestMemory
import HarnessBasics
package import SystemPackage

/// The files that a guest boots from: a kernel and the agent's initramfs.
package enum GuestImages {
    /// The environment variable that names the folder with the agent's initramfs, where that is not beside the program.
    package static let agentVariable = "QEMU_HARNESS_AGENT_DIR"

    /// What scripts/build-agent calls the machine of a byte order, which is what `uname -m` says there.
    package static func machine(_ order: ByteOrder) -> String {
        order == .little ? "ppc64le" : "ppc64"
    }

    /// The kernel that `--kernel` names: a file, or the name of one that scripts/guest-kernel has fetched.
    package static func kernel(named text: String, environment: [String: String]) throws -> URL {
        if let file = file(namedAs: text) {
            _ = try byteOrder(ofKernel: file)
            return file.absoluteURL
        }
        let folder = fetchedKernels(environment)
        let fetched = fetchedKernel(text, environment)
        guard FileManager.default.fileExists(atPath: fetched.path) else {
            let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
                .filter { !$0.hasPrefix(".") }.sorted()
            let known = names.isEmpty ? "none is fetched yet" : "fetched are: \(names.joined(separator: ", "))"
            throw HarnessError.usage(
                "no kernel '\(text)': it is no file, and no kernel of that name was fetched with "
                    + "\(Program.script("guest-kernel")) (\(known))")
        }
        _ = try byteOrder(ofKernel: fetched)
        return fetched
    }

    /// Whether a kernel that `--kernel` names has not to be fetched first.
    package static func isThere(_ kernel: String, _ environment: [String: String]) -> Bool {
        file(namedAs: kernel) != nil
            || FileManager.default.fileExists(atPath: fetchedKernel(kernel, environment).path)
    }

    private static func file(namedAs text: String) -> URL? {
        let file = URL(filePath: text)
        return text.contains("/") || FileManager.default.fileExists(atPath: file.path) ? file : nil
    }

    private static func fetchedKernels(_ environment: [String: String]) -> URL {
        cache(environment).appending(path: "kernels")
    }

    private static func fetchedKernel(_ name: String, _ environment: [String: String]) -> URL {
        fetchedKernels(environment).appending(path: name).appending(path: "vmlinux")
    }

    /// The agent's initramfs for kernels of a byte order: among what comes with the program, or where the environment says.
    package static func initramfs(_ order: ByteOrder, environment: [String: String], executable: URL) throws -> URL {
        let initramfsName = "initramfs-\(machine(order)).cpio.gz"
        if let folder = environment[agentVariable] {
            let file = URL(filePath: folder).appending(path: initramfsName)
            guard FileManager.default.fileExists(atPath: file.path) else {
                throw HarnessError.infrastructure("no agent at \(file.path), where \(agentVariable) points")
            }
            return try checked(file.absoluteURL)
        }
        if let file = Program.companion("guest/\(initramfsName)", of: executable) { return try checked(file) }
        throw HarnessError.infrastructure(
            "the agent is not built for \(machine(order)): run \(Program.script("build-agent", of: executable))")
    }

    private static func checked(_ initramfs: URL) throws -> URL {
        do {
            try RegularFile.check(initramfs)
        } catch {
            throw HarnessError.infrastructure("cannot read the agent \(initramfs.path): \(error.localizedDescription)")
        }
        return initramfs
    }

    /// Where this program keeps what can be made anew.
    package static func cache(_ environment: [String: String]) -> URL {
        func absolute(_ variable: String) -> URL? {
            environment[variable].flatMap { $0.hasPrefix("/") ? URL(filePath: $0) : nil }
        }
        let home = absolute("HOME") ?? FileManager.default.homeDirectoryForCurrentUser
        let base = absolute("XDG_CACHE_HOME") ?? home.appending(path: ".cache")
        return base.appending(path: "qemu-harness")
    }

    /// Where libvirt's capabilities of QEMU are carried from run to run.
    package static func capabilitiesCache(_ environment: [String: String]) -> FilePath {
        FilePath(cache(environment).appending(path: "capabilities").path)
    }

    /// The byte order that a kernel was built for. Refuses a file that no ppc64 guest can boot from, by its ELF header.
    package static func byteOrder(ofKernel kernel: URL) throws -> ByteOrder {
        let beginning: [UInt8]
        do {
            beginning = [UInt8](try RegularFile.beginning(of: kernel, byteCount: ELFIdentity.byteCount))
        } catch {
            throw HarnessError.usage("cannot read the kernel \(kernel.path): \(error.localizedDescription)")
        }
        let identity: ELFIdentity
        do throws(ELFProblem) {
            identity = try ELFIdentity(beginning)
        } catch {
            guard case .byteOrder(let order) = error else {
                throw HarnessError.usage(
                    "the kernel \(kernel.path) is no ELF file; a vmlinux or vmlinuz of ppc64 is needed")
            }
            throw HarnessError.usage(
                "the kernel \(kernel.path) is an ELF file of byte order \(order); 1 is little-endian, 2 big-endian")
        }
        guard identity.isPPC64 else {
            throw HarnessError.usage(
                "the kernel \(kernel.path) is an ELF file for machine \(identity.machine) with "
                    + "\(identity.is64Bit ? 64 : 32) bits; ppc64 is machine \(ELFIdentity.ppc64Machine) with 64 bits")
        }
        return identity.order
    }
}
