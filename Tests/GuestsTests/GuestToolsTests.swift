// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Plans
import Testing

@testable import Guests

/// What scripts/guest-tools has fetched, or has not.
@Suite struct GuestToolsTests {
    private let cache = FileManager.default.temporaryDirectory.appending(path: "qh-tools-\(UUID().uuidString)")

    private func plan(_ steps: [Plan.Step], crashKernel: UInt64? = 512 << 20) -> Plan {
        var plan = Plan(description: "d", steps: steps)
        plan.guest.crashKernel = crashKernel
        return plan
    }

    private func fetch(_ name: String, package: String) throws {
        let folder = cache.appending(path: "qemu-harness/tools/2/\(name)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data("archive".utf8).write(to: folder.appending(path: "tools.cpio.gz"))
        try Data(package.utf8).write(to: folder.appending(path: "package"))
    }

    @Test func onlyWhatAPlanNeedsIsLookedFor() throws {
        defer { try? FileManager.default.removeItem(at: cache) }
        let environment = ["XDG_CACHE_HOME": cache.path]
        let crash: [Plan.Step] = [.loadCrashKernel, .crash()]
        let dump = crash + [.repeat(times: 1, steps: [.dump(.makedumpfile)])]
        #expect(try GuestTools(for: plan([.verify], crashKernel: nil), .little, environment: environment) == nil)
        let missing = { (name: String) in
            HarnessError.infrastructure("\(name) is not there, which the plan needs: run scripts/guest-tools \(name)")
        }
        #expect(throws: missing("kexec")) { try GuestTools(for: plan(crash), .little, environment: environment) }
        try fetch("kexec", package: "kexec-tools 1:2.0.32-3 unstable\nlibc6 2 unstable\n")
        let tools = try #require(try GuestTools(for: plan(crash), .little, environment: environment))
        #expect(tools.kexec.package == "kexec-tools 1:2.0.32-3 unstable")
        #expect(tools.dump.isEmpty)
        #expect(throws: missing("makedumpfile")) { try GuestTools(for: plan(dump), .little, environment: environment) }
        try fetch("makedumpfile", package: "libc6 2.36 bookworm\nmakedumpfile 1:1.7.2-1 bookworm\n")
        let dumping = try #require(try GuestTools(for: plan(dump), .little, environment: environment))
        #expect(dumping.dump[.makedumpfile]?.package == "makedumpfile 1:1.7.2-1 bookworm")
        #expect(dumping.dump.count == 1)
        #expect(throws: missing("kexec-be")) { try GuestTools(for: plan(crash), .big, environment: environment) }
        try fetch("kexec-be", package: "kexec-tools 1:2.0.25-3 bookworm source\n")
        let bigEndian = try #require(try GuestTools(for: plan(crash), .big, environment: environment))
        #expect(bigEndian.kexec.package == "kexec-tools 1:2.0.25-3 bookworm source")
        #expect(throws: HarnessError.usage("makedumpfile is to be had for little-endian kernels only")) {
            try GuestTools(for: plan(dump), .big, environment: environment)
        }
    }
}
