// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
package import Plans
package import RunRecord

extension MatrixAxes {
    /// The cells, plan by plan. A plan that settles its kernel or its CPU model has the one that it settles in the place of
    /// that axis. `plan` reads one that the axis names.
    ///
    /// - Throws: ``HarnessError`` where an axis is empty, names something twice, or excludes what it does not have, and
    ///   where no cell is left, or there are too many.
    package func cells(plan read: (String) throws -> Plan) throws -> [MatrixCell] {
        for (axis, values) in [("plan", plans), ("kernel", kernels), ("CPU model", cpus)] {
            guard !values.isEmpty else { throw HarnessError.usage("the matrix has no \(axis)") }
            guard values.count <= MatrixCell.countLimit else {
                throw HarnessError.usage("the matrix has more than \(MatrixCell.countLimit) of the axis \(axis)")
            }
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
        let planned = try plans.map { (name: $0, plan: try read($0)) }
        let planNames = Self.shortNames(of: plans.map { ($0, $0.hasSuffix(".yaml") ? String($0.dropLast(5)) : $0) })
        let kernelNames = Self.shortNames(of: (kernels + planned.compactMap(\.plan.guest.kernel)).map { ($0, $0) })
        var cells: [MatrixCell] = []
        for (name, plan) in planned {
            for kernel in plan.guest.kernel.map({ [$0] }) ?? kernels {
                for cpu in plan.guest.cpu.map({ [$0] }) ?? cpus {
                    // The boot is a step as well.
                    let cell = MatrixCell(
                        number: cells.count + 1, plan: name, planName: planNames[name] ?? name, kernel: kernel,
                        kernelName: kernelNames[kernel] ?? kernel, cpu: cpu,
                        weight: Double(plan.stepTexts.count + 1))
                    guard !exclude.contains(where: { covers($0, cell) }) else { continue }
                    cells.append(cell)
                    guard cells.count <= MatrixCell.countLimit else {
                        throw HarnessError.usage("the matrix has more than \(MatrixCell.countLimit) cells")
                    }
                }
            }
        }
        guard !cells.isEmpty else { throw HarnessError.usage("the matrix excludes all of its cells") }
        return cells
    }

    /// What of the axes is in no cell, in words: a plan that settles its kernel or its CPU model is taken with no other.
    package func unused(by cells: [MatrixCell]) -> [String] {
        [
            ("kernel", kernels, Set(cells.map(\.kernel)), "their kernels"),
            ("CPU model", cpus, Set(cells.map(\.cpu)), "their CPU models"),
        ].flatMap { axis, values, used, what in
            values.filter { !used.contains($0) }
                .map { "the \(axis) '\($0)' is in no cell: the plans settle \(what), or it is excluded" }
        }
    }

    /// As much of each path from its end as tells it apart from the others.
    private static func shortNames(of paths: [(key: String, path: String)]) -> [String: String] {
        let parts = Dictionary(paths.map { ($0.key, $0.path.split(separator: "/")) }) { first, _ in first }
        return parts.reduce(into: [:]) { names, path in
            let others = parts.filter { $0.key != path.key && $0.value.last == path.value.last }.values
            let count = (1...max(path.value.count, 1)).first { count in
                !others.contains { $0.suffix(count).elementsEqual(path.value.suffix(count)) }
            }
            names[path.key] = count.map { path.value.suffix($0).joined(separator: "/") } ?? path.key
        }
    }

    private func covers(_ exclusion: Exclusion, _ cell: MatrixCell) -> Bool {
        [(exclusion.plan, cell.plan), (exclusion.kernel, cell.kernel), (exclusion.cpu, cell.cpu)]
            .allSatisfy { $0 == nil || $0 == $1 }
    }
}
