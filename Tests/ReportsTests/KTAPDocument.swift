// SPDX-License-Identifier: Apache-2.0

/// A strict reader of KTAP, version 1, from its specification (Documentation/dev-tools/ktap.rst), and from what the kernel's
/// own reader (tools/testing/kunit) takes for a document's end.
struct KTAPDocument {
    /// A result, and those below it.
    struct Test {
        var name: String
        var isOK: Bool
        var isSkipped: Bool
        var diagnostics: [String]
        var children: [Test]
    }

    /// Why a text is no KTAP.
    struct Problem: Error {
        let line: Int
        let text: String
    }

    private let lines: [Substring]
    private var next = 0

    /// The tests at the top of a document, all of whose lines have to belong to it.
    static func tests(in text: String) throws -> [Test] {
        guard text.hasSuffix("\n") else { throw Problem(line: 0, text: "no end of the last line") }
        var document = KTAPDocument(lines: text.dropLast().split(separator: "\n", omittingEmptySubsequences: false))
        let endings = /List of all partitions:|Kernel panic - not syncing: VFS:|reboot: System halted/
        for (index, line) in document.lines.enumerated() {
            if line.contains(endings) { throw Problem(line: index, text: "ends a kernel's log: \(line)") }
            if line.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
                throw Problem(line: index, text: "a control character: \(line)")
            }
        }
        let tests = try document.level("", below: nil)
        guard document.next == document.lines.count else { throw document.problem("behind the last test") }
        return tests
    }

    private func problem(_ text: String) -> Problem {
        Problem(line: next, text: "\(text): \(next < lines.count ? lines[next] : "end")")
    }

    /// The next line without its indent, which it has to have and no other.
    private mutating func take(_ indent: String) -> Substring? {
        guard next < lines.count, lines[next].hasPrefix(indent), lines[next].dropFirst(indent.count).first != " " else {
            return nil
        }
        next += 1
        return lines[next - 1].dropFirst(indent.count)
    }

    private mutating func level(_ indent: String, below name: inout String?) throws -> [Test] {
        guard take(indent) == "KTAP version 1" else { throw problem("no version") }
        if next < lines.count, let header = lines[next].wholeMatch(of: /( *)# Subtest: (.+)/), header.output.1 == indent
        {
            name = String(header.output.2)
            next += 1
        }
        guard let plan = take(indent)?.wholeMatch(of: /1\.\.([1-9][0-9]*)/), let count = Int(plan.output.1) else {
            throw problem("no plan")
        }
        return try (1...count).map { try test($0, indent) }
    }

    private mutating func level(_ indent: String, below name: String?) throws -> [Test] {
        var found: String?
        return try level(indent, below: &found)
    }

    private mutating func test(_ number: Int, _ indent: String) throws -> Test {
        var children: [Test] = []
        var name: String?
        if next < lines.count, lines[next] == indent + "  KTAP version 1" {
            children = try level(indent + "  ", below: &name)
        }
        var diagnostics: [String] = []
        while let line = take(indent) {
            if line.hasPrefix("# ") {
                guard !line.hasPrefix("# Subtest") else { throw problem("a subtest's name out of place") }
                diagnostics.append(String(line.dropFirst(2)))
                continue
            }
            guard let result = line.wholeMatch(of: /(ok|not ok) ([0-9]+) ([^#]+?)( # SKIP( .*)?)?/),
                result.output.2 == "\(number)"
            else { throw problem("no result \(number) before this") }
            let test = Test(
                name: String(result.output.3), isOK: result.output.1 == "ok", isSkipped: result.output.4 != nil,
                diagnostics: diagnostics, children: children)
            if test.isSkipped, !test.isOK { throw problem("skipped and failed, before this") }
            if test.name.hasPrefix("-") || test.name.hasPrefix(" ") { throw problem("a name that is read otherwise") }
            if let name, name != test.name { throw problem("below \(name) are the tests of another") }
            return test
        }
        throw problem("result \(number) is missing")
    }
}
