// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord
import Verification

/// What a record costs: bytes on disk, and the time to write, read and judge it, for each entry of the kernel's list.
///
///     record                a made-up snapshot of a 4K hash guest with 4 GiB: 16,384 entries, and what all witnesses say
///     record SNAPSHOT       a snapshot of a run
///     record RUN            a run's directory: its snapshots, and `verify RUN` as a whole
///
/// Each time is the quickest of nine rounds: what else a machine does only adds to it.
@main
struct Record {
    static let roundCount = 9

    struct Failure: Error {
        let text: String
    }

    static func main() throws {
        let paths = CommandLine.arguments.dropFirst()
        guard let path = paths.first else {
            return try measure(MadeSnapshot.hash4K(entryCount: 16384), "made up")
        }
        var isDirectory: ObjCBool = false
        guard paths.count == 1, FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw Failure(text: "record [RUN|SNAPSHOT]")
        }
        let url = URL(filePath: path)
        guard isDirectory.boolValue else {
            try measure(file: url)
            return
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.hasPrefix("snapshot-") }
        var (entryCount, byteCount) = (0, 0)
        for name in names.sorted() {
            let file = url.appending(path: name)
            entryCount += try measure(file: file)
            byteCount += try Data(contentsOf: file).count
        }
        var verification = RecordVerification(directory: url)
        let time = quickest { verification = RecordVerification(directory: url) }
        guard entryCount > 0 else { throw Failure(text: "\(path) has no snapshot with entries") }
        guard verification.problems.isEmpty else { throw Failure(text: "\(verification.problems)") }
        print(
            "verify: \(verification.results.outcome), \(text(time, entryCount)) and snapshot, \(entryCount) in "
                + "\(names.count) snapshots of \(size(byteCount, entryCount))")
    }

    /// A file as it is, in whatever form; then its content as it is written today. Returns the number of entries.
    @discardableResult
    private static func measure(file: URL) throws -> Int {
        let data = try Data(contentsOf: file)
        let snapshot = try JSONDecoder().decode(Snapshot.self, from: data)
        let count = snapshot.accountEntries.count
        let time = try quickest { _ = try JSONDecoder().decode(Snapshot.self, from: data) }
        print("\(file.lastPathComponent) as it is: \(size(data.count, count)), decode \(text(time, count))")
        try measure(snapshot, file.lastPathComponent)
        return count
    }

    private static func measure(_ snapshot: Snapshot, _ name: String) throws {
        let count = snapshot.accountEntries.count
        let data = try RunDirectory.json(snapshot)
        guard try JSONDecoder().decode(Snapshot.self, from: data) == snapshot else {
            throw Failure(text: "\(name) does not come back")
        }
        let verdict = try Verifier.verdict(on: snapshot)
        let encode = try quickest { _ = try RunDirectory.json(snapshot) }
        let decode = try quickest { _ = try JSONDecoder().decode(Snapshot.self, from: data) }
        let judge = try quickest { _ = try Verifier.verdict(on: snapshot) }
        print(
            "\(name): \(count) entries, \(verdict.findings.count) findings, \(size(data.count, count)), "
                + "encode \(text(encode, count)), decode \(text(decode, count)), judge \(text(judge, count))")
        for finding in verdict.findings.prefix(3) { print("  \(finding.name): \(finding.message)") }
    }

    private static func quickest(_ body: () throws -> Void) rethrows -> Duration {
        try (0..<roundCount).map { _ in try ContinuousClock().measure(body) }.min() ?? .zero
    }

    private static func size(_ byteCount: Int, _ entryCount: Int) -> String {
        "\(byteCount) bytes (\(String(format: "%.1f", Double(byteCount) / Double(max(entryCount, 1)))) an entry)"
    }

    private static func text(_ time: Duration, _ entryCount: Int) -> String {
        String(format: "%.2f us an entry", time / .microseconds(1) / Double(max(entryCount, 1)))
    }
}
