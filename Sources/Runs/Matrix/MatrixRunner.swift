// SPDX-License-Identifier: Apache-2.0

import Foundation
package import RunRecord

/// Takes the cells of a matrix, as many at once as there is room for.
package struct MatrixRunner: Sendable {
    /// Takes a cell's run as `run` does, with this identifier, and says what it came to. A cancelled task ends it.
    package typealias Take = @Sendable (MatrixCell, MatrixAttempt) async -> MatrixEnding

    let capacity: MatrixCapacity
    let demands: [Int: CellDemand]
    let retryLimit: Int
    let journal: MatrixJournal
    let observer: any MatrixObserver
    let take: Take

    /// A runner of cells, whose demands are told by their numbers. A cell whose run was kept from a verdict is taken
    /// `retryLimit` times more at most; one that found something, never.
    package init(
        capacity: MatrixCapacity, demands: [Int: CellDemand], retryLimit: Int, journal: MatrixJournal,
        observer: any MatrixObserver, take: @escaping Take
    ) {
        self.capacity = capacity
        self.demands = demands
        self.retryLimit = retryLimit
        self.journal = journal
        self.observer = observer
        self.take = take
    }

    private struct Work {
        let cell: MatrixCell
        let attempt: MatrixAttempt
        /// How often the cell was taken since it was waited for.
        let takenCount: Int
    }

    /// Takes cells, each with the number of runs that it has had; those that have to wait keep their order as far as there is
    /// room. Ends when all are through, when the task is cancelled, or when the journal cannot be written: then what runs is
    /// still waited for.
    ///
    /// `identifier` makes a run's identifier.
    ///
    /// - Throws: ``RunDirectoryError`` where the journal cannot be written.
    package func run(
        _ cells: [(cell: MatrixCell, attemptCount: Int)], identifier: @Sendable () -> String
    ) async throws {
        var waiting = cells.map { cell, count in
            Work(
                cell: cell, attempt: MatrixAttempt(cell: cell.number, attempt: count + 1, run: identifier()),
                takenCount: 1)
        }
        var running: [Int: CellDemand] = [:]
        var failure: (any Error)?
        await withTaskGroup(of: (Work, MatrixEnding).self) { group in
            while true {
                while failure == nil, !Task.isCancelled, let place = place(in: waiting, beside: running) {
                    let work = waiting.remove(at: place)
                    do {
                        try journal.note(.cellStarted(work.attempt, at: Date()))
                    } catch {
                        failure = error
                        break
                    }
                    observer.observe(.cellStarted(work.cell, work.attempt))
                    running[work.cell.number] = demand(of: work.cell)
                    group.addTask { [take] in (work, await take(work.cell, work.attempt)) }
                }
                guard let (work, ending) = await group.next() else { return }
                running[work.cell.number] = nil
                do {
                    try journal.note(.cellEnded(work.attempt, ending))
                } catch {
                    failure = failure ?? error
                }
                // What was found, even by a run that was killed, is not to go by taking the cell again.
                let isRepeated =
                    ending.outcome == .error && ending.findings.isEmpty && work.takenCount <= retryLimit
                    && failure == nil && !Task.isCancelled
                // Whoever watches is told of it all the same where the journal cannot be written any more.
                observer.observe(.cellEnded(work.cell, ending, isRepeated: isRepeated))
                if isRepeated {
                    let attempt = MatrixAttempt(
                        cell: work.cell.number, attempt: work.attempt.attempt + 1, run: identifier())
                    waiting.append(Work(cell: work.cell, attempt: attempt, takenCount: work.takenCount + 1))
                }
            }
        }
        if let failure { throw failure }
    }

    /// The first of those that wait for which there is room.
    private func place(in waiting: [Work], beside running: [Int: CellDemand]) -> Int? {
        waiting.firstIndex { capacity.hasRoom(for: demand(of: $0.cell), beside: running.values) }
    }

    private func demand(of cell: MatrixCell) -> CellDemand {
        demands[cell.number] ?? CellDemand(guestByteCount: 0, cpuCount: 1)
    }
}
