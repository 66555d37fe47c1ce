// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import RunRecord
import Testing
import Verification

@testable import Guests
@testable import Runs
@testable import qemu_harness

/// What holds of the sources as text.
@Suite struct SourceRulesTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The lines of all sources in a folder that are no comments, with their places.
    private static func lines(in folder: String = "Sources") throws -> [(place: String, text: String)] {
        let sources = root.appending(path: folder)
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        return try files.compactMap { $0 as? URL }.filter { ["swift", "c", "h"].contains($0.pathExtension) }.flatMap {
            file in
            try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
                .enumerated().map { ("\(file.lastPathComponent):\($0.offset + 1)", String($0.element)) }
        }.filter { !$0.1.drop { $0 == " " }.hasPrefix("//") }
    }

    /// Distributions backport: what a kernel does follows from what it shows, and from no version number.
    @Test func noKernelVersionIsCompared() throws {
        let comparisons: [Regex<AnyRegexOutput>] = try [
            // A release that is ordered, or taken apart.
            #"(?i)(release|version)\w*\)?\s*(<|<=|>|>=)\s"#,
            #"(?i)(release|version)\w*\)?[.](hasPrefix|hasSuffix|starts|contains|split|components|compare|range|first|match)"#,
            #"(?i)(release|osrelease)\w*\)?\s*(==|!=)\s*"[0-9]"#,
            #"(?i)linux_version|kernel_version"#,
        ].map { try Regex($0) }
        let lines = try Self.lines()
        #expect(lines.count > 5000)
        for (place, text) in lines {
            for comparison in comparisons where text.contains(comparison) {
                Issue.record("\(place) compares a version: \(text)")
            }
        }
    }

    /// The guest program is made for both byte orders by a compiler that only knows little-endian ones: a condition of
    /// compilation answers for the wrong machine, and a small string is a word that was put together for it.
    @Test(arguments: ["GuestMemory", "VmemmapPopulate", "KernelState", "AgentProtocol", "HotplugAgent"])
    func theGuestsCodeAsksNoCompilerForTheByteOrder(module: String) throws {
        let question = try Regex(#"_endian\b|\b(little|big)Endian\b|\bString\b|[.]utf8\b"#)
        let lines = try Self.lines(in: "Sources/\(module)")
        #expect(lines.count > 100)
        for (place, text) in lines where text.contains(question) {
            Issue.record("\(place) cannot be built for big-endian guests: \(text)")
        }
    }

    /// A plan may expect a finding that the program can come to, and no other. Checks that several witnesses share name
    /// the subject by a variable.
    @Test func everyFindingInTheSourcesHasItsName() throws {
        let text = try Self.lines().map(\.text).joined(separator: "\n")
        let pairs = text.matches(of: /(?:Finding|note)\(\s*(?:(?:\.([a-zA-Z]+)|subject),\s*)?\.([a-zA-Z]+),/)
        #expect(pairs.count > 50)
        var faults: Set<String> = []
        for pair in pairs {
            // Others are noted as well: what comes and goes in a history.
            guard let fault = Finding.Fault.allCases.first(where: { "\($0)" == pair.output.2 }) else { continue }
            faults.insert("\(fault)")
            guard let name = pair.output.1 else { continue }
            let subject = try #require(Finding.Subject.allCases.first { "\($0)" == name })
            #expect(fault.subjects.contains(subject), "\(pair.output.0)")
        }
        // What a kernel reports of itself becomes a finding by its kind.
        for fault in KernelFault.allCases.map(\.finding) {
            faults.insert("\(fault)")
            #expect(fault.subjects.contains(.guest))
        }
        #expect(faults == Set(Finding.Fault.allCases.map { "\($0)" }))
    }
}
