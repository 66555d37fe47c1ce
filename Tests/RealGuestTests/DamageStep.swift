// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Libvirt
import MemoryBackends
import RunRecord
import SystemPackage

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
        let machine = try context.runningMachine()
        guard let kernel = await machine.kernel, let region = await machine.region else {
            throw HarnessError.infrastructure("the guest is not up")
        }
        try await machine.domain.suspend()
        let list: DamagedList =
            switch target {
            case .kernel: try DamagedList(memory: await machine.memory, kernel: kernel)
            case .mirror: try DamagedList(mirror: region, file: context.root.sharedMemoryFile)
            }
        let lastEntries = context.lastEntries
        try damage.spoil(list)
        try await machine.domain.resume()
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await VerifyStep().perform(in: &context, result: &result))
        } catch {
            outcome = .failure(error)
        }
        // What the spoiled list had is not what the next one is measured by.
        context.lastEntries = lastEntries
        try await machine.domain.suspend()
        try list.undo()
        try await machine.domain.resume()
        try outcome.get()
    }
}
