// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import RunFixture

/// How a run's QEMUs are told from all other processes.
@Suite struct RunEmulatorsTests {
    private static let shared = "{\"qom-type\":\"memory-backend-file\",\"mem-path\":\"/dev/shm/qh-t1.shared\"}"

    @Test(arguments: [
        // The embedded driver's guest, and a daemon's, of which no argument leads into the root.
        (["-name", "guest=qh-t1,debug-threads=on", "-object", shared, "-object", "file=/tmp/qh-t1/lib/x"], true),
        (["-name", "guest=qh-t1,debug-threads=on", "-object", shared], true),
        (["-name", "guest=qh-t1", "-object", shared], true),
        // One that is only asked what it can do.
        (
            ["-S", "-machine", "none,accel=tcg", "-pidfile", "/tmp/qh-t1/lib/qemu/qmp-AbCdEf/qmp.pid", "-daemonize"],
            true
        ),
        // Other runs' and other people's.
        (["-name", "guest=qh-t11,debug-threads=on", "-object", shared], false),
        (["-name", "guest=qh-t1,debug-threads=on"], false),
        (["-name", "guest=other,debug-threads=on", "-object", shared], false),
        (["guest=qh-t1", "-name", "-object", shared], false),
        (["-pidfile", "/tmp/qh-t11/qmp.pid"], false),
        (["/tmp/qh-t1/console.log", "/dev/shm/qh-t1.shared"], false),
        ([], false),
    ])
    func areKnownByTheirArguments(arguments: [String], isOne: Bool) throws {
        let emulators = RunEmulators(id: try RunID("t1"), root: "/tmp/qh-t1")
        #expect(emulators.include((["/usr/bin/qemu-system-ppc64"] + arguments).map { Data($0.utf8) }) == isOne)
    }

    /// A process with a QEMU's arguments, which waits until it is ended.
    private func start(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", "read _", "qemu"] + arguments
        process.standardInput = Pipe()
        try process.run()
        return process
    }

    /// A dead run's guest is ended with the run's files, whichever libvirt has started it, and no other process is.
    @Test func aDeadRunsGuestsEndAndNoOthers() throws {
        let folder = FilePath("/tmp/qt" + UUID().uuidString.prefix(8))
        let runID = String(UUID().uuidString.prefix(8))
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        let root = folder.appending("qh-" + runID)
        try FileManager.default.createDirectory(atPath: root.string, withIntermediateDirectories: true)
        try writeFile(root.appending(RootLock.name), "")
        try writeFile(root.appending("kept"), "")

        let object = "mem-path=/dev/shm/qh-\(runID).shared"
        let guests = [
            try start(["-name", "guest=qh-\(runID),debug-threads=on", "-object", object]),
            try start(["-pidfile", "\(root)/qmp.pid"]),
        ]
        let others = [
            try start(["-name", "guest=qh-\(runID)0,debug-threads=on", "-object", object]),
            try start(["-name", "guest=other", "-object", object]),
        ]
        defer { for process in guests + others { process.terminate() } }

        func prune(includingKept: Bool) -> [String] {
            RunFixture.pruneNow(
                in: RunFolders(roots: folder, memory: folder), includingKept: includingKept, isDryRun: false
            ).removed.map(\.description)
        }
        #expect(prune(includingKept: false) == [])
        for guest in guests { #expect(kill(guest.processIdentifier, 0) == 0) }
        #expect(prune(includingKept: true) == [runID])
        for guest in guests { guest.waitUntilExit() }
        for other in others { #expect(other.isRunning) }
        #expect(!FileManager.default.fileExists(atPath: root.string))
    }
}
