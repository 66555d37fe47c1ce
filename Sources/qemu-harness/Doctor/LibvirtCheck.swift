// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import Libvirt
import RunFixture
import SystemPackage

/// Whether the libvirt of a run starts, and takes the run's guest and its DIMMs.
struct LibvirtCheck {
    let target: ConnectionTarget
    let trial: GuestTrial
    let capabilitiesCache: FilePath

    func diagnosis() async -> Diagnosis {
        let fixture = RunFixture(
            id: .random(), capabilitiesCache: capabilitiesCache, connection: target,
            emulator: trial.configuration.emulator)
        let diagnosis = await diagnosis(in: fixture)
        // What stays has no part in what is asked; a pruner finds it.
        _ = await fixture.remove()
        return diagnosis
    }

    private func diagnosis(in fixture: RunFixture) async -> Diagnosis {
        let name = "libvirt"
        do {
            try await fixture.open()
        } catch {
            return .fail(name, "\(targetName) does not start: \(error)", fix: fix)
        }
        do {
            // No console is written, since nothing starts.
            try await trial.perform(on: fixture, console: "/dev/null")
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
        case .embedded: Program.script("setup")
        case .daemon: "start that daemon, or leave --connect away"
        }
    }
}
