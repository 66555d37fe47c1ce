// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Something that is wrong with a record itself, and says nothing of the guest.
public struct RecordProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file's name.
    public let file: String
    /// What is wrong with it, after its name.
    public let text: String

    /// What a person reads.
    public var description: String { "\(file) \(text)" }

    init(_ file: String, _ text: String) {
        self.file = file
        self.text = text
    }

    init(_ file: URL, _ text: String) {
        self.init(file.lastPathComponent, text)
    }
}
