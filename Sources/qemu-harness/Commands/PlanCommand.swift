// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// `plan`: what concerns plans and needs no guest.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Look at plans; 'run' takes them.", subcommands: [Validate.self])

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
                        named: name, environment: environment, executable: GuestImages.executable)
                    print("\(name): valid")
                } catch HarnessError.usage(let message) {
                    QemuHarness.tell(message)
                    isValid = false
                }
            }
            if !isValid { throw ExitCode(ExitStatus.usage) }
        }
    }
}
