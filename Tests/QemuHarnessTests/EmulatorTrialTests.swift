// SPDX-License-Identifier: Apache-2.0

import Foundation
import Libvirt
import SystemPackage
import TestSupport
import Testing

@testable import qemu_harness

/// What programs answer that are no emulator, or not the one that is wanted.
@Suite struct EmulatorTrialTests {
    @Test(arguments: [
        ("exit 0", "it has written no device tree; it says ''"),
        ("echo fine >&2", "it has written no device tree; it says 'fine\n'"),
        (
            "echo \"Property 'pseries-machine.x-vof' not found\" >&2; exit 1",
            "Property 'pseries-machine.x-vof' not found\n"
        ),
        ("kill -9 $$", " ("),
    ])
    func saysWhyItRefuses(script: String, reason: String) async throws {
        let folder = try TemporaryFolder()
        let program = try folder.write(Array("#!/bin/sh\n\(script)\n".utf8), to: "emulator")
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: program)
        let refusal = try await #require(throws: EmulatorTrial.Refusal.self) {
            try await EmulatorTrial(program: FilePath(program), cpu: .power8).perform()
        }
        #expect(refusal.description.hasPrefix(reason), "\(refusal)")
    }
}
