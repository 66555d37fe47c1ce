// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import GuestMemory
import HarnessBasics
package import Plans

/// Debian's tools that a guest with a crash kernel needs, as scripts/guest-tools has fetched them.
package struct GuestTools: Sendable {
    /// One tool with its libraries.
    package struct Tool: Equatable, Sendable {
        /// The archive, which the kernel unpacks.
        package let archive: URL
        /// The tool's package, its version and suite, as `makedumpfile 1:1.7.2-1 bookworm`.
        package let package: String

        /// Describes a tool.
        package init(archive: URL, package: String) {
            self.archive = archive
            self.package = package
        }
    }

    /// What loads a crash kernel.
    package let kexec: Tool
    /// What writes dumps.
    package let dump: [Plan.DumpTool: Tool]

    /// Describes tools.
    package init(kexec: Tool, dump: [Plan.DumpTool: Tool] = [:]) {
        self.kexec = kexec
        self.dump = dump
    }

    /// The tools that a plan needs in a kernel of a byte order, from this program's cache; nil where it needs none.
    ///
    /// Throws an infrastructure error that names a tool that is not there, and a usage error for one that nobody has.
    package init?(for plan: Plan, _ order: ByteOrder, environment: [String: String]) throws {
        guard plan.guest.crashKernel != nil else { return nil }
        func tool(_ name: String, program: String) throws -> Tool {
            let files = Self.folder(of: name, environment)
            let archive = Self.archive(in: files)
            guard FileManager.default.fileExists(atPath: archive.path) else {
                throw HarnessError.infrastructure(
                    "\(name) is not there, which the plan needs: run \(Program.script("guest-tools")) \(name)")
            }
            do {
                try RegularFile.check(archive)
                let packages = try RegularFile.beginning(of: files.appending(path: "package"), byteCount: 4096)
                let line = String(decoding: packages, as: UTF8.self).split(separator: "\n")
                    .first { $0.hasPrefix(program) }
                return Tool(archive: archive, package: String((line ?? "\(program)").prefix(200)))
            } catch {
                throw HarnessError.infrastructure("cannot read \(files.path): \(error.localizedDescription)")
            }
        }
        if order == .big, let tool = plan.dumpTools.first {
            throw HarnessError.usage("\(tool.rawValue) is to be had for little-endian kernels only")
        }
        kexec = try tool(Self.kexecName(order), program: "kexec-tools")
        var dump: [Plan.DumpTool: Tool] = [:]
        for name in plan.dumpTools { dump[name] = try tool(name.rawValue, program: "makedumpfile") }
        self.dump = dump
    }

    /// The tools that a plan needs in a kernel of a byte order and that were not fetched yet, as scripts/guest-tools names them.
    package static func missingNames(
        for plan: Plan, _ order: ByteOrder, _ environment: [String: String]
    ) -> [String] {
        guard plan.guest.crashKernel != nil else { return [] }
        return ([kexecName(order)] + plan.dumpTools.map(\.rawValue)).filter {
            !FileManager.default.fileExists(atPath: archive(in: folder(of: $0, environment)).path)
        }
    }

    private static func kexecName(_ order: ByteOrder) -> String { order == .big ? "kexec-be" : "kexec" }

    private static func folder(of name: String, _ environment: [String: String]) -> URL {
        GuestImages.cache(environment).appending(path: "tools/2").appending(path: name)
    }

    private static func archive(in folder: URL) -> URL { folder.appending(path: "tools.cpio.gz") }
}
