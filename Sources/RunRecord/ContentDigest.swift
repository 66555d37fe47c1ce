// SPDX-License-Identifier: Apache-2.0

import COpenSSL
public import Foundation

/// Digests of what is in memory.
public enum ContentDigest {
    /// The SHA-256 of some bytes; nil where libcrypto has none.
    public static func sha256(_ data: Data) -> Data? {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var byteCount: UInt32 = 0
        // SAFETY: both buffers live for the length of the call; none of its digests is longer than the second.
        let isDone = unsafe data.withUnsafeBytes {
            unsafe EVP_Digest($0.baseAddress, $0.count, &digest, &byteCount, EVP_sha256(), nil) == 1
        }
        return isDone ? Data(digest.prefix(Int(byteCount))) : nil
    }

    /// The same in hexadecimal digits.
    public static func sha256Digits(_ data: Data) -> String? { sha256(data)?.hexadecimalDigits }

    /// That of a file, in hexadecimal digits.
    public static func sha256Digits(ofFile file: URL) throws(RecordProblem) -> String {
        try RecordFile.digest(of: file)
    }
}

extension Sequence<UInt8> {
    /// Two digits for each byte.
    var hexadecimalDigits: String { map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}
