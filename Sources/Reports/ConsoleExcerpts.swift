// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import RunRecord
import Verification

/// The pieces of the guest's console that matter: what stands around a kernel's report of a fault of its own, and what was
/// printed while a step ran.
struct ConsoleExcerpts {
    /// A line of the console.
    struct Line {
        let text: String
        /// Seconds since its kernel booted; nil where it says none.
        let time: Double?
        /// Which kernel said it, counted from 0.
        let boot: Int
    }

    let lines: [Line]
    /// Where reports begin.
    private let headlines: [(index: Int, fault: KernelFault)]

    private static let (before, behind) = (6, 40)
    private static let (excerptLimit, lineLimit) = (12, 160)

    init(_ console: RecordText?) {
        var lines: [Line] = []
        var (boot, last) = (0, -Double.infinity)
        var headlines: [(Int, KernelFault)] = []
        var reader = KernelFaultReader()
        for text in console?.lines ?? [] {
            let (time, words) = Self.parsed(text)
            if let time {
                // Each kernel's clock begins at zero.
                if time + 1 < last { boot += 1 }
                last = time
                if case .began(let fault, _) = reader.take(Array(words.utf8)[...]) {
                    headlines.append((lines.count, fault))
                }
            }
            lines.append(Line(text: text, time: time, boot: boot))
        }
        (self.lines, self.headlines) = (lines, headlines)
    }

    /// The time in front of a line of the kernel's, and what stands behind that and the caller.
    private static func parsed(_ text: String) -> (time: Double?, words: Substring) {
        guard let match = text.prefixMatch(of: /\[ *([0-9]{1,9}\.[0-9]{6})\](?:\[ *[TC][0-9]+\])? ?/) else {
            return (nil, text[...])
        }
        return (Double(match.output.1), text[match.range.upperBound...])
    }

    /// The surroundings of each report, in order; those that overlap are one.
    var faults: [(title: String, lines: [String])] {
        var ranges: [(range: Range<Int>, faults: [KernelFault])] = []
        for (index, fault) in headlines {
            let range = max(index - Self.before, 0)..<min(index + Self.behind, lines.count)
            if let last = ranges.last, last.range.upperBound >= range.lowerBound {
                ranges[ranges.count - 1].range = last.range.lowerBound..<range.upperBound
                ranges[ranges.count - 1].faults.append(fault)
            } else {
                ranges.append((range, [fault]))
            }
        }
        return ranges.prefix(Self.excerptLimit).map { range, faults in
            var names: [String] = []
            for fault in faults.map(\.finding.rawValue) where !names.contains(fault) { names.append(fault) }
            return ("The console around: " + names.joined(separator: ", "), clipped(range))
        }
    }

    /// What a kernel said in a time of its own clock.
    func said(from start: Double, to end: Double, boot: Int) -> [String] {
        let indices = lines.indices.filter { index in
            let line = lines[index]
            return line.boot == boot && line.time.map { $0 >= start && $0 <= end } == true
        }
        guard let first = indices.first, let last = indices.last else { return [] }
        return clipped(first..<last + 1)
    }

    private func clipped(_ range: Range<Int>) -> [String] {
        let shown = lines[range].prefix(Self.lineLimit).map(\.text)
        let rest = range.count - shown.count
        return shown + (rest > 0 ? ["… and \(rest) more lines in console.log"] : [])
    }
}

extension RecordedRun {
    /// By how much a guest's clock is behind the run's while a step runs, in seconds, and how many reboots were before it:
    /// from the event of the guest's that is nearest behind the step's start, or before it. Nil where there is none.
    func guestClock(at time: ClosedRange<Double>) -> (offset: Double, boot: Int)? {
        let told = events.moments.filter { $0.guestMicroseconds != nil }
        let near = told.last { $0.time <= time.upperBound } ?? told.first { $0.time > time.upperBound }
        guard let near, let microseconds = near.guestMicroseconds else { return nil }
        let boot = events.moments.count { $0.kind == "reboot.settled" && $0.time <= time.lowerBound }
        return (near.time - Double(microseconds) / 1e6, boot)
    }
}
