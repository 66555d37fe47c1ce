// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import SystemPackage
import TestSupport
import Testing

@testable import RunFixture

/// Whether a run may begin.
@Suite struct MemoryDemandTests {
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

    /// Where a daemon puts memory may not be known; the shared region always lies in /dev/shm.
    @Test func anUnknownFolderIsSaidAndTheRegionIsChecked() {
        var told: [String] = []
        let demand = MemoryDemand(guestByteCount: .max >> 1, sharedByteCount: 0)
        #expect(throws: Never.self) { try demand.check(memoryFolder: nil) { told.append($0) } }
        #expect(told.count == 1 && told[0].hasPrefix("where the daemon puts guests' memory cannot be told"))
        let large = MemoryDemand(guestByteCount: 0, sharedByteCount: .max >> 1)
        #expect(throws: HarnessError.self) { try large.check(memoryFolder: nil) { told.append($0) } }
        #expect(throws: HarnessError.self) {
            try large.check(memoryFolder: "/dev/shm") { Issue.record("\($0)") }
        }
    }

    /// A folder that libvirt has not made yet is in the file system of the one above.
    @Test func aFolderToComeHasTheRoomOfTheOneAbove() {
        #expect(FileSystem.existing("/dev/shm/no/such/folder") == "/dev/shm")
        #expect(FileSystem.existing("/nowhere") == "/")
        #expect(FileSystem.freeByteCount(of: "/dev/shm/no/such/folder") != nil)
    }
}
