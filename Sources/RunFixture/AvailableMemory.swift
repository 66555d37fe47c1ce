// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// Memory that programs can still have, on this machine and in this process's control groups.
package struct AvailableMemory: Equatable, Sendable {
    /// How much, in bytes.
    package let byteCount: UInt64
    /// Who has it, such as "the machine".
    package let owner: String

    /// What this process can have; nil where nobody says.
    package static var ofThisProcess: AvailableMemory? {
        AvailableMemory(
            meminfo: (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? "",
            groupByteCount: ControlGroups.ofThisProcess.freeMemoryByteCount)
    }

    /// Holds `MemAvailable` of a /proc/meminfo, which is in KiB, against what the control groups leave.
    package init?(meminfo: String, groupByteCount: UInt64?) {
        let line = meminfo.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        let machine = kibibytes.flatMap { $0 <= UInt64.max >> 10 ? $0 << 10 : nil }
        guard let least = [machine, groupByteCount].compactMap({ $0 }).min() else { return nil }
        (byteCount, owner) = (least, least == machine ? "the machine" : "this control group")
    }
}
