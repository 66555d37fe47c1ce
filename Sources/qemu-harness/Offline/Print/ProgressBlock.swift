// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Synchronization

/// What a person is told on stderr while several things go on: lines that stay, and on a terminal below them lines that
/// change in place.
package final class ProgressBlock: Sendable {
    private let isSilent: Bool
    private let isTerminal: Bool
    /// How many lines are shown.
    private let shownCount = Mutex(0)

    /// Makes a block; nothing is written yet.
    package init(style: ProgressLine.Style) {
        isSilent = style == .none
        isTerminal =
            style == .auto && Terminal.isCapable(STDERR_FILENO, environment: ProcessInfo.processInfo.environment)
    }

    /// Shows these lines in the place of those that are shown, where that can be: on a terminal, as many as it has room for.
    package func show(_ lines: [String]) {
        guard isTerminal else { return }
        let (columns, rows) = Terminal.size(STDERR_FILENO)
        let lines = lines.prefix(max(rows - 1, 1)).map { String(Terminal.printable($0).prefix(max(columns - 1, 8))) }
        shownCount.withLock { count in
            write(Self.clearing(count) + lines.joined(separator: "\n"))
            count = lines.count
        }
    }

    /// Writes a line that stays.
    package func finish(_ text: String) {
        shownCount.withLock { count in
            write((isTerminal ? Self.clearing(count) : "") + Terminal.printable(text) + "\n")
            count = 0
        }
    }

    /// Takes away what is shown.
    package func clear() { show([]) }

    /// Back to where the first of so many lines begins, and all that stands behind it goes.
    private static func clearing(_ lineCount: Int) -> String {
        (lineCount > 1 ? "\u{1b}[\(lineCount - 1)A" : "") + "\r\u{1b}[J"
    }

    private func write(_ text: String) {
        // A closed stderr is nobody's loss.
        if !isSilent { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }
    }
}

extension Terminal {
    /// How many columns and rows a terminal has; those of a usual one where it does not say.
    static func size(_ descriptor: Int32) -> (columns: Int, rows: Int) {
        var size = winsize()
        // SAFETY: the call fills in the size, which lives as long as it.
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (width, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
