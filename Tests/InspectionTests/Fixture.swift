// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The reduced dumps beside these tests.
enum Fixture {
    static func file(_ name: String) throws -> URL {
        try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: nil))
    }

    static func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: file(name))) }
}
