// SPDX-License-Identifier: Apache-2.0

public import GuestMemory

/// What came of the agent's try to hear of populates through one event source. The agent tries the sources from the best
/// one on, until the kernel offers one.
///
/// In the hello it reads `SOURCE` when the source was taken, else `SOURCE:WHAT[/ERRNO][:WHAT[/ERRNO]…]`.
public struct SourceTrial: Equatable, Sendable {
    /// The source.
    public let source: EventSource
    /// What of it the kernel does not offer; empty when the source was taken.
    public let refusals: [Refusal]

    /// One thing that was refused.
    public struct Refusal: Equatable, Sendable {
        /// The function that cannot be probed, the file that cannot be opened or does not answer, or the messages that
        /// the kernel does not have.
        public let what: [UInt8]
        /// The error of the system call that was refused, nil when there was none.
        public let errno: UInt64?

        /// Names a refusal.
        public init(_ what: [UInt8], errno: UInt64? = nil) {
            self.what = what
            self.errno = errno
        }
    }

    /// Notes a trial.
    public init(_ source: EventSource, refusals: [Refusal] = []) {
        self.source = source
        self.refusals = refusals
    }

    /// The most trials and the most refusals of one that a hello may have.
    private static let limit = 16

    /// Reads trials, separated by commas; nil when any of them is not valid.
    public static func parse(_ text: ArraySlice<UInt8>) -> [SourceTrial]? {
        guard text.last != 0x2c else { return nil }
        var trials: [SourceTrial] = []
        var rest = text
        while !rest.isEmpty {
            guard trials.count < limit, let trial = SourceTrial(rest.takeField(until: 0x2c)) else { return nil }
            trials.append(trial)
        }
        return trials.isEmpty ? nil : trials
    }

    private init?(_ text: ArraySlice<UInt8>) {
        guard text.last != 0x3a else { return nil }
        var rest = text
        let name = rest.takeField(until: 0x3a)
        guard
            let source = [EventSource.kprobes, .dynamicDebug, .snapshots].first(where: { name.equals(Self.name($0)) })
        else { return nil }
        self.source = source
        var refusals: [Refusal] = []
        while !rest.isEmpty {
            var refusal = rest.takeField(until: 0x3a)
            var errno: UInt64?
            // The last slash is the error's, if digits follow: a file's name has slashes of its own.
            if let slash = refusal.lastIndex(of: 0x2f), refusal[(slash + 1)...].allSatisfy({ 0x30...0x39 ~= $0 }) {
                errno = refusal[(slash + 1)...].number
                guard errno != nil else { return nil }
                refusal = refusal[..<slash]
            }
            guard !refusal.isEmpty, refusals.count < Self.limit else { return nil }
            refusals.append(Refusal(Array(refusal), errno: errno))
        }
        self.refusals = refusals
    }

    /// Writes trials for the hello.
    public static func encode(_ trials: [SourceTrial]) -> [UInt8] {
        var text: [UInt8] = []
        for trial in trials {
            if !text.isEmpty { text.append(0x2c) }
            text.append(text: name(trial.source))
            for refusal in trial.refusals {
                text.append(0x3a)
                text += refusal.what
                guard let errno = refusal.errno else { continue }
                text.append(0x2f)
                text.append(decimal: errno)
            }
        }
        return text
    }

    private static func name(_ source: EventSource) -> StaticString {
        switch source {
        case .kprobes: "kprobe-events"
        case .dynamicDebug: "dynamic-debug"
        case .snapshots: "snapshots"
        }
    }
}
