// SPDX-License-Identifier: Apache-2.0

import Foundation
import RunRecord

/// A run as a submission to KernelCI's database (KCIDB, schema 5.3): a checkout, a build, and a test for the run and each of
/// its steps.
///
/// A record knows neither the kernel's source nor its build. So both have this run's name, unless the build is named that
/// was tested: then it is somebody else's object, and only the tests are in the submission. Nothing is null, and what the
/// schema has no place for stands in `misc`.
struct KCIDBReport {
    let document: String

    init(_ run: RecordedRun, _ options: ReportOptions) {
        let writer = KCIDBWriter(run, options)
        do {
            document = String(decoding: try RunDirectory.json(writer.submission), as: UTF8.self)
        } catch {
            // Every number in it is finite, so that there is nothing that JSON does not have.
            document = "{\"version\": {\"major\": 5, \"minor\": 3}}\n"
        }
    }
}

/// The objects of a submission, as the schema names them.
struct KCIDBSubmission: Encodable {
    struct Version: Encodable {
        var (major, minor) = (5, 3)
    }

    struct Checkout: Encodable {
        var id, origin: String
        var misc: [String: String]
    }

    struct Build: Encodable {
        var id, origin, checkoutID: String
        var architecture: String?
        var misc: [String: String]

        private enum CodingKeys: String, CodingKey {
            case id, origin, architecture, misc
            case checkoutID = "checkout_id"
        }
    }

    struct Environment: Encodable {
        var comment: String
        var misc: [String: String]
    }

    struct Test: Encodable {
        var id, origin, buildID, path, comment, status: String
        var startTime: String?
        var duration: Double
        var logExcerpt: String?
        var environment: Environment
        var misc: [String: String]

        private enum CodingKeys: String, CodingKey {
            case id, origin, path, comment, status, duration, environment, misc
            case buildID = "build_id"
            case startTime = "start_time"
            case logExcerpt = "log_excerpt"
        }
    }

    var version = Version()
    var checkouts: [Checkout]?
    var builds: [Build]?
    var tests: [Test]
}

/// Makes a submission of a run.
private struct KCIDBWriter {
    private let record: RecordedRun
    private let run: TestRun
    private let timeline: RunTimeline
    private let options: ReportOptions
    /// The run's name, as a part of an id.
    private let name: String

    init(_ record: RecordedRun, _ options: ReportOptions) {
        (self.record, self.options) = (record, options)
        run = TestRun(record)
        timeline = RunTimeline(record)
        name = Self.slug(record.results.run, "-_.", limit: 80)
    }

    var submission: KCIDBSubmission {
        let id = "\(options.origin):\(name)"
        let build = options.buildID ?? id
        let tests = [wholeTest(build)] + run.tests.enumerated().map { test($1, place: $0 + 1, build) }
        guard options.buildID == nil else { return KCIDBSubmission(tests: tests) }
        let kernel = properties("kernel", "byte-order", "page-size")
        return KCIDBSubmission(
            checkouts: [.init(id: id, origin: options.origin, misc: kernel)],
            builds: [
                .init(id: id, origin: options.origin, checkoutID: id, architecture: architecture, misc: kernel)
            ],
            tests: tests)
    }

    /// As `uname -m` says it in the guest.
    private var architecture: String? {
        record.information?.guest.isBigEndian.map { $0 ? "ppc64" : "ppc64le" }
    }

    private func properties(_ names: String...) -> [String: String] {
        Dictionary(run.properties.filter { names.contains($0.name) }.map { ($0.name, $0.value) }) { first, _ in first }
    }

    private var environment: KCIDBSubmission.Environment {
        var misc = properties("cpu", "cpu-count", "mmu", "page-size", "boot-memory", "qemu", "libvirt")
        let cpu = record.information?.guest.cpu ?? "unknown"
        // What KernelCI's dashboard shows as the platform.
        misc["platform"] = "qemu-pseries-" + Self.slug(cpu.lowercased(), "-_.", limit: 40)
        return .init(comment: "QEMU's pseries machine, \(ReportText.line(cpu, limit: 40))", misc: misc)
    }

    private func wholeTest(_ build: String) -> KCIDBSubmission.Test {
        let statuses = run.tests.map(status)
        // By the schema's own order of what counts most.
        let status = ["FAIL", "ERROR", "MISS", "PASS"].first(where: statuses.contains) ?? "SKIP"
        let reasons = run.tests.filter(\.status.isFailure).map { "\($0.name): \($0.reason)" }
        var misc = Dictionary(run.properties.map { ($0.name, $0.value) }) { first, _ in first }
        misc["runtime"] = "qemu-harness"
        return .init(
            id: "\(options.origin):\(name).0", origin: options.origin, buildID: build, path: "qemu-harness",
            comment: "memory hot-plug verified", status: status, startTime: time(0), duration: run.seconds,
            logExcerpt: Self.excerpt(reasons), environment: environment, misc: misc)
    }

    private func test(_ test: TestCase, place: Int, _ build: String) -> KCIDBSubmission.Test {
        var misc = ["runtime": "qemu-harness"]
        if !test.findingNames.isEmpty { misc["findings"] = test.findingNames.joined(separator: " ") }
        if !test.reason.isEmpty { misc["reason"] = test.reason }
        return .init(
            id: "\(options.origin):\(name).\(place)", origin: options.origin, buildID: build,
            path: "qemu-harness." + Self.slug(test.name.lowercased(), "-_", limit: 60), comment: test.name,
            status: status(test), startTime: test.number.flatMap { timeline.steps[$0] }.flatMap { time($0.lowerBound) },
            duration: test.seconds, logExcerpt: Self.excerpt(test.details), environment: environment, misc: misc)
    }

    /// What failed outside of the guest is the harness's before the guest's agent spoke, and the test's own later. What had to
    /// be verified and was not says nothing of the kernel.
    private func status(_ test: TestCase) -> String {
        let hasSpoken = record.information?.guest.kernelRelease != nil
        return switch test.status {
        case .passed: "PASS"
        case .failed: "FAIL"
        case .incomplete: "ERROR"
        case .error: hasSpoken ? "ERROR" : "MISS"
        case .skipped: hasSpoken ? "SKIP" : "MISS"
        }
    }

    /// A moment of the run, so many seconds behind its beginning; nil where that is not known.
    private func time(_ offset: Double) -> String? {
        guard let start = run.startedAt, (0..<1e7).contains(offset) else { return nil }
        return start.addingTimeInterval(offset)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true, timeZone: .gmt))
    }

    /// Lines, as many as there is room for; nil for none. The schema takes 16,384 characters.
    private static func excerpt(_ lines: [String]) -> String? {
        var text = ""
        for line in lines {
            guard text.unicodeScalars.count + line.unicodeScalars.count < 16_000 else {
                text += "…\n"
                break
            }
            text += line + "\n"
        }
        return text.isEmpty ? nil : text
    }

    /// A text as a part of an id or a path: letters and digits of ASCII, and `others`.
    private static func slug(_ text: String, _ others: String, limit: Int) -> String {
        let words = text.unicodeScalars.split { scalar in
            !(scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil))
                && !others.unicodeScalars.contains(scalar)
        }
        let slug = words.map { String($0) }.joined(separator: "-").prefix(limit)
        return slug.isEmpty ? "unnamed" : String(slug)
    }
}
