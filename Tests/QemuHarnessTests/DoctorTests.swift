// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

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

    @Test(arguments: [
        ("MemTotal: 5 kB\nMemAvailable:   24 kB\n", UInt64?(24 << 10)),
        ("MemTotal: 5 kB\n", nil), ("MemAvailable: many kB\n", nil), ("", nil),
        ("MemAvailable: 18446744073709551615 kB\n", nil),
    ])
    func availableMemoryIsRead(meminfo: String, expected: UInt64?) {
        #expect(HostChecks.availableByteCount(meminfo: meminfo) == expected)
    }

    @Test func missingKernelAndAgentFailWithWhatMendsThem() throws {
        let environment = ["XDG_CACHE_HOME": "/nonexistent", GuestImages.agentVariable: "/nonexistent"]
        let diagnoses = GuestChecks(
            environment: environment, executable: URL(filePath: "/nonexistent/x"), kernelName: "6.1"
        ).diagnoses()
        #expect(diagnoses.map(\.status) == [.fail, .fail])
        #expect(diagnoses.map(\.mend) == ["scripts/guest-kernel", "scripts/build-agent"])
    }
}
