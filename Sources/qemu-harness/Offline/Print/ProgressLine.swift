// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import HarnessBasics

/// What a person is told on stderr while something goes on: on a terminal a line that changes in place.
package struct ProgressLine: Sendable {
    /// How it is told.
    package enum Style: String, CaseIterable, ExpressibleByArgument, Sendable {
        /// As on a terminal when stderr is one, else `plain`.
        case auto
        /// Only lines that stay.
        case plain
        /// Nothing.
        case none
    }

    private let isSilent: Bool
    private let isTerminal: Bool

    /// Makes a line; nothing is written yet.
    package init(style: Style) {
        isSilent = style == .none
        isTerminal =
            style == .auto
            && Terminal.isCapable(STDERR_FILENO, environment: ProcessInfo.processInfo.environment)
    }

    /// Back to the line's start, and whatever stood there goes.
    private static let clearing = "\r\u{1b}[K"

    /// Shows what is under way until something else is shown, where that can be: on a terminal.
    package func show(_ text: String) {
        if isTerminal { write(Self.clearing + text) }
    }

    /// Shows how far something has come: in place on a terminal, elsewhere in a line that stays.
    package func update(_ text: String) {
        if isTerminal { show(text) } else { finish(text) }
    }

    /// Writes a line that stays.
    package func finish(_ text: String) {
        write((isTerminal ? Self.clearing : "") + text + "\n")
    }

    /// Takes away what is shown.
    package func clear() { show("") }

    private func write(_ text: String) {
        // A closed stderr is nobody's loss.
        if !isSilent { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }
    }
}
