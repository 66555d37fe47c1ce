// SPDX-License-Identifier: Apache-2.0

import MemoryBackends
import SystemPackage

/// A file that a process has mapped from its beginning and shares with whoever maps it too (`/proc/PID/maps`, proc(5)).
struct SharedMapping: Equatable, Sendable {
    /// The file.
    let path: FilePath
    /// How many bytes are mapped.
    let byteCount: UInt64

    /// The most that is read of a process's mappings, in bytes.
    private static let byteLimit = 4 << 20

    /// A process's, of files that are still at their paths; none where this process may not look.
    static func all(of processID: Int32) -> [SharedMapping] {
        // The kernel gives it a page at a time, which Foundation takes for its end.
        guard let file = try? FileDescriptor.open(FilePath("/proc/\(processID)/maps"), .readOnly),
            let text = try? file.closeAfter({ try file.bytes(at: 0, byteCount: byteLimit) })
        else { return [] }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            guard let (mapping, inode) = parse(line), mapping.path.isRegularFile(inode) else { return nil }
            return mapping
        }
    }

    /// Reads a line: addresses, permissions, offset, device, inode, path.
    static func parse(_ line: Substring) -> (mapping: SharedMapping, inode: UInt64)? {
        let fields = line.split(separator: " ", maxSplits: 5)
        guard fields.count == 6, fields[1].hasSuffix("s"), fields[2].allSatisfy({ $0 == "0" }),
            let inode = UInt64(fields[4])
        else { return nil }
        let addresses = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
        let path = fields[5].drop { $0 == " " }
        guard addresses.count == 2, addresses[0] < addresses[1], path.hasPrefix("/") else { return nil }
        return (SharedMapping(path: FilePath(String(path)), byteCount: addresses[1] - addresses[0]), inode)
    }
}

extension FilePath {
    /// Whether the regular file of that inode number is here: another one may have its path by now.
    fileprivate func isRegularFile(_ inode: UInt64) -> Bool {
        guard let status = try? stat(followTargetSymlink: false) else { return false }
        return status.type == .regular && status.inode.rawValue == inode
    }
}
