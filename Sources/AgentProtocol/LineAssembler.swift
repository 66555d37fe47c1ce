// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of bytes into lines, and throws nothing at a peer that never ends one: what is too long is dropped.
public struct LineAssembler: Sendable {
    private var pending: [UInt8] = []
    private var isDiscarding = false
    private let maximumByteCount: Int

    /// How many lines were dropped because they were too long.
    public private(set) var droppedLineCount = 0

    /// Makes an assembler for lines of up to `maximumByteCount` bytes.
    public init(maximumByteCount: Int) {
        self.maximumByteCount = maximumByteCount
    }

    /// The lines that `bytes` completes, without their newlines and without carriage returns before those.
    public mutating func append(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        for byte in bytes {
            if byte == 0x0a {
                if !isDiscarding {
                    if pending.last == 0x0d { pending.removeLast() }
                    lines.append(pending)
                }
                pending = []
                isDiscarding = false
            } else if !isDiscarding {
                pending.append(byte)
                if pending.count >= maximumByteCount {
                    droppedLineCount += 1
                    isDiscarding = true
                    pending = []
                }
            }
        }
        return lines
    }
}
