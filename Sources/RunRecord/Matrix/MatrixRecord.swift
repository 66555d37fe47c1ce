// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// What the folder of a matrix says, read back. Anyone may have made it.
public struct MatrixRecord: Sendable {
    /// A cell, and what came of it.
    public struct Cell: Sendable {
        /// What it is.
        public var cell: MatrixCell
        /// The runs of it, in order, with what each came to; nil for one that goes on, or was killed.
        public var attempts: [(attempt: MatrixAttempt, ending: MatrixEnding?)] = []

        /// What it came to: what its last run did, once that is more than a signal.
        public var ending: MatrixEnding? {
            attempts.last?.ending.flatMap { $0.outcome == .interrupted ? nil : $0 }
        }

        /// What it is as a line of a table, also before it came to anything.
        public var outcome: Outcome { ending?.outcome ?? .interrupted }
    }

    /// The folder.
    public let url: URL
    /// `matrix.json`.
    public let information: MatrixInformation
    /// The cells of its part, in order.
    public private(set) var cells: [Cell]

    /// Reads a folder.
    ///
    /// - Throws: ``RecordProblem`` where a file is missing, cannot be read, or contradicts the other one.
    public init(_ url: URL) throws(RecordProblem) {
        self.url = url
        information = try RecordFile.document(at: url.appending(path: MatrixJournal.informationName), limit: 16 << 20)
        try Self.check(information)
        let byNumber = Dictionary(uniqueKeysWithValues: information.cells.map { ($0.number, $0) })
        cells = information.part.compactMap { byNumber[$0].map { Cell(cell: $0) } }
        let entries: [MatrixEntry] = try JournalFile.lines(of: url.appending(path: MatrixJournal.fileName))
        let places = Dictionary(uniqueKeysWithValues: cells.enumerated().map { ($1.cell.number, $0) })
        var runs: Set<String> = []
        for entry in entries {
            let problem = Self.add(entry, to: &cells, places, &runs)
            if let problem { throw RecordProblem(MatrixJournal.fileName, problem) }
        }
    }

    private static func check(_ information: MatrixInformation) throws(RecordProblem) {
        let numbers = Set(information.cells.map(\.number))
        guard numbers.count == information.cells.count, Set(information.part).count == information.part.count,
            numbers.isSuperset(of: information.part)
        else {
            throw RecordProblem(MatrixJournal.informationName, "has a cell twice, or one in its part that it has not")
        }
        guard information.cells.count <= MatrixCell.countLimit else {
            throw RecordProblem(
                MatrixJournal.informationName,
                "has \(information.cells.count) cells; \(MatrixCell.countLimit) are the most that it can have")
        }
        guard Shard(index: information.shard.index, count: information.shard.count) != nil,
            information.cells.allSatisfy({ MatrixCell.weights.contains($0.weight) })
        else { throw RecordProblem(MatrixJournal.informationName, "has a shard or a weight that cannot be") }
    }

    /// What is wrong with an entry; nil when nothing is.
    private static func add(
        _ entry: MatrixEntry, to cells: inout [Cell], _ places: [Int: Int], _ runs: inout Set<String>
    ) -> String? {
        switch entry {
        case .resumed, .ended: return nil
        case .cellStarted(let attempt, _):
            guard let place = places[attempt.cell] else { return "has a run of a cell \(attempt.cell) that it has not" }
            guard attempt.attempt == cells[place].attempts.count + 1 else {
                return "has run \(attempt.attempt) of cell \(attempt.cell) behind run \(cells[place].attempts.count)"
            }
            guard runs.insert(attempt.run).inserted else { return "has the run '\(attempt.run.prefix(40))' twice" }
            cells[place].attempts.append((attempt, nil))
        case .cellEnded(let attempt, let ending):
            guard let place = places[attempt.cell], let last = cells[place].attempts.last, last.attempt == attempt,
                last.ending == nil
            else { return "has the end of a run of cell \(attempt.cell) that had not begun" }
            guard ending.isPossible else { return "has an end of cell \(attempt.cell) that cannot be" }
            guard ending.record.map({ RunsFolder.isName($0, ofRun: attempt.run) }) ?? true else {
                return "names a record of cell \(attempt.cell) that is none of its run"
            }
            cells[place].attempts[cells[place].attempts.count - 1].ending = ending
        }
        return nil
    }

    /// The same, but that what no record bears out is an error; and what is wrong, cell by cell.
    public func checked() -> (record: MatrixRecord, problems: [String]) {
        var (record, problems) = (self, [String]())
        for place in cells.indices {
            guard let problem = problem(of: cells[place]), var ending = cells[place].ending else { continue }
            (ending.outcome, ending.error) = (.error, problem)
            record.cells[place].attempts[cells[place].attempts.count - 1].ending = ending
            problems.append("cell \(cells[place].cell.number) (\(cells[place].cell.name)): \(problem)")
        }
        return (record, problems)
    }

    /// Why what the journal says of a cell is not what its record says; nil when it is.
    func problem(of cell: Cell) -> String? {
        guard let ending = cell.ending else { return nil }
        return ending.problem(of: cell.cell, ending.record.map { RecordSummary(of: url.appending(path: $0)) })
    }

    /// What all of it comes to: what was found counts most, and what nobody took is no pass.
    public var outcome: Outcome {
        let outcomes = Set(cells.map(\.outcome))
        return [Outcome.failed, .interrupted, .error, .incomplete].first(where: outcomes.contains) ?? .passed
    }
}
