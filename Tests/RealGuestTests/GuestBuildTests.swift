// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HotplugAgent
import Subprocess
import SystemPackage
import Testing

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// The agent as built for the guest: the same sources through another compiler back end.
@Suite struct GuestBuild {
    /// The program does what the host's build of it does, byte for byte, under QEMU's user-mode emulation.
    @Test(arguments: [ByteOrder.little, .big]) func selfTestAgreesWithTheHosts(order: ByteOrder) async throws {
        let initramfs = try GuestImages.initramfs(
            order, environment: ProcessInfo.processInfo.environment, executable: HarnessProcess.program)
        let machine = GuestImages.machine(order)
        let agent = initramfs.deletingLastPathComponent().appending(path: "agent-\(machine)")
        let result = try await Subprocess.run(
            .name("qemu-\(machine)-static"), arguments: [agent.path], input: .none, output: .string(limit: 4096),
            error: .string(limit: 4096))
        #expect(result.terminationStatus == .exited(0))
        let expected = String(decoding: SelfTest.run(), as: UTF8.self)
        #expect(expected.hasPrefix("0x1b1938 0xbb8 0xbb8 "))
        #expect(result.standardOutput == expected)
    }
}
