// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
import RunFixture
import RunRecord
import SystemPackage

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// Spoils a list of a paused guest, as a stray store would, verifies, and puts the list back.
///
/// The guest runs between the two only as long as the verification lets it.
struct DamageStep: RunStep {
    /// Whose list.
    enum Target: Sendable {
        case kernel
        case mirror
    }

    let target: Target
    let damage: ListDamage

    var title: String { damage.title }

    func perform(in context: inout RunContext, result: inout StepResult) async throws {
        let guest = try context.runningGuest()
        let booted = try await guest.runningKernel()
        let (kernel, region) = (booted.kernel, booted.region)
        try await guest.domain.suspend()
        let list: DamagedList =
            switch target {
            case .kernel: try DamagedList(memory: await guest.memory.ram, kernel: kernel)
            case .mirror: try DamagedList(mirror: region, file: context.host.id.sharedRegionFile)
            }
        let lastEntries = context.lastEntries
        try damage.spoil(list)
        try await guest.domain.resume()
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await VerifyStep().perform(in: &context, result: &result))
        } catch {
            outcome = .failure(error)
        }
        // What the spoiled list had is not what the next one is measured by.
        context.lastEntries = lastEntries
        try await guest.domain.suspend()
        try list.undo()
        try await guest.domain.resume()
        try outcome.get()
    }
}
