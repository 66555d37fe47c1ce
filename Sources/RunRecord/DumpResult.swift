// SPDX-License-Identifier: Apache-2.0

public import AgentProtocol

/// What came of a dump that a tool wrote in the dump-capture kernel. No part of the verdict on the guest.
public struct DumpResult: Codable, Equatable, Sendable {
    /// How it came out.
    public enum Ending: String, Codable, CaseIterable, Sendable {
        /// The tool ended with 0, and the dump is whole.
        case complete
        /// The dump has more bytes than the file through which it leaves the guest.
        case cutOff = "cut-off"
        /// The tool ended otherwise, or what it wrote is no dump.
        case failed
    }

    /// How pages were counted by the tool.
    public struct PageCounts: Codable, Equatable, Sendable {
        /// All that the dump's header has (`Original pages`).
        public var original: UInt64
        /// Those that were left out (`Excluded pages`).
        public var excluded: UInt64
        /// Those that are in the dump (`Remaining pages`).
        public var remaining: UInt64
    }

    /// The tool's package, its version and suite.
    public var package: String
    /// How it came out.
    public var ending: Ending
    /// The tool's exit status; nil where it was killed.
    public var exitStatus: UInt64?
    /// The signal that killed it, other than the agent's: 9 is the kernel's, which had no memory for it.
    public var signal: UInt64?
    /// Whether the agent killed it because its time was over.
    public var hasTimedOut: Bool?
    /// How many bytes it wrote, as far as there was room.
    public var byteCount: UInt64
    /// The size of the dump as a file, in bytes; nil where it is none.
    public var fileByteCount: UInt64?
    /// What is wrong with what it wrote; nil where that is a dump.
    public var problem: String?
    /// What it counted; nil where it did not say.
    public var pageCounts: PageCounts?
    /// How many pages the crash kernel's ELF core header has, which is what the tool has to count as all (`Original pages`);
    /// nil where no header was read.
    public var headerPageCount: UInt64?
    /// What it said.
    public var words: String
    /// The dump in the record; nil where it was not kept.
    public var file: String?

    /// Judges what a tool has left.
    public init(
        package: String, end: ProgramEnd, byteCount: UInt64, isCutOff: Bool, fileByteCount: UInt64?, problem: String?,
        words: String
    ) {
        self.package = package
        switch end {
        case .exited(let status): exitStatus = status
        case .killed(let signal): self.signal = signal
        case .timedOut: hasTimedOut = true
        }
        self.byteCount = byteCount
        self.fileByteCount = fileByteCount
        self.problem = problem
        self.words = words
        pageCounts = PageCounts(words: words)
        ending = isCutOff ? .cutOff : exitStatus == 0 && problem == nil ? .complete : .failed
    }

    /// The tool with its version, as `makedumpfile 1:1.7.2-1`.
    public var tool: String { package.split(separator: " ").prefix(2).joined(separator: " ") }

    /// How it came out, as a person reads it behind the tool's name.
    public var text: String {
        switch ending {
        case .complete:
            "wrote a dump of \(fileByteCount ?? 0) bytes"
                + (pageCounts.map { ", \($0.remaining) of \($0.original) pages" } ?? "") + (miscount ?? "")
        case .cutOff: "was cut off: its dump has more than the \(byteCount) bytes that there was room for"
        case .failed:
            "failed: \(end?.text ?? "it is not said how it ended")" + (problem.map { "; \($0)" } ?? "")
        }
    }

    private var miscount: String? {
        guard let counted = pageCounts?.original, let headerPageCount, counted != headerPageCount else { return nil }
        return ", and the header has \(headerPageCount)"
    }

    private var end: ProgramEnd? {
        if hasTimedOut == true { return .timedOut }
        return exitStatus.map { .exited($0) } ?? signal.map { .killed(signal: $0) }
    }

    /// The last three lines that the tool said.
    public var lastWords: String? {
        words.isEmpty ? nil : words.split(separator: "\n").suffix(3).joined(separator: " ")
    }
}

extension ProgramEnd {
    /// What a person reads.
    public var text: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .killed(let signal): "signal \(signal)"
        case .timedOut: "its time was over"
        }
    }
}

extension DumpResult.PageCounts {
    /// Finds makedumpfile's report (`print_report`, makedumpfile.c); nil where it is not there.
    init?(words: String) {
        func count(_ name: String) -> UInt64? {
            for line in words.split(separator: "\n") {
                let line = line.drop { $0 == " " }
                guard line.hasPrefix(name), let value = line.split(separator: ":").dropFirst().first else { continue }
                let digits = value.drop { $0 == " " }.prefix { $0 != " " }
                return digits.hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits)
            }
            return nil
        }
        guard let original = count("Original pages"), let excluded = count("Excluded pages"),
            let remaining = count("Remaining pages")
        else { return nil }
        self.init(original: original, excluded: excluded, remaining: remaining)
    }
}
