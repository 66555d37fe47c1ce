// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Joins what the shards of one matrix have left into one matrix, as if nobody had divided it.
public struct MatrixMerge: Sendable {
    private let shards: [MatrixRecord]

    /// Takes the folders of the shards, in any order.
    ///
    /// - Throws: ``RecordProblem``, with the folder's name, where they are not all shards of one matrix, each of them once, and
    ///   made with the same programs from the same kernels.
    public init(_ shards: [MatrixRecord]) throws(RecordProblem) {
        self.shards = shards.sorted { $0.information.shard.index < $1.information.shard.index }
        guard let first = self.shards.first else { throw RecordProblem("merge", "has no shards to join") }
        for shard in self.shards {
            try Self.check(shard, isOfMatrixOf: first)
            try Self.checkIsThrough(shard)
        }
        try checkPlaces(count: first.information.shard.count)
        try checkVersions()
    }

    private static func check(_ shard: MatrixRecord, isOfMatrixOf first: MatrixRecord) throws(RecordProblem) {
        let (one, other) = (first.information, shard.information)
        func refuse(_ what: String, _ theirs: String, _ its: String) -> RecordProblem {
            RecordProblem(shard.url, "has \(what) '\(its)', and \(first.url.lastPathComponent) '\(theirs)'")
        }
        guard one.shard.count == other.shard.count else {
            throw refuse("the number of shards", "\(one.shard.count)", "\(other.shard.count)")
        }
        guard one.harness == other.harness else { throw refuse("qemu-harness", one.harness, other.harness) }
        guard one.runOptions == other.runOptions else {
            throw refuse("the options", one.runOptions.joined(separator: " "), other.runOptions.joined(separator: " "))
        }
        guard one.cells.count == other.cells.count else {
            throw refuse("the number of cells", "\(one.cells.count)", "\(other.cells.count)")
        }
        for (cell, otherCell) in zip(one.cells, other.cells) where cell != otherCell {
            for (what, its, theirs) in [
                ("plan \(cell.plan)", otherCell.planDigest, cell.planDigest),
                ("kernel \(cell.kernel)", otherCell.kernelDigest, cell.kernelDigest),
            ] where cell.told == otherCell.told && its != theirs {
                throw RecordProblem(
                    shard.url, "has another \(what) than \(first.url.lastPathComponent), under the same name")
            }
            throw refuse("cell \(cell.number)", cell.told, otherCell.told)
        }
    }

    /// A shard that has ended, and whose records are what its journal says.
    private static func checkIsThrough(_ shard: MatrixRecord) throws(RecordProblem) {
        guard !RecordLock.isHeld(shard.url.appending(path: MatrixJournal.fileName)) else {
            throw RecordProblem(shard.url, "is being written: its matrix goes on")
        }
        if let cell = shard.cells.first(where: { $0.ending == nil })?.cell {
            throw RecordProblem(
                shard.url, "has not taken cell \(cell.number) (\(cell.name)): matrix --resume goes on with it")
        }
        if let problem = shard.checked().problems.first { throw RecordProblem(shard.url, "has \(problem)") }
    }

    /// Each shard once, and each cell in one of them.
    private func checkPlaces(count: Int) throws(RecordProblem) {
        let indexes = shards.map(\.information.shard.index)
        for (shard, next) in zip(shards, shards.dropFirst())
        where shard.information.shard.index == next.information.shard.index {
            throw RecordProblem(
                next.url, "is shard \(next.information.shard.text), and so is \(shard.url.lastPathComponent)")
        }
        let missing = Set(1...count).subtracting(indexes).sorted()
        guard missing.isEmpty else {
            let names = missing.prefix(16).map { "\($0)/\(count)" }.joined(separator: ", ")
            throw RecordProblem("merge", "lacks shards: \(names)" + (missing.count > 16 ? " and more" : ""))
        }
        var owners: [Int: URL] = [:]
        for shard in shards {
            for number in shard.information.part {
                if let owner = owners.updateValue(shard.url, forKey: number) {
                    throw RecordProblem(shard.url, "has taken cell \(number), and so has \(owner.lastPathComponent)")
                }
            }
        }
        let untaken = (shards.first?.information.cells ?? []).filter { owners[$0.number] == nil }
        guard untaken.isEmpty else {
            throw RecordProblem(
                "merge", "lacks cells: \(untaken.prefix(16).map { "\($0.number)" }.joined(separator: ", "))")
        }
    }

    /// What runs say they were made with: the same programs everywhere, and one kernel for each of the names of kernels.
    private func checkVersions() throws(RecordProblem) {
        var known: [String: (value: String, record: String)] = [:]
        for shard in shards {
            for cell in shard.cells {
                guard let name = cell.ending?.record else { continue }
                let summary = RecordSummary(of: shard.url.appending(path: name))
                guard let information = summary.information else {
                    throw RecordProblem(
                        shard.url, "has no readable record \(name): \(summary.problem ?? "it is missing")")
                }
                let versions = information.versions
                for (subject, value) in [
                    ("qemu-harness", versions.harness), ("QEMU", versions.qemu), ("libvirt", versions.libvirt),
                    ("the kernel \(cell.cell.kernel)", information.guest.kernelRelease),
                ] {
                    // A run that ended early may not have come to know it.
                    guard let value else { continue }
                    if let other = known[subject], other.value != value {
                        throw RecordProblem(
                            shard.url, "has \(subject) \(value) in \(name), and \(other.record) has \(other.value)")
                    }
                    known[subject] = (value, "\(shard.url.lastPathComponent)/\(name)")
                }
            }
        }
    }

    /// Makes `parent/matrix-<UTC>-<identifier>/` with all records and what the shards' journals say.
    ///
    /// - Throws: where something cannot be written, or two records have one name.
    public func write(parent: URL, identifier: String, startedAt: Date, commandLine: [String]) throws -> MatrixRecord {
        guard let first = shards.first?.information else { throw RecordProblem("merge", "has no shards to join") }
        let journal = try MatrixJournal(parent: parent, identifier: identifier, startedAt: startedAt) { name in
            MatrixInformation(
                matrix: name, startedAt: shards.map(\.information.startedAt).min() ?? startedAt, harness: first.harness,
                commandLine: commandLine, runOptions: first.runOptions, cells: first.cells, shard: .whole,
                part: first.cells.map(\.number))
        }
        do {
            for shard in shards { try copy(shard, to: journal) }
            let record = try MatrixRecord(journal.url)
            try journal.note(.ended(record.outcome))
            return record
        } catch {
            // Half a matrix looks like a whole one that was ended.
            try? FileManager.default.removeItem(at: journal.url)
            throw error
        }
    }

    private func copy(_ shard: MatrixRecord, to journal: MatrixJournal) throws {
        let files = FileManager.default
        for (attempt, ending) in shard.cells.flatMap(\.attempts) {
            try journal.note(.cellStarted(attempt, at: shard.information.startedAt))
            guard var ending else { continue }
            if let name = ending.record {
                let record = shard.url.appending(path: name)
                // Somebody may have removed that of a run that was taken again.
                if files.fileExists(atPath: record.path) {
                    try files.copyItem(at: record, to: journal.url.appending(path: name))
                } else {
                    ending.record = nil
                }
            }
            try journal.note(.cellEnded(attempt, ending))
        }
    }
}

extension MatrixCell {
    /// All of it that two matrices may differ in, for a message.
    fileprivate var told: String { "\(plan), \(kernel), \(cpu), weight \(weight)" }
}
