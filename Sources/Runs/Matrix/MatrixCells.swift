// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
package import Plans
package import RunRecord

extension MatrixAxes {
    /// How many cells a matrix may have.
    static let cellLimit = 4096

    /// The cells, plan by plan. A plan that settles its kernel or its CPU model has the one that it settles in the place of
    /// that axis. `plan` reads one that the axis names.
    ///
    /// - Throws: ``HarnessError`` where an axis is empty, names something twice, or excludes what it does not have, and
    ///   where no cell is left, or there are too many.
    package func cells(plan read: (String) throws -> Plan) throws -> [MatrixCell] {
        for (axis, values) in [("plan", plans), ("kernel", kernels), ("CPU model", cpus)] {
            guard !values.isEmpty else { throw HarnessError.usage("the matrix has no \(axis)") }
            if let twice = Dictionary(grouping: values, by: \.self).first(where: { $1.count > 1 })?.key {
                throw HarnessError.usage("the matrix has the \(axis) '\(twice)' twice")
            }
        }
        for exclusion in exclude {
            for (axis, value, values) in [
                ("plan", exclusion.plan, plans), ("kernel", exclusion.kernel, kernels),
                ("CPU model", exclusion.cpu, cpus),
            ] {
                guard let value, !values.contains(value) else { continue }
                throw HarnessError.usage("the matrix excludes the \(axis) '\(value)', which it does not have")
            }
        }
        var cells: [MatrixCell] = []
        for name in plans {
            let plan = try read(name)
            let digest = try MatrixCell.digest(of: plan)
            for kernel in plan.guest.kernel.map({ [$0] }) ?? kernels {
                for cpu in plan.guest.cpu.map({ [$0] }) ?? cpus {
                    // The boot is a step as well.
                    let cell = MatrixCell(
                        number: cells.count + 1, plan: name, kernel: kernel, cpu: cpu, planDigest: digest,
                        weight: Double(plan.stepTexts.count + 1))
                    guard !exclude.contains(where: { covers($0, cell) }) else { continue }
                    cells.append(cell)
                    guard cells.count <= Self.cellLimit else {
                        throw HarnessError.usage("the matrix has more than \(Self.cellLimit) cells")
                    }
                }
            }
        }
        guard !cells.isEmpty else { throw HarnessError.usage("the matrix excludes all of its cells") }
        return cells
    }

    private func covers(_ exclusion: Exclusion, _ cell: MatrixCell) -> Bool {
        [(exclusion.plan, cell.plan), (exclusion.kernel, cell.kernel), (exclusion.cpu, cell.cpu)]
            .allSatisfy { $0 == nil || $0 == $1 }
    }
}

extension MatrixCell {
    /// What tells a plan apart from any other, or from what it was.
    package static func digest(of plan: Plan) throws -> String {
        ContentDigest.sha256Digits(Data(try plan.yaml().utf8)) ?? ""
    }
}
