// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// A time span as it is written on a command line: a number and `m`, `h`, `d` or `w`.
package struct Age: ExpressibleByArgument, Equatable, Sendable {
    /// In seconds.
    package let seconds: Double

    private static let units: [Character: Double] = ["m": 60, "h": 3600, "d": 86_400, "w": 604_800]
    private static let limit = 100_000

    /// Reads `30d`; nil for anything else, and for numbers above 100,000.
    package init?(argument: String) {
        guard let unit = argument.last.flatMap({ Self.units[$0] }), let number = Int(argument.dropLast()),
            argument.first?.isNumber == true, (0...Self.limit).contains(number)
        else { return nil }
        seconds = Double(number) * unit
    }
}
