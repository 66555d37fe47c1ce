// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import RunFixture

struct ControlGroupsTests {
    /// A process's groups, by its `/proc/PID/cgroup` and the files of its folders.
    private static func groups(
        _ membership: String, _ files: [String: String]
    ) throws -> (TemporaryFolder, ControlGroups) {
        let folder = try TemporaryFolder()
        for (name, content) in files { try folder.write(content.utf8, to: name) }
        return (folder, ControlGroups(membership: membership, root: FilePath(folder.url.path)))
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let membership: String
        let files: [String: String]
        let memory: UInt64?
        let cpus: Int?

        init(
            _ testDescription: String, _ membership: String, _ files: [String: String], memory: UInt64?, cpus: Int?
        ) {
            self.testDescription = testDescription
            self.membership = membership
            self.files = files
            (self.memory, self.cpus) = (memory, cpus)
        }
    }

    static let cases: [Case] = [
        Case("no groups", "", [:], memory: nil, cpus: nil),
        Case(
            "version 2 without limits", "0::/user.slice\n",
            [
                "user.slice/memory.max": "max\n", "user.slice/memory.current": "4096\n",
                "user.slice/cpu.max": "max 100000\n",
            ], memory: nil, cpus: nil),
        Case(
            "the least room of all groups above, files that can be dropped not counted", "0::/job/step\n",
            [
                "job/memory.max": "1000000\n", "job/memory.current": "700000\n",
                "job/memory.stat": "anon 600000\nfile 100000\ninactive_file 50000\nactive_file 50000\n",
                "job/step/memory.max": "900000\n", "job/step/memory.current": "100000\n", "job/step/memory.stat": "",
                "job/cpu.max": "450000 100000\n", "job/step/cpu.max": "max 100000\n",
            ], memory: 350_000, cpus: 4),
        Case(
            "a container, which sees its own folder as the mounted one", "0::/\n",
            ["memory.max": "1000\n", "memory.current": "1\n", "cpu.max": "50000 100000\n"], memory: 999, cpus: 1),
        Case(
            "a container that is told a path of the host's", "0::/kubepods/pod1/c2\n",
            ["memory.max": "1000\n", "memory.current": "1500\n"], memory: 0, cpus: nil),
        Case(
            "version 1", "4:memory:/slurm/uid_0/job_7\n1:cpu,cpuacct:/slurm\n0::/\n",
            [
                "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "5\n",
                "memory/slurm/uid_0/job_7/memory.limit_in_bytes": "8000\n",
                "memory/slurm/uid_0/job_7/memory.usage_in_bytes": "5000\n",
                "memory/slurm/uid_0/job_7/memory.stat": "inactive_file 1\ntotal_inactive_file 2000\n",
                "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/slurm/cpu.cfs_quota_us": "200000\n", "cpu/slurm/cpu.cfs_period_us": "100000\n",
            ], memory: 5000, cpus: 2),
        Case(
            "nonsense", "0:/\n:::\n0::/../..\nx\n",
            ["memory.max": "-1\n", "memory.current": "many\n", "cpu.max": "1 0\n"], memory: nil, cpus: nil),
    ]

    @Test(arguments: cases)
    func whatIsLeft(of sample: Case) throws {
        let (folder, groups) = try Self.groups(sample.membership, sample.files)
        withExtendedLifetime(folder) {
            #expect(groups.freeMemoryByteCount == sample.memory)
            #expect(groups.cpuCount == sample.cpus)
        }
    }

    @Test(arguments: [
        ("MemTotal: 5 kB\nMemAvailable:   24 kB\n", UInt64?.none, UInt64?(24 << 10), "the machine"),
        ("MemAvailable:   24 kB\n", 25 << 10, 24 << 10, "the machine"),
        ("MemAvailable:   24 kB\n", 23 << 10, 23 << 10, "this control group"),
        ("MemTotal: 5 kB\n", 7, 7, "this control group"),
        ("MemTotal: 5 kB\n", nil, nil, ""), ("MemAvailable: many kB\n", nil, nil, ""), ("", nil, nil, ""),
        ("MemAvailable: 18446744073709551615 kB\n", nil, nil, ""),
    ])
    func availableMemory(meminfo: String, group: UInt64?, expected: UInt64?, owner: String) {
        let available = AvailableMemory(meminfo: meminfo, groupByteCount: group)
        #expect(available?.byteCount == expected)
        if expected != nil { #expect(available?.owner == owner) }
    }
}
