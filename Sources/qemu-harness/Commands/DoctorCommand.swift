// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import RunRecord

/// `doctor`: looks at every requirement of a run.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check what a run needs, and say how to mend what is missing.",
        discussion: "Exit code 0 when a run can work, 2 when it cannot."
    )

    @Option(help: ArgumentHelp("The kernel to check.", valueName: "path|name"))
    var kernel = "6.1"

    @Flag(help: "Print the diagnoses as JSON.")
    var json = false

    /// Boot memory, a plug and the shared region of `run` without options.
    private static let defaultNeed: UInt64 = 1 << 30 + 1 << 30 + 4 << 20

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let guest = GuestChecks(
            environment: environment, executable: GuestImages.executable, kernelName: kernel)
        let host = HostChecks(environment: environment, neededByteCount: Self.defaultNeed)
        let diagnoses = await host.diagnoses() + guest.diagnoses()
        if json {
            print(String(decoding: try RunDirectory.json(diagnoses), as: UTF8.self), terminator: "")
        } else {
            print(Self.table(diagnoses), terminator: "")
        }
        if diagnoses.contains(where: { $0.status == .fail }) { throw ExitCode(ExitStatus.infrastructure) }
    }

    private static func table(_ diagnoses: [Diagnosis]) -> String {
        let width = diagnoses.map(\.name.count).max() ?? 0
        return diagnoses.map { diagnosis in
            let name = diagnosis.name.padding(toLength: width, withPad: " ", startingAt: 0)
            let status = diagnosis.status.rawValue.padding(toLength: 4, withPad: " ", startingAt: 0)
            let mend = diagnosis.mend.map { "\n\(String(repeating: " ", count: width + 8))mend: \($0)" } ?? ""
            return "\(status)  \(name)  \(diagnosis.finding)\(mend)\n"
        }.joined()
    }
}
