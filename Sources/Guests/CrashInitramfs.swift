// SPDX-License-Identifier: Apache-2.0

package import Foundation
import HarnessBasics

/// The initramfs of a guest that is to load a crash kernel: the agent's, the tools that load it, and what is loaded.
///
/// The kernel unpacks archives that follow one another (Documentation/driver-api/early-userspace/buffer-format.rst), so
/// nothing is unpacked here.
package struct CrashInitramfs: Sendable {
    /// The agent's initramfs, which the crash kernel boots from as well.
    package let agent: URL
    /// The archive of kexec.
    package let kexec: URL
    /// The archives of what writes dumps, which the crash kernel's initramfs has behind the agent.
    package let dumpTools: [URL]
    /// The kernel, which is the crash kernel too.
    package let kernel: URL

    /// What an initramfs is made of.
    package init(agent: URL, kexec: URL, dumpTools: [URL], kernel: URL) {
        (self.agent, self.kexec, self.dumpTools, self.kernel) = (agent, kexec, dumpTools, kernel)
    }

    /// The archive. Throws what the file system says of a file that cannot be read.
    package func content() throws -> Data {
        let agentContent = try RegularFile.content(of: agent)
        var archive = CpioArchive()
        archive.addFolder("crash")
        archive.addFile("crash/vmlinux", try RegularFile.content(of: kernel))
        archive.addFile(
            "crash/initramfs", try dumpTools.reduce(agentContent) { try $0 + RegularFile.content(of: $1) })
        var content = agentContent + (try RegularFile.content(of: kexec))
        // An archive that is not compressed begins at a multiple of four bytes (unpack_to_rootfs, init/initramfs.c).
        content += Data(count: (4 - content.count % 4) % 4)
        return content + archive.finished()
    }
}

/// A cpio archive of the kind that the kernel unpacks (`newc`), with root's files and no times.
struct CpioArchive {
    private var content = Data()
    private var inode: UInt32 = 1

    /// The largest file that the format has a size for, in bytes.
    static let fileByteLimit = Int(UInt32.max)

    mutating func addFolder(_ name: String) { add(name, mode: 0o040755, Data()) }

    mutating func addFile(_ name: String, _ file: Data) { add(name, mode: 0o100644, file.prefix(Self.fileByteLimit)) }

    /// The archive with its end.
    func finished() -> Data {
        var copy = self
        copy.add("TRAILER!!!", mode: 0, Data())
        return copy.content
    }

    private mutating func add(_ name: String, mode: UInt32, _ file: Data) {
        // Inode, mode, owner, group, links, time, size, device (major, minor), of the device file (the same), name, check.
        let fields: [UInt32] = [
            inode, mode, 0, 0, 1, 0, UInt32(file.count), 0, 0, 0, 0, UInt32(name.utf8.count + 1), 0,
        ]
        inode += 1
        content += Data("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16)
            content += Data((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        }
        content += Data(name.utf8) + [0]
        pad()
        content += file
        pad()
    }

    /// Header with name, and content, end at a multiple of four bytes.
    private mutating func pad() { content += Data(count: (4 - content.count % 4) % 4) }
}
