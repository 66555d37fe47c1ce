// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Guests
import HarnessBasics
import OfflineCommands
import Plans
import RunRecord
import Runs

/// `needs`: what scripts/run has to make or fetch before another command can begin.
struct NeedsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "needs",
        abstract: "Print the scripts that make what a command's guests take: the agent, and kernels and tools by name.",
        shouldDisplay: false)

    @Argument(parsing: .captureForPassthrough)
    var arguments: [String] = []

    func run() throws {
        let lines = Self.needs(of: arguments, ProcessInfo.processInfo.environment).map { $0 + "\n" }
        RunCommand.show(Data(lines.joined().utf8))
    }

    /// The scripts, with their arguments, each once. What is wrong with the command, it says itself.
    static func needs(of arguments: [String], _ environment: [String: String]) -> [String] {
        guard let command = try? QemuHarness.parseAsRoot(arguments) as? any GuestsCommand,
            let guests = try? command.guests(environment), !guests.isEmpty
        else { return [] }
        var told: Set<String> = []
        let needs = guests.flatMap { (try? $0.needs(environment)) ?? [] }
        return ["build-agent"] + needs.filter { told.insert($0).inserted }
    }
}

/// A guest that a command is to boot, as far as it takes what is fetched by name.
struct NamedGuest {
    let kernel: String
    let plan: Plan?

    /// The scripts that fetch what is missing, with their arguments: which tools there are for a kernel is known when that is
    /// there.
    fileprivate func needs(_ environment: [String: String]) throws -> [String] {
        guard GuestImages.isThere(kernel, environment) else { return ["guest-kernel \(kernel)"] }
        guard let plan else { return [] }
        let order = try GuestImages.byteOrder(ofKernel: GuestImages.kernel(named: kernel, environment: environment))
        return GuestTools.missingNames(for: plan, order, environment).map { "guest-tools \($0)" }
    }
}

/// A command that boots guests.
protocol GuestsCommand {
    /// The guests, each at least once. Throws what the command throws.
    func guests(_ environment: [String: String]) throws -> [NamedGuest]
}

extension RunCommand: GuestsCommand {
    func guests(_ environment: [String: String]) throws -> [NamedGuest] {
        let plan = try resolvedPlan(environment)
        return [NamedGuest(kernel: plan.guest.kernel ?? Self.defaultKernel, plan: plan)]
    }
}

extension MatrixCommand: GuestsCommand {
    func guests(_ environment: [String: String]) throws -> [NamedGuest] {
        func plan(_ name: String) throws -> Plan {
            try ReadyPlans.plan(named: name, environment: environment, executable: Program.executable)
        }
        let cells = try resume.map { try Self.read($0).information.cells } ?? axes().cells(plan: plan)
        return try cells.map { NamedGuest(kernel: $0.kernel, plan: try plan($0.plan)) }
    }
}

extension SoakCommand: GuestsCommand {
    func guests(_ environment: [String: String]) -> [NamedGuest] { kernels.map { NamedGuest(kernel: $0, plan: nil) } }
}

extension ScoreCommand: GuestsCommand {
    func guests(_ environment: [String: String]) -> [NamedGuest] {
        damages == 0 ? [] : kernels.map { NamedGuest(kernel: $0, plan: nil) }
    }
}
