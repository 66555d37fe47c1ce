// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

@Suite struct DoctorTests {
    private static let complete =
        GuestChecks.neededOptions.map { "CONFIG_\($0[0])=y" }.joined(separator: "\n") + "\n# CONFIG_XMON is not set\n"

    @Test func completeConfigurationLacksNothing() {
        #expect(GuestChecks.lackingOptions(configuration: Self.complete) == [])
    }

    @Test(arguments: GuestChecks.neededOptions.filter { $0.count == 1 }.map { $0[0] })
    func missingOptionIsNamed(option: String) {
        for value in ["=m", "=n", "X=y"] {
            let configuration = Self.complete.replacing("CONFIG_\(option)=y", with: "CONFIG_\(option)\(value)")
            #expect(GuestChecks.lackingOptions(configuration: configuration) == ["CONFIG_\(option)"])
        }
    }

    @Test func oneEventSourceIsEnough() {
        let other = Self.complete.replacing("CONFIG_DYNAMIC_DEBUG=y", with: "CONFIG_KPROBE_EVENTS=y")
        #expect(GuestChecks.lackingOptions(configuration: other) == [])
        let none = Self.complete.replacing("CONFIG_DYNAMIC_DEBUG=y", with: "")
        #expect(
            GuestChecks.lackingOptions(configuration: none) == ["CONFIG_DYNAMIC_DEBUG or CONFIG_KPROBE_EVENTS"])
    }

    /// Where a configuration lies, and what it is taken for.
    @Test(arguments: [
        ("vmlinux", "config", Diagnosis.Status.fail), ("vmlinux", ".config", .fail),
        ("vmlinux-6.1.0", "config-6.1.0", .fail), ("vmlinux-6.1.0", "config-6.1.1", .warn),
        ("vmlinux", "other", .warn),
    ])
    func findsTheConfigurationBesideAKernel(kernel: String, configuration: String, status: Diagnosis.Status) throws {
        let folder = try TemporaryFolder()
        let text = Self.complete.replacing("CONFIG_PROC_KCORE=y", with: "# CONFIG_PROC_KCORE is not set")
        let file = try folder.write(Array(text.utf8), to: configuration)
        let image = try folder.write(elfHeader(), to: kernel)
        let checks = GuestChecks(environment: [:], executable: URL(filePath: "/nonexistent/x"), kernelName: image)
        func diagnose(configurationAge: TimeInterval) throws -> Diagnosis? {
            for (path, age) in [(file, configurationAge), (image, 60)] {
                try FileManager.default.setAttributes(
                    [.modificationDate: Date(timeIntervalSinceNow: -age)], ofItemAtPath: path)
            }
            return checks.kernelConfiguration()
        }
        let diagnosis = try diagnose(configurationAge: 120)
        #expect(diagnosis?.status == status)
        if status == .fail { #expect(diagnosis?.finding == "the kernel lacks CONFIG_PROC_KCORE") }
        // A build tree's file that was edited since the kernel was built says nothing of the kernel.
        if configuration == ".config" {
            let diagnosis = try diagnose(configurationAge: 0)
            #expect(diagnosis?.status == .warn)
            #expect(diagnosis?.finding == "\(file) is newer than the kernel: not checked")
        }
    }

    /// A FIFO in its place makes nobody wait.
    @Test func aConfigurationThatIsNoFileIsNotRead() throws {
        let folder = try TemporaryFolder()
        let image = try folder.write(elfHeader(), to: "vmlinux")
        try #require(mkfifo(folder.path("config"), 0o600) == 0)
        let checks = GuestChecks(environment: [:], executable: URL(filePath: "/nonexistent/x"), kernelName: image)
        #expect(checks.kernelConfiguration()?.status == .warn)
    }

    /// The agent's program is one for the kernel's machine, by its ELF header.
    @Test(
        arguments: [
            (elfHeader(), .ok), (Array(elfHeader().prefix(20)), .ok), (elfHeader(order: 2), .fail),
            (elfHeader(bits: 1), .fail), (elfHeader(machine: 62), .fail), (elfHeader(order: 3), .fail),
            (Array(elfHeader().prefix(19)), .fail), ([0x7e] + elfHeader().dropFirst(), .fail), (nil, .fail),
        ] as [([UInt8]?, Diagnosis.Status)])
    func theAgentsProgramIsForTheKernelsMachine(program: [UInt8]?, status: Diagnosis.Status) throws {
        let folder = try TemporaryFolder()
        let initramfs = try folder.write([1], to: "initramfs-ppc64le.cpio.gz")
        if let program { try folder.write(program, to: "agent-ppc64le") }
        let kernel = try folder.write(elfHeader(), to: "vmlinux")
        let agent = GuestChecks(
            environment: [GuestImages.agentVariable: folder.url.path], executable: URL(filePath: "/nonexistent/x"),
            kernelName: kernel
        ).diagnoses().last
        #expect(agent?.status == status)
        let finding = status == .ok ? initramfs : "\(folder.path("agent-ppc64le")) is no ppc64le program"
        #expect(agent?.finding == finding)
    }

    @Test func missingKernelAndAgentFailWithWhatMendsThem() throws {
        let environment = ["XDG_CACHE_HOME": "/nonexistent", GuestImages.agentVariable: "/nonexistent"]
        let diagnoses = GuestChecks(
            environment: environment, executable: URL(filePath: "/nonexistent/x"), kernelName: "6.1"
        ).diagnoses()
        #expect(diagnoses.map(\.status) == [.fail, .fail])
        #expect(diagnoses.map(\.fix) == ["scripts/guest-kernel", "scripts/build-agent"])
    }

    /// What `doctor --json` prints has its form.
    @Test func diagnosesHaveTheirForm() async throws {
        let diagnoses = [
            Diagnosis.ok("qemu", "it is there"), .warn("agent", "old", fix: "scripts/build-agent"),
            .fail("guest kernel", "none", fix: "scripts/guest-kernel"),
        ]
        let schema = JSONSchema("doctor")
        #expect(try await schema.refusals(of: RunDirectory.json(diagnoses)) == [nil])
        let json = try JSONSerialization.jsonObject(with: RunDirectory.json(diagnoses))
        let variants = try JSONSchema.variants(of: json).map { try JSONSerialization.data(withJSONObject: $0) }
        let refusals = try await schema.refusals(of: Data(variants.joined(separator: [0x0a])))
        #expect(refusals.count == variants.count && refusals.allSatisfy { $0 != nil })
    }
}
