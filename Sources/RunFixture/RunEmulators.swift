// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import SystemPackage

/// The QEMUs of one run, found among all processes by what libvirt tells each: whichever libvirt that was, and also when
/// the run's own process has died.
struct RunEmulators {
    let id: RunID
    let root: FilePath

    /// Whether a process with these arguments is one of them.
    ///
    /// A guest is known by its domain's name and by a file of the run's; a QEMU that libvirt only asks what it can do, by
    /// its PID file in the root.
    func include(_ arguments: [Data]) -> Bool {
        let name = "guest=" + id.name
        let files = [id.sharedRegionFile.string, root.string + "/"].map { Data($0.utf8) }
        return zip(arguments, arguments.dropFirst()).contains { option, value in
            switch String(decoding: option, as: UTF8.self) {
            case "-name":
                (value.elementsEqual(name.utf8) || value.starts(with: (name + ",").utf8))
                    && arguments.contains { argument in files.contains { argument.range(of: $0) != nil } }
            case "-pidfile": value.starts(with: (root.string + "/").utf8)
            default: false
            }
        }
    }

    /// Kills them all, and blocks until they are gone.
    ///
    /// - Throws: `RunFixtureError.guest` for the first that is not, after all others are.
    func end() throws(RunFixtureError) {
        var failure: RunFixtureError?
        for process in ProcessHandle.all(where: include) {
            do throws(Errno) {
                try process.kill()
                // A killed process is gone within milliseconds; one that the kernel cannot end is not waited for.
                if !process.waitForEnd(milliseconds: Self.endingMilliseconds) { throw .timedOut }
                // If it was this process's child, it is this process that has to reap it.
                waitpid(process.processID, nil, WNOHANG)
            } catch {
                failure = failure ?? .guest(processID: process.processID, reason: "\(error)")
            }
        }
        if let failure { throw failure }
    }

    private static let endingMilliseconds: Int32 = 5000
}
