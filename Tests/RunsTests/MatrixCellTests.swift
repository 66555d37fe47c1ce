// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Plans
import RunRecord
import Testing

@testable import Runs

/// From axes to cells, and from cells to shards.
@Suite struct MatrixCellTests {
    /// Plans that are made up: `any` settles nothing.
    private func plan(_ name: String) throws -> Plan {
        guard name != "none" else { throw HarnessError.usage("no ready plan 'none'") }
        var plan = Plan(description: name, steps: [.verify, .plug(size: 1 << 30, node: nil, base: nil), .verify])
        if name == "power9" { plan.guest.cpu = "POWER9" }
        if name == "old" { plan.guest.kernel = "5.10" }
        return plan
    }

    private func cells(_ axes: MatrixAxes) throws -> [MatrixCell] { try axes.cells(plan: plan) }

    @Test func arePlansOnKernelsAndCPUs() throws {
        let cells = try cells(
            MatrixAxes(
                plans: ["any", "power9", "old"], kernels: ["6.1", "7.2"], cpus: ["POWER8", "POWER9"],
                exclude: [.init(plan: "any", kernel: "7.2", cpu: "POWER8"), .init(plan: "old", cpu: "POWER9")]))
        #expect(
            cells.map(\.name) == [
                "any, 6.1, POWER8", "any, 6.1, POWER9", "any, 7.2, POWER9", "power9, 6.1, POWER9",
                "power9, 7.2, POWER9",
                "old, 5.10, POWER8",
            ])
        #expect(cells.map(\.number) == Array(1...6))
        // The boot and three steps.
        #expect(cells.allSatisfy { $0.weight == 4 })
    }

    @Test(arguments: [
        (MatrixAxes(plans: [], kernels: ["6.1"], cpus: ["POWER8"]), "the matrix has no plan"),
        (MatrixAxes(plans: ["any"], kernels: [], cpus: ["POWER8"]), "the matrix has no kernel"),
        (MatrixAxes(plans: ["any"], kernels: ["6.1", "6.1"], cpus: ["POWER8"]), "the kernel '6.1' twice"),
        (MatrixAxes(plans: ["none"], kernels: ["6.1"], cpus: ["POWER8"]), "no ready plan 'none'"),
        (
            MatrixAxes(plans: ["any"], kernels: ["6.1"], cpus: ["POWER8"], exclude: [.init(cpu: "POWER10")]),
            "excludes the CPU model 'POWER10', which it does not have"
        ),
        (MatrixAxes(plans: ["any"], kernels: ["6.1"], cpus: ["POWER8"], exclude: [.init(plan: "any")]), "excludes all"),
        (
            MatrixAxes(plans: ["any"], kernels: (1...4000).map { "k\($0)" }, cpus: ["POWER8", "POWER9"]),
            "more than 4096 cells"
        ),
    ])
    func refuses(axes: MatrixAxes, message: String) throws {
        let error = try #require(throws: HarnessError.self) { try cells(axes) }
        #expect("\(error)".contains(message), "\(error)")
    }

    /// Two that end in the same name are told apart, as far as it takes.
    @Test func namesTellCellsApart() throws {
        let cells = try cells(
            MatrixAxes(
                plans: ["any", "mine/any.yaml", "other/any.yaml"],
                kernels: ["6.1", "/out/a/vmlinux", "/out/b/vmlinux", "a/vmlinux"], cpus: ["POWER8"]))
        #expect(cells.prefix(4).map(\.kernelName) == ["6.1", "out/a/vmlinux", "b/vmlinux", "a/vmlinux"])
        #expect(Set(cells.map(\.name)).count == 12)
        #expect(cells[4].planName == "mine/any")
    }

    @Test func whatIsInNoCellIsSaid() throws {
        let axes = MatrixAxes(plans: ["power9", "old"], kernels: ["6.1"], cpus: ["POWER8", "POWER10"])
        let cells = try cells(axes)
        #expect(cells.map(\.name) == ["power9, 6.1, POWER9", "old, 5.10, POWER8", "old, 5.10, POWER10"])
        #expect(axes.unused(by: cells) == [])
        let narrow = MatrixAxes(plans: ["power9"], kernels: ["6.1"], cpus: ["POWER8"])
        #expect(
            try narrow.unused(by: self.cells(narrow)) == [
                "the CPU model 'POWER8' is in no cell: the plans settle their CPU models, or it is excluded"
            ])
    }

    // MARK: - Shards

    /// Cells of these weights.
    private func cells(weights: [Double]) -> [MatrixCell] {
        weights.enumerated().map { index, weight in
            MatrixCell(
                number: index + 1, plan: "p", planName: "p", kernel: "k", kernelName: "k", cpu: "c", weight: weight)
        }
    }

    @Test(arguments: [(1, 1), (1, 7), (2, 7), (3, 100), (16, 16), (40, 100), (40, 3)])
    func takeEachCellOnce(shardCount: Int, cellCount: Int) throws {
        var generator = SeededGenerator(seed: UInt64(shardCount * 1000 + cellCount))
        let cells = cells(weights: (0..<cellCount).map { _ in Double(Int.random(in: 1...100, using: &generator)) })
        let parts = try (1...shardCount).map { try #require(Shard(index: $0, count: shardCount)).part(of: cells) }
        #expect(parts.flatMap { $0 }.map(\.number).sorted() == cells.map(\.number))
        // In the matrix's order, whatever the order of weights.
        #expect(parts.allSatisfy { $0.map(\.number) == $0.map(\.number).sorted() })
        // No shard is heavier than its share and one cell.
        let share = cells.reduce(0) { $0 + $1.weight } / Double(shardCount)
        let heaviest = cells.map(\.weight).max() ?? 0
        #expect(parts.allSatisfy { $0.reduce(0) { $0 + $1.weight } <= share + heaviest })
    }

    @Test func areBalancedByWeight() throws {
        let cells = cells(weights: [90, 10, 10, 10, 60, 10, 10])
        #expect(try #require(Shard("1/2")).part(of: cells).map(\.number) == [1, 6])
        #expect(try #require(Shard("2/2")).part(of: cells).map(\.number) == [2, 3, 4, 5, 7])
    }

    @Test(arguments: [
        "", "1", "0/1", "2/1", "1/0", "1/5000", "-1/2", "1/2/3", "a/b", "1/ 2", "١/٢", "99999999999999999999/2",
    ])
    func refuse(text: String) { #expect(Shard(text) == nil) }

    @Test(
        arguments: [
            (
                [
                    "SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_MAX": "6",
                    "SLURM_ARRAY_TASK_COUNT": "4",
                ], "3/4"
            ),
            (
                [
                    "SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "4",
                    "SLURM_ARRAY_TASK_COUNT": "3",
                    "SLURM_ARRAY_TASK_STEP": "2",
                ], "3/3"
            ),
            (["JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "3"], "1/3"),
            (["TEST_SHARD_INDEX": "2", "TEST_TOTAL_SHARDS": "3"], "3/3"),
            (["CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"], "2/3"),
            (["CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3", "TEST_SHARD_INDEX": "1", "TEST_TOTAL_SHARDS": "3"], "2/3"),
            (["CI_NODE_INDEX": "", "CI_NODE_TOTAL": "3"], nil),
            ([:], nil),
        ] as [([String: String], String?)])
    func areInTheEnvironment(environment: [String: String], shard: String?) throws {
        #expect(try Shard.inEnvironment(environment)?.shard.text == shard)
    }

    @Test(arguments: [
        (
            [
                "SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7",
                "SLURM_ARRAY_TASK_COUNT": "3",
            ],
            "its numbers have to follow each other"
        ),
        (["SLURM_ARRAY_TASK_ID": "7"], "SLURM_ARRAY_TASK_MIN is not"),
        (["JOB_COMPLETION_INDEX": "0"], "JOB_COMPLETIONS is not: say --shard"),
        (
            ["JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "3"],
            "JOB_COMPLETION_INDEX 3 is no shard of 3, which begin at 0"
        ),
        (["CI_NODE_INDEX": "0", "CI_NODE_TOTAL": "3"], "is no shard"),
        (["CI_NODE_INDEX": "x", "CI_NODE_TOTAL": "3"], "CI_NODE_INDEX 'x' is no number"),
        (["CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "100000"], "there are 4096 at most"),
        (
            ["CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "3", "TEST_SHARD_INDEX": "1", "TEST_TOTAL_SHARDS": "3"],
            "TEST_SHARD_INDEX asks for the shard 2/3, CI_NODE_INDEX for 1/3"
        ),
    ])
    func areRefusedInTheEnvironment(environment: [String: String], message: String) throws {
        let error = try #require(throws: HarnessError.self) { try Shard.inEnvironment(environment) }
        #expect("\(error)".contains(message), "\(error)")
    }
}
