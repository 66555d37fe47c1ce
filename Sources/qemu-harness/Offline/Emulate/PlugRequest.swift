// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HarnessBasics

/// A plug as it is written on a command line: `1GiB`, or `1GiB@0x80000000` or `1GiB@4GiB`.
struct PlugRequest: Equatable, ExpressibleByArgument {
    let byteCount: UInt64
    let address: UInt64?

    init?(argument: String) {
        let parts = argument.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, let size = ByteCount(argument: String(parts[0])) else { return nil }
        byteCount = size.value
        guard parts.count == 2 else {
            address = nil
            return
        }
        let text = String(parts[1])
        let number =
            text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : ByteCount(argument: text).map(\.value)
        guard let number else { return nil }
        address = number
    }

    var defaultValueDescription: String {
        ByteCount(byteCount).text + (address.map { " at 0x\(String($0, radix: 16))" } ?? "")
    }
}
