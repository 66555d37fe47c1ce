// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import TestSupport
import Testing

/// Where a program finds what comes with it, in a checkout and where it is installed.
@Suite struct ProgramTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func program(_ path: String) throws -> URL { URL(filePath: try folder.write([1], to: path)) }

    private var root: String { folder.url.resolvingSymlinksInPath().path }

    @Test func aCheckoutIsAboveItsProgram() throws {
        let program = try program("tree/.build/x86_64/release/qemu-harness")
        #expect(Program.companion("plans/first-light.yaml", of: program) == nil)
        #expect(Program.script("guest-kernel", of: program) == "scripts/guest-kernel")
        try folder.write([1], to: "tree/plans/first-light.yaml")
        try folder.write([1], to: "tree/scripts/guest-kernel")
        #expect(
            Program.companion("plans/first-light.yaml", of: program)?.path == "\(root)/tree/plans/first-light.yaml")
        #expect(Program.script("guest-kernel", of: program) == "scripts/guest-kernel")
    }

    @Test func anInstalledProgramHasItsOwn() throws {
        let program = try program("usr/bin/qemu-harness")
        for name in ["plans/first-light.yaml", "scripts/guest-kernel", "scripts/guest-tools"] {
            try folder.write([1], to: "usr/share/qemu-harness/\(name)")
        }
        let share = "\(root)/usr/share/qemu-harness"
        #expect(Program.companion("plans/first-light.yaml", of: program)?.path == "\(share)/plans/first-light.yaml")
        #expect(Program.script("guest-tools", of: program) == "\(share)/scripts/guest-tools")
        // What is not installed with it only installing it anew brings.
        #expect(Program.script("build-agent", of: program) == "scripts/install")
        // A link to it, as in a folder of somebody's own, leads there.
        let link = folder.url.appending(path: "qemu-harness")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: program)
        #expect(Program.script("guest-kernel", of: link) == "\(share)/scripts/guest-kernel")
    }

    @Test func theNearestCounts() throws {
        let program = try program("usr/src/tree/.build/release/qemu-harness")
        try folder.write([1], to: "usr/share/qemu-harness/scripts/guest-kernel")
        try folder.write([1], to: "usr/src/tree/scripts/guest-kernel")
        #expect(Program.script("guest-kernel", of: program) == "scripts/guest-kernel")
    }
}
