// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import RunRecord
@testable import Runs

/// The loop of a matrix, with runs that are made up.
@Suite struct MatrixRunnerTests {
    private let folder: TemporaryFolder
    private let journal: MatrixJournal
    private let cells: [MatrixCell] = (1...6).map {
        MatrixCell(number: $0, plan: "p\($0)", planName: "p\($0)", kernel: "k", kernelName: "k", cpu: "c", weight: 1)
    }

    init() throws {
        folder = try TemporaryFolder()
        let cells = cells
        journal = try MatrixJournal(parent: folder.url, identifier: "test", startedAt: Date(timeIntervalSince1970: 0)) {
            MatrixInformation(
                matrix: $0, startedAt: Date(timeIntervalSince1970: 0), harness: "0.1.0", commandLine: [],
                runOptions: [],
                cells: cells, shard: .whole, part: cells.map(\.number))
        }
    }

    private final class Listener: MatrixObserver {
        private let heard = Mutex<[String]>([])
        var lines: [String] { heard.withLock { $0 } }

        func observe(_ event: MatrixEvent) {
            guard case .cellEnded(let cell, let ending, let isRepeated) = event else { return }
            heard.withLock {
                $0.append("\(cell.number) \(ending.outcome)\(isRepeated ? " again" : "")")
            }
        }
    }

    /// What runs at once, at most.
    private final class Load: Sendable {
        private let state = Mutex((now: Set<Int>(), most: 0, sets: Set<Set<Int>>()))
        var most: Int { state.withLock { $0.most } }
        var sets: Set<Set<Int>> { state.withLock { $0.sets } }

        func begin(_ number: Int) {
            state.withLock { state in
                state.now.insert(number)
                state.most = max(state.most, state.now.count)
                state.sets.insert(state.now)
            }
        }
        func end(_ number: Int) { state.withLock { _ = $0.now.remove(number) } }
    }

    private func run(
        cpuCount: Int = 2, memoryByteCount: UInt64 = .max, demands: [Int: CellDemand] = [:], retryLimit: Int = 0,
        observer: Listener = Listener(), cells: [MatrixCell]? = nil, journal: MatrixJournal? = nil,
        take: @escaping MatrixRunner.Take
    ) async throws {
        try await Self.run(
            cpuCount: cpuCount, memoryByteCount: memoryByteCount, demands: demands, retryLimit: retryLimit,
            observer: observer, cells: cells ?? self.cells, journal: journal ?? self.journal, take: take)
    }

    private static func run(
        cpuCount: Int = 2, memoryByteCount: UInt64 = .max, demands: [Int: CellDemand] = [:], retryLimit: Int,
        observer: Listener, cells: [MatrixCell], journal: MatrixJournal, take: @escaping MatrixRunner.Take
    ) async throws {
        let runner = MatrixRunner(
            capacity: MatrixCapacity(cpuCount: cpuCount, memoryByteCount: memoryByteCount, memoryPlace: "there is"),
            demands: demands, retryLimit: retryLimit, journal: journal, observer: observer, take: take)
        let names = Mutex(0)
        let work = cells.map { (cell: $0, attemptCount: 0) }
        try await runner.run(work) {
            names.withLock { name in
                name += 1
                return "run\(name)"
            }
        }
    }

    @Test func takesAsManyAtOnceAsThereIsRoomFor() async throws {
        let load = Load()
        try await run(cpuCount: 3) { cell, _ in
            load.begin(cell.number)
            try? await Task.sleep(for: .milliseconds(20))
            load.end(cell.number)
            return MatrixEnding(outcome: .passed, seconds: 1)
        }
        #expect(load.most == 3)
        #expect(try MatrixRecord(journal.url).outcome == .passed)
    }

    /// The third and the fifth take more than there is: alone they run all the same, and nothing beside them.
    @Test func whatTakesAllOfTheMachineRunsAlone() async throws {
        let load = Load()
        var demands = Dictionary(
            uniqueKeysWithValues: cells.map { ($0.number, CellDemand(guestByteCount: 1 << 30, cpuCount: 1)) })
        demands[3] = CellDemand(guestByteCount: 100 << 30, cpuCount: 1)
        demands[5] = CellDemand(guestByteCount: 1 << 30, cpuCount: 8)
        try await run(cpuCount: 4, memoryByteCount: 3 << 30, demands: demands) { cell, _ in
            load.begin(cell.number)
            try? await Task.sleep(for: .milliseconds(10))
            load.end(cell.number)
            return MatrixEnding(outcome: .passed, seconds: 1)
        }
        // A GiB and QEMU's own each: two of them fit into three GiB.
        #expect(load.most == 2)
        #expect(load.sets.allSatisfy { $0.count == 1 || $0.isDisjoint(with: [3, 5]) }, "\(load.sets)")
        #expect(load.sets.contains([3]) && load.sets.contains([5]))
    }

    @Test func aFailingCellStopsNoOther() async throws {
        let outcomes: [Int: Outcome] = [1: .failed, 2: .error, 3: .incomplete]
        try await run { cell, _ in MatrixEnding(outcome: outcomes[cell.number] ?? .passed, seconds: 1) }
        let record = try MatrixRecord(journal.url)
        #expect(record.cells.map(\.outcome) == [.failed, .error, .incomplete, .passed, .passed, .passed])
        #expect(record.outcome == .failed)
    }

    private static var killedWithFindings: MatrixEnding {
        var ending = MatrixEnding(outcome: .error, seconds: 1, error: "killed")
        ending.findings = ["list-cycle": 1]
        return ending
    }

    /// An error may be the machine's; a finding is the guest's, and taking the cell again until it is gone would hide it.
    @Test func onlyErrorsAreTakenAgain() async throws {
        let observer = Listener()
        try await run(retryLimit: 2, observer: observer, cells: Array(cells.prefix(5))) { cell, attempt in
            switch cell.number {
            case 1: MatrixEnding(outcome: attempt.attempt < 3 ? .error : .passed, seconds: 1)
            case 2: MatrixEnding(outcome: .error, seconds: 1)
            case 3: MatrixEnding(outcome: attempt.attempt < 2 ? .failed : .passed, seconds: 1)
            case 4: MatrixEnding(outcome: attempt.attempt < 2 ? .incomplete : .passed, seconds: 1)
            default: Self.killedWithFindings
            }
        }
        #expect(
            observer.lines.sorted() == [
                "1 error again", "1 error again", "1 passed", "2 error", "2 error again", "2 error again", "3 failed",
                "4 incomplete", "5 error",
            ])
        let record = try MatrixRecord(journal.url)
        #expect(record.cells.map(\.attempts.count) == [3, 3, 1, 1, 1, 0])
        #expect(record.outcome == .failed)
    }

    @Test func whatIsInterruptedIsLeft() async throws {
        let running = Mutex<Task<Void, any Error>?>(nil)
        let (waiting, observer) = (AsyncStream<Void>.makeStream(), Listener())
        let (cells, journal) = (cells, journal)
        let task = Task {
            try await Self.run(retryLimit: 3, observer: observer, cells: cells, journal: journal) { cell, _ in
                if cell.number == 1 { return MatrixEnding(outcome: .passed, seconds: 1) }
                // The third begins when the first has ended: then somebody ends all of it.
                if cell.number == 3 {
                    for await _ in waiting.stream { break }
                    running.withLock { $0?.cancel() }
                }
                while !Task.isCancelled { await Task.yield() }
                return MatrixEnding(outcome: cell.number == 2 ? .error : .interrupted, seconds: 1)
            }
        }
        running.withLock { $0 = task }
        waiting.continuation.yield()
        try await task.value
        let record = try MatrixRecord(journal.url)
        #expect(record.outcome == .interrupted)
        #expect(record.cells.map { $0.ending?.outcome } == [.passed, .error, nil, nil, nil, nil])
        #expect(record.cells.map(\.attempts.count) == [1, 1, 1, 0, 0, 0])
    }

    /// Where the disk is full nothing new begins, and what runs is still told of.
    @Test func aJournalThatCannotBeWrittenEndsTheMatrix() async throws {
        let file = journal.url.appending(path: MatrixJournal.fileName)
        try FileManager.default.removeItem(at: file)
        symlink("/dev/full", file.path)
        let full = try MatrixJournal(writing: FileHandle(forWritingTo: file), in: journal.url)
        let observer = Listener()
        await #expect(throws: RunDirectoryError.self) {
            try await run(observer: observer, journal: full) { _, _ in MatrixEnding(outcome: .passed, seconds: 1) }
        }
        #expect(observer.lines.isEmpty)
    }
}
