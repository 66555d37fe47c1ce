// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Guests
import HarnessBasics
import OfflineCommands
import Plans
import RunFixture
import RunRecord
import Runs
import SystemPackage
import Verification

/// The cells that a matrix is to take, each looked at as `run` looks at what it is to do, and the folder that they go into.
struct MatrixWork: Sendable {
    struct Cell: Sendable {
        var cell: MatrixCell
        /// `run`'s arguments for it.
        let options: [String]
        let demand: CellDemand
        /// Where its guest's memory lies; nil where that is not known.
        let memoryFolder: FilePath?
        /// How many steps its run has, the boot and the switching off among them.
        let stepCount: Int
        /// How many runs it has had.
        var attemptCount = 0
    }

    var information: MatrixInformation
    let cells: [Cell]
    /// Makes the folder, or opens it.
    let journal: @Sendable () throws -> MatrixJournal

    var waiting: [(cell: MatrixCell, attemptCount: Int)] { cells.map { ($0.cell, $0.attemptCount) } }
    var demands: [Int: CellDemand] { byNumber(\.demand) }
    var stepCounts: [Int: Int] { byNumber(\.stepCount) }
    func options(of cell: MatrixCell) -> [String] { cells.first { $0.cell.number == cell.number }?.options ?? [] }

    private func byNumber<Value>(_ value: (Cell) -> Value) -> [Int: Value] {
        Dictionary(uniqueKeysWithValues: cells.map { ($0.cell.number, value($0)) })
    }
}

extension MatrixWork.Cell {
    /// Looks at a cell's run. All errors of all cells come before the first guest.
    init(
        _ cell: MatrixCell, runOptions: [String], kernels: KernelDigests, _ environment: [String: String]
    ) throws {
        do {
            let plan = try ReadyPlans.plan(named: cell.plan, environment: environment, executable: Program.executable)
            // What a plan settles no option can say again.
            options =
                [cell.plan] + (plan.guest.kernel == nil ? ["--kernel", cell.kernel] : [])
                + (plan.guest.cpu == nil ? ["--cpu", cell.cpu] : [])
            guard let command = try RunCommand.parseAsRoot(options + runOptions) as? RunCommand else {
                throw HarnessError.usage("its plan is no plan")
            }
            let prepared = try command.prepared(environment)
            try RunCommand.refuseWhatDoctorWouldFail(environment, kernel: prepared.kernel, prepared.guest)
            demand = CellDemand(
                guestByteCount: prepared.guest.sharedMemoryByteCount, cpuCount: prepared.guest.cpuCount)
            memoryFolder = prepared.connection.memoryFolder(environment: environment)
            stepCount = prepared.plan.stepTexts.count + 2
            self.cell = cell
            self.cell.planDigest = try Self.digest(of: Data(prepared.plan.yaml().utf8))
            self.cell.kernelDigest = try kernels.digest(of: prepared.guest.kernel)
        } catch HarnessError.usage(let message) {
            throw HarnessError.usage("cell \(cell.number) (\(cell.name)): \(message)")
        } catch HarnessError.infrastructure(let message) {
            throw HarnessError.infrastructure("cell \(cell.number) (\(cell.name)): \(message)")
        }
    }

    private static func digest(of data: Data) throws -> String {
        guard let digits = ContentDigest.sha256Digits(data) else {
            throw HarnessError.infrastructure("libcrypto has no SHA-256")
        }
        return digits
    }
}

extension MatrixCommand {
    /// What every cell's `run` is told.
    private var runOptions: [String] {
        (connect.map { ["--connect", $0] } ?? []) + (qemu.map { ["--qemu", $0] } ?? [])
            + allowUnsaid.flatMap { ["--allow-unsaid", $0.rawValue] }
            + (slowdown == 1 ? [] : ["--slowdown", "\(slowdown)"])
    }

    /// A new matrix.
    func begun(_ environment: [String: String]) throws -> MatrixWork {
        let axes = try axes()
        var all = try axes.cells { name in
            try ReadyPlans.plan(named: name, environment: environment, executable: Program.executable)
        }
        if let durations { all = try Self.weighed(all, by: durations) }
        var shard = shard ?? .whole
        if self.shard == nil, let found = try Shard.inEnvironment(environment) {
            shard = found.shard
            Terminal.tell("shard \(shard.text), as \(found.variable) says")
        }
        if let file = environment[Shard.statusFileVariable], !file.isEmpty, !dryRun {
            do {
                try RegularFile.checkWritable(URL(filePath: file))
            } catch {
                Terminal.tell(
                    "cannot make \(file), which \(Shard.statusFileVariable) asks for: \(error.localizedDescription)")
            }
        }
        let kernels = KernelDigests()
        let cells = try all.map { try MatrixWork.Cell($0, runOptions: runOptions, kernels: kernels, environment) }
        let part = shard.part(of: all)
        if part.isEmpty { Terminal.tell("shard \(shard.text) has none of the \(all.count) cells") }
        for axis in axes.unused(by: all) { Terminal.tell(axis) }
        let startedAt = Date()
        let information = MatrixInformation(
            matrix: "", startedAt: startedAt, harness: Program.version, commandLine: CommandLine.arguments,
            runOptions: runOptions, cells: cells.map(\.cell), shard: shard, part: part.map(\.number))
        let parent = URL(filePath: output)
        return MatrixWork(
            information: information,
            cells: cells.filter { cell in part.contains { $0.number == cell.cell.number } }
        ) {
            do {
                return try MatrixJournal(parent: parent, identifier: RunID.random().description, startedAt: startedAt) {
                    name in
                    var information = information
                    information.matrix = name
                    return information
                }
            } catch {
                throw HarnessError.infrastructure(
                    "cannot make a folder for the matrix in \(parent.path): \(error.localizedDescription)")
            }
        }
    }

    func axes() throws -> MatrixAxes {
        var axes = MatrixAxes(plans: [], kernels: [], cpus: [])
        if let cells { axes = try Self.axes(at: URL(filePath: cells)) }
        for (name, option, planned) in [
            ("plans", !plan.isEmpty, !axes.plans.isEmpty), ("--kernel", !kernel.isEmpty, !axes.kernels.isEmpty),
            ("--cpu", !cpu.isEmpty, !axes.cpus.isEmpty),
        ] where option && planned {
            throw HarnessError.usage("\(name) cannot go with --cells that has them")
        }
        if axes.plans.isEmpty { axes.plans = plan }
        guard !axes.plans.isEmpty else { throw HarnessError.usage("name plans, or a file that has them with --cells") }
        if axes.kernels.isEmpty { axes.kernels = kernel.isEmpty ? [RunCommand.defaultKernel] : kernel }
        if axes.cpus.isEmpty { axes.cpus = cpu.isEmpty ? ["POWER8", "POWER9"] : cpu }
        return axes
    }

    private static func axes(at file: URL) throws -> MatrixAxes {
        let text = try ReadyPlans.text(of: file, called: "the matrix")
        do throws(PlanProblem) {
            return try MatrixAxes(yaml: text)
        } catch {
            throw HarnessError.usage("\(file.relativePath):\(error)")
        }
    }

    /// The cells with the durations that an earlier matrix tells; where it does not, what a step took on average.
    private static func weighed(_ cells: [MatrixCell], by folder: String) throws -> [MatrixCell] {
        let record = try read(folder)
        struct Key: Hashable {
            var plan: String
            var kernel: String
            var cpu: String

            init(_ cell: MatrixCell) { (plan, kernel, cpu) = (cell.plan, cell.kernel, cell.cpu) }
        }
        // A cell that was kept from a verdict says nothing of how long it takes.
        let ended = record.cells.compactMap { cell in
            cell.ending.flatMap { $0.outcome == .error ? nil : (key: Key(cell.cell), seconds: $0.seconds) }
        }
        let known = Dictionary(ended.map { ($0.key, $0.seconds) }) { $1 }
        let stepCounts = Dictionary(cells.map { ($0.plan, $0.weight) }) { first, _ in first }
        // Summed in order, so that each shard comes to the same.
        let compared = ended.filter { stepCounts[$0.key.plan] != nil }
        let steps = compared.reduce(0) { $0 + (stepCounts[$1.key.plan] ?? 0) }
        let rate = steps > 0 ? compared.reduce(0) { $0 + $1.seconds } / steps : 1
        return cells.map { cell in
            var cell = cell
            let weight = known[Key(cell)] ?? cell.weight * rate
            cell.weight = (weight * 1000).rounded() / 1000
            return cell
        }
    }

    static func read(_ folder: String) throws -> MatrixRecord {
        do throws(RecordProblem) {
            return try MatrixRecord(URL(filePath: folder))
        } catch {
            throw HarnessError.usage("no matrix in \(folder): \(error)")
        }
    }
}
