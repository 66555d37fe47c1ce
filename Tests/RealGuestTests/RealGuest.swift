// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Every test that boots a guest is nested in here: one guest at a time, on machines with two cores.
///
/// Guests differ from machine to machine in nothing but speed, and no test depends on that; the time limit is there for
/// a harness that hangs.
@Suite(.serialized, .timeLimit(.minutes(20)))
enum RealGuest {
    /// Whether this is `scripts/test --all`.
    static let isAll = ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] != nil

    /// The cases of a test: for `scripts/test --all` each of them, else so many, the first ones, which differ most.
    static func cases<Case>(_ cases: [Case], everyTime count: Int) -> [Case] {
        isAll ? cases : Array(cases.prefix(count))
    }
}

extension Trait where Self == ConditionTrait {
    /// A test that takes long, or that shows once more what another one shows of another guest: for `scripts/test --all`.
    static var long: Self { .enabled(if: RealGuest.isAll, "run by scripts/test --all") }
}
