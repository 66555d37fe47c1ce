// SPDX-License-Identifier: Apache-2.0

extension Sequence<UInt8> {
    /// What a terminal can show of a guest's bytes: each that is no printable ASCII is a question mark.
    public var printable: String {
        String(decoding: map { 0x20...0x7e ~= $0 ? $0 : 0x3f }, as: UTF8.self)
    }
}
