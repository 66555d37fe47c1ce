// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Reports

extension Emulation {
    /// As a person reads it: a line for each number.
    var text: String {
        var rows = [
            ["memory", ByteCount(memoryBytes).text],
            ["entries", "\(entries)"],
            ["freed nodes", "\(freedNodes)"],
            ["list pages", "\(listPages)"],
            ["list bytes", "\(listBytes)"],
            ["waste", "\(wasteBytes) bytes"],
            ["metadata", "\(metadataBytesPerTiB) bytes per TiB"],
            ["memory map", "\(backingBytes) bytes"],
        ]
        if mappedBlocks + mappedPages > 0 {
            rows += [["2 MiB blocks", "\(mappedBlocks)"], ["base pages", "\(mappedPages)"]]
        }
        rows += failures.map { ["failed", $0] }
        // As wide as the longest name that there may be.
        return TextTable([.left(minimumWidth: 12), .left()], rows).lines().joined(separator: "\n")
    }
}
