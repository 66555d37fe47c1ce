// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import Libvirt
import SystemPackage

/// Whether the libvirt of a run starts, and takes the run's guest and its DIMMs.
struct LibvirtCheck {
    let target: ConnectionTarget
    let trial: GuestTrial
    let cache: URL

    func diagnosis() async -> Diagnosis {
        let name = "libvirt"
        do {
            let root = try Workplace.makeRoot(cache: cache)
            defer { try? root.remove() }
            try LibvirtRuntime.start()
            let connection: Connection
            do {
                connection = try await target.open(root: root, emulator: trial.configuration.emulator)
            } catch {
                return .fail(name, "\(targetName) does not start: \(error)", fix: fix)
            }
            // No console is written, since nothing starts.
            try await trial.perform(
                on: LibvirtHost(root: root, connection: connection, owner: nil),
                console: root.path.appending("console.log"))
            let dimms = "\(trial.dimms.count) DIMM\(trial.dimms.count == 1 ? "" : "s")"
            return .ok(
                name,
                "\(try Connection.libraryVersion()): \(targetName) works, and takes the run's guest and its \(dimms)")
        } catch {
            return .fail(name, "\(error)", fix: "take another libvirt (9 to 12 were seen to work), or another plan")
        }
    }

    private var targetName: String {
        switch target {
        case .embedded: "the embedded driver"
        case .daemon(let uri): uri
        }
    }

    private var fix: String {
        switch target {
        case .embedded: "scripts/setup"
        case .daemon: "start that daemon, or leave --connect away"
        }
    }
}
