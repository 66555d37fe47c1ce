// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation
import HarnessBasics
import Plans
import Reports
import RunRecord

/// `plan`: what concerns plans and needs no guest.
package struct PlanCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Look at plans; 'run' takes them.",
        subcommands: [List.self, Show.self, Validate.self])

    /// The command itself does nothing.
    package init() {}

    /// `plan list`: the ready plans.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the ready plans.")

        @Flag(help: "Print the names and descriptions as JSON.")
        var json = false

        private struct Entry: Encodable {
            let name: String
            let description: String
        }

        func run() throws {
            let folder = try ReadyPlans.folder(
                environment: ProcessInfo.processInfo.environment, executable: Program.executable)
            let entries = try ReadyPlans.names(in: folder).map { name in
                Entry(
                    name: name,
                    description: try ReadyPlans.plan(at: folder.appending(path: name + ".yaml")).description)
            }
            if json {
                print(String(decoding: try RunDirectory.json(entries), as: UTF8.self), terminator: "")
                return
            }
            let width = (entries.map(\.name.count).max() ?? 0) + 2
            let rows = entries.flatMap { entry in
                Terminal.wrapped(entry.description, width: 80 - width, indent: "").enumerated().map {
                    [$0.offset == 0 ? entry.name : "", $0.element]
                }
            }
            for line in TextTable([.left(), .left()], rows).lines() { print(line) }
        }
    }

    /// `plan show`: a plan as a run understands it.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a plan as it was understood, which is a plan as well.",
            discussion: "What it leaves open the options of 'run' can say; 'run --dry-run' prints it with their values."
        )

        @Argument(help: ArgumentHelp("A plan's file, or the name of a ready plan.", valueName: "plan"))
        var plan: String

        func run() throws {
            let plan = try ReadyPlans.plan(
                named: plan, environment: ProcessInfo.processInfo.environment, executable: Program.executable)
            print(try plan.yaml(), terminator: "")
        }
    }

    /// `plan validate`: says what is wrong with plans.
    struct Validate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check plans, and say file, line and column of what is wrong with each.")

        @Argument(help: ArgumentHelp("Plans' files, or names of ready plans.", valueName: "plan"))
        var plans: [String]

        func run() throws {
            let environment = ProcessInfo.processInfo.environment
            var isValid = true
            for name in plans {
                do {
                    _ = try ReadyPlans.plan(
                        named: name, environment: environment, executable: Program.executable)
                    print("\(name): valid")
                } catch HarnessError.usage(let message) {
                    Terminal.tell(message)
                    isValid = false
                }
            }
            if !isValid { throw ExitCode(ExitStatus.usage) }
        }
    }
}
