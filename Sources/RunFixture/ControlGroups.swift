// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import SystemPackage

/// The control groups of a process (cgroups(7)), version 1 or 2: what a container or a batch system leaves it of its machine.
package struct ControlGroups: Sendable {
    private enum Controller {
        /// Version 2, which has one hierarchy for all.
        case unified
        case memory
        case cpu
    }

    /// A folder, from the process's own up to the one that is mounted, for each hierarchy.
    private var folders: [Controller: [FilePath]] = [:]

    /// Those of this process.
    package static var ofThisProcess: ControlGroups {
        ControlGroups(
            membership: (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? "",
            root: "/sys/fs/cgroup")
    }

    /// Those of a process with this `/proc/PID/cgroup`, mounted where systemd, container engines and Slurm have them.
    init(membership: String, root: FilePath) {
        for line in membership.split(separator: "\n") {
            // "NUMBER:CONTROLLERS:/PATH"; no controllers in version 2.
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].split(separator: ",")
            let path = FilePath(String(fields[2]))
            if fields[1].isEmpty {
                // Beside version 1 its place is another, and no controller is there.
                folders[.unified] = Self.folders(of: path, in: root)
            } else if controllers.contains("memory") {
                folders[.memory] = Self.folders(of: path, in: root.appending("memory"))
            } else if controllers.contains("cpu") {
                folders[.cpu] = Self.folders(of: path, in: root.appending("cpu"))
            }
        }
    }

    /// A container sees its own folder as the mounted one, and may be told of a path that it does not see.
    private static func folders(of path: FilePath, in mount: FilePath) -> [FilePath] {
        var folders = [mount]
        for component in path.components where component.kind == .regular {
            folders.append(folders[folders.count - 1].appending(component))
        }
        return folders.reversed()
    }

    /// How much memory they leave, in bytes: of each limit what is not in use, where files that the kernel can drop are not
    /// counted; nil where there is no limit.
    package var freeMemoryByteCount: UInt64? {
        let unified = (folders[.unified] ?? []).compactMap {
            Self.room(of: $0, "memory.max", use: "memory.current", droppable: "inactive_file")
        }
        let old = (folders[.memory] ?? []).compactMap {
            Self.room(of: $0, "memory.limit_in_bytes", use: "memory.usage_in_bytes", droppable: "total_inactive_file")
        }
        return (unified + old).min()
    }

    private static func room(
        of folder: FilePath, _ limit: String, use: String, droppable: String
    ) -> UInt64? {
        // "max", or near 2^63 in version 1, where there is none.
        guard let limit: UInt64 = number(in: folder, limit), limit < 1 << 62, let use: UInt64 = number(in: folder, use)
        else { return nil }
        let line = text(in: folder, "memory.stat")?.split(separator: "\n").first { $0.hasPrefix("\(droppable) ") }
        let dropped = line?.split(separator: " ").last.flatMap { UInt64($0) } ?? 0
        let used = use - min(use, dropped)
        return limit - min(limit, used)
    }

    /// How many CPUs' time they leave (`cpu.max`), in whole CPUs and at least one; nil where there is no limit.
    package var cpuCount: Int? {
        let unified = (folders[.unified] ?? []).compactMap { folder -> Int? in
            let fields = Self.text(in: folder, "cpu.max")?.split(whereSeparator: \.isWhitespace) ?? []
            return fields.count == 2 ? Self.cpuCount(quota: Int(fields[0]), period: Int(fields[1])) : nil
        }
        let old = (folders[.cpu] ?? []).compactMap { folder in
            Self.cpuCount(
                quota: Self.number(in: folder, "cpu.cfs_quota_us"), period: Self.number(in: folder, "cpu.cfs_period_us")
            )
        }
        return (unified + old).min()
    }

    /// "max", or -1 in version 1, is no limit.
    private static func cpuCount(quota: Int?, period: Int?) -> Int? {
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return max(1, quota / period)
    }

    private static func number<Number: FixedWidthInteger>(in folder: FilePath, _ name: String) -> Number? {
        text(in: folder, name).flatMap { Number($0.filter { !$0.isWhitespace }) }
    }

    private static func text(in folder: FilePath, _ name: String) -> String? {
        try? String(contentsOfFile: folder.appending(name).string, encoding: .utf8)
    }
}
