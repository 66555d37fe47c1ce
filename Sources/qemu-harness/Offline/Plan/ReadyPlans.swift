// SPDX-License-Identifier: Apache-2.0

package import Foundation
import HarnessBasics
package import Plans

/// Plans in files: those that come with the program, and anybody's.
package enum ReadyPlans {
    /// The environment variable that names the folder with the ready plans.
    package static let variable = "QEMU_HARNESS_PLANS_DIR"

    /// The folder with the ready plans: where the environment says, or `plans` among what comes with the program.
    package static func folder(environment: [String: String], executable: URL) throws -> URL {
        if let folder = environment[variable] { return URL(filePath: folder) }
        if let plan = Program.companion("plans/first-light.yaml", of: executable) {
            return plan.deletingLastPathComponent()
        }
        throw HarnessError.infrastructure(
            "no ready plans: there is no folder 'plans' above the program, and \(variable) names none")
    }

    /// The names of the ready plans.
    package static func names(in folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".yaml") }
            .map { String($0.dropLast(".yaml".count)) }.sorted()
    }

    /// The plan that a command line names: a file, or the name of a ready plan.
    package static func plan(named text: String, environment: [String: String], executable: URL) throws -> Plan {
        if text.contains("/") || text.contains(".") { return try plan(at: URL(filePath: text)) }
        let folder = try folder(environment: environment, executable: executable)
        let names = try names(in: folder)
        guard names.contains(text) else {
            throw HarnessError.usage(
                "no ready plan '\(text)'; there are \(names.joined(separator: ", ")), and files by their path")
        }
        return try plan(at: folder.appending(path: text + ".yaml"))
    }

    /// Reads a plan's file. Throws a usage error that names file, line and column.
    package static func plan(at file: URL) throws -> Plan {
        let text = try text(of: file, called: "the plan")
        do throws(PlanProblem) {
            return try Plan(yaml: text)
        } catch {
            throw HarnessError.usage("\(file.relativePath):\(error)")
        }
    }

    /// The text of a file that somebody has written for this program; `name` is what it is, for messages.
    package static func text(of file: URL, called name: String) throws -> String {
        let path = file.relativePath
        let data: Data
        do {
            // One byte more than a plan may have is enough to refuse it.
            data = try RegularFile.beginning(of: file, byteCount: PlanLimits.textByteCount + 1)
        } catch {
            throw HarnessError.usage("cannot read \(name) \(path): \(error.localizedDescription)")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw HarnessError.usage("\(path): \(name) is no UTF-8 text")
        }
        return text
    }
}
