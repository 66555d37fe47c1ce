// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Plans
import SystemPackage
import TestSupport
import Testing

@testable import Guests
@testable import qemu_harness

/// Whether a run may begin.
@Suite struct WorkplaceTests {
    @Test(
        arguments: [
            (UInt64(2 << 30), UInt64(2 << 30), nil), (2 << 30, nil, nil), (0, 0, nil), (.max, .max, nil),
            (2 << 30 + 4 << 20, 1 << 30, ("2.1 GiB", "1.0 GiB")), (1, 0, ("0.1 GiB", "0.0 GiB")),
            // One byte less than is needed is another number.
            (2 << 30, 2 << 30 - 1, ("2.0 GiB", "1.9 GiB")), (8 << 40, 24 << 30, ("8192.0 GiB", "24.0 GiB")),
        ] as [(UInt64, UInt64?, (String, String)?)])
    func memoryThatDoesNotFitIsRefused(need: UInt64, free: UInt64?, numbers: (String, String)?) {
        func check() throws {
            try MemoryDemand.check("the guest's memory takes", need: need, free: free, in: "/dev/shm")
        }
        guard let numbers else {
            #expect(throws: Never.self) { try check() }
            return
        }
        let error = #expect(throws: HarnessError.self) { try check() }
        #expect(
            error
                == .infrastructure(
                    "the guest's memory takes up to \(numbers.0), and /dev/shm has \(numbers.1) free: plug less, or make "
                        + "room there"))
    }

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
        let demand = MemoryDemand(configuration)
        #expect(demand.guestByteCount == byteCount)
        // The region's file has room for the maximum memory; the nodes of 4 KiB pages are its most.
        #expect(demand.regionByteCount <= configuration.sharedRegionByteCount)
        #expect(demand.regionByteCount >= byteCount >> 30 * 4096 * 24)
        #expect(demand.regionByteCount < 4 << 20)
        #expect(configuration.sharedMemoryByteCount == byteCount + demand.regionByteCount)
    }

    /// Where a daemon puts memory, its settings say.
    @Test(
        arguments: [
            (nil, "/libvirt/qemu/ram"), ("", "/libvirt/qemu/ram"),
            ("#memory_backing_dir = \"/commented\"\n", "/libvirt/qemu/ram"),
            ("user = \"x\"\nmemory_backing_dir = \"/big memory\" # here\n", "=/big memory"),
            ("  memory_backing_dir='/a'\nmemory_backing_dir = \"/b\"\n", "=/b"),
        ] as [(String?, String)])
    func aDaemonsSettingsSayWhereMemoryLies(settings: String?, expected: String) throws {
        #expect(
            ConnectionTarget.memoryBackingFolder(settings: settings ?? "").map { "=" + $0 }
                == (expected.hasPrefix("=") ? expected : nil))
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            at: folder.url.appending(path: "libvirt"), withIntermediateDirectories: false)
        if let settings {
            try settings.write(
                to: folder.url.appending(path: "libvirt/qemu.conf"), atomically: false, encoding: .utf8)
        }
        let target = ConnectionTarget.daemon(uri: "qemu:///session")
        let found = target.memoryFolder(environment: ["XDG_CONFIG_HOME": folder.url.path])
        let whole = expected.hasPrefix("=") ? String(expected.dropFirst()) : folder.url.path + expected
        // A session of root's is not known.
        #expect(found == (geteuid() == 0 ? nil : FilePath(whole)))
        #expect(ConnectionTarget.embedded.memoryFolder(environment: [:]) == "/dev/shm")
    }

    /// A folder that libvirt has not made yet is in the file system of the one above.
    @Test func aFolderToComeHasTheRoomOfTheOneAbove() {
        #expect(Workplace.existing("/dev/shm/no/such/folder") == "/dev/shm")
        #expect(Workplace.existing("/nowhere") == "/")
        #expect(Workplace.freeByteCount(of: "/dev/shm/no/such/folder") != nil)
    }
}
