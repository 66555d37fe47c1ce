// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import TestSupport
import Testing

@testable import Reports

/// Steps, findings and the guest's log, in order of time.
@Suite struct RunLogTests {
    private func lines(_ directory: URL) throws -> [RunLog.Line] {
        let log = try RunLog(of: directory)
        var lines: [RunLog.Line] = []
        while let line = try log.next() { lines.append(line) }
        return lines + log.rest()
    }

    @Test(arguments: SampleRecord.names)
    func everyRecordHasALog(name: String) throws {
        let directory = SampleRecord.fixture(name)
        let lines = try lines(directory)
        for (line, next) in zip(lines, lines.dropFirst()) { #expect(line.time <= next.time) }
        let console = try RecordText(.console, in: directory).lines
        #expect(lines.filter { $0.source == .guest }.map(\.message) == console)
        let steps = RecordedRun(directory: directory).results.steps
        #expect(lines.count { $0.source == .step } == 2 * steps.count)
        #expect(lines.last { $0.source == .run }?.message == "passed")
        // The guest tells of its memory while it is plugged.
        let plug = try #require(lines.firstIndex { $0.source == .step && $0.message.contains("plug") })
        let boot = try #require(lines.firstIndex { $0.message.contains("Linux version") })
        #expect(boot < plug)
    }

    @Test func hostileWordsAreWords() throws {
        let folder = try TemporaryFolder()
        let record = try SampleRecord.hostile("run-6.1-power8", in: folder)
        #expect(try lines(record).contains { $0.message.contains("<script>") })
        #expect(throws: RecordProblem.self) { try RunLog(of: folder.url) }
    }

    @Test func clocksOfKernels() {
        var clock = GuestClock()
        // Told late, then at once; and the clock of another kernel.
        clock.note(1_000_000, at: 6)
        clock.note(5_000_000, at: 9)
        clock.note(500_000, at: 20)
        clock.rewind()
        #expect(clock.time(ofConsoleLine: "SLOF") == 0)
        #expect(clock.time(ofConsoleLine: "[    0.000000] Linux version") == 4)
        #expect(clock.time(ofConsoleLine: "[    2.500000] a") == 6.5)
        #expect(clock.time(ofConsoleLine: "no time") == 6.5)
        #expect(clock.time(ofConsoleLine: "[    0.000000] Linux version") == 19.5)
        // One of which nothing is known has begun by now.
        #expect(clock.time(ofConsoleLine: "[    9.000000] a") == 28.5)
        #expect(clock.time(ofConsoleLine: "[    0.000000] Linux version") == 28.5)
        #expect(clock.time(ofConsoleLine: "[    1.000000] a") == 29.5)
    }
}
