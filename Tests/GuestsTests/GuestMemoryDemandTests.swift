// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import RunFixture
import Testing

@testable import Guests

/// What a guest puts into files of memory.
@Suite struct GuestMemoryDemandTests {
    /// Addresses are no memory: what counts is what is plugged at once, here in units of 256 MiB.
    @Test(
        arguments: [
            ("{memory: 1GiB, maximum-memory: 1TiB}", "verify", 4),
            ("{memory: 1GiB, maximum-memory: 8TiB}", "plug: 2GiB", 12),
            ("{memory: 1GiB}", "repeat: {times: 9, steps: [{plug: 2GiB}, {unplug: last}]}", 12),
            ("{memory: 1GiB}", "plug: {size: 256MiB, base: 1TiB}", 5),
            ("{memory: 512MiB}", "plug: 1GiB}, {plug: 1GiB}, {unplug: 1}, {plug: 512MiB", 10),
        ] as [(String, String, UInt64)])
    func addressesAreNoMemory(guest: String, steps: String, unitCount: UInt64) throws {
        let byteCount = unitCount << 28
        let steps = steps == "verify" ? steps : "{\(steps)}"
        var plan = try Plan(yaml: "description: d\nguest: \(guest)\nsteps: [\(steps)]\n")
        plan.guest.cpu = "POWER8"
        let configuration = try GuestConfiguration(
            plan, kernel: URL(filePath: "/boot/vmlinux"), initramfs: URL(filePath: "/boot/initramfs"))
        let demand = configuration.memoryDemand
        #expect(demand.guestByteCount == byteCount)
        // The region's file has room for the maximum memory; the nodes of 4 KiB pages are its most.
        #expect(demand.sharedByteCount <= configuration.sharedRegionByteCount)
        #expect(demand.sharedByteCount >= byteCount >> 30 * 4096 * 24)
        #expect(demand.sharedByteCount < 4 << 20)
        #expect(configuration.sharedMemoryByteCount == byteCount + demand.sharedByteCount)
    }
}
